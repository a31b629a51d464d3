"""Where the days of a campaign or training went: computing, waiting, failures, a slow product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.base.wide import right
from gpufleet.results import folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpufleet.results.run import Run


class Ran(NamedTuple):
    """How long a job ran on a product that is not of speed 1, over all attempts there."""

    product: str
    ran_s: int
    slower_s: int  # longer than its work would have taken at speed 1; below 0: shorter
    layout: str  # the fastest of a training there; "" of a campaign


class Days(NamedTuple):
    """The time from a job's coming to its end, or to the end of the run, s; the parts sum to ``whole_s``."""

    whole_s: int
    wait_s: int
    compute_s: int  # work that it did and kept, at speed 1: with the writing of checkpoints
    checkpoints_s: int | None  # of these, checkpoints and waiting for the slowest GPU; None: not known
    lost_s: int  # done again
    restarts_s: int
    elsewhere: tuple[Ran, ...]
    failures: int
    cut_short: int  # attempts, failures among them
    first: str  # the product of speed 1; "" if there is none
    done: bool

    def to_json(self) -> dict[str, Any]:
        """The parts as JSON values."""
        return {**self._asdict(), "elsewhere": [each._asdict() for each in self.elsewhere]}

    def lines(self) -> list[str]:
        """The parts for people, one line each."""
        until = (
            say("from its coming to its end") if self.done else say("from its coming to the end of the run")
        )
        whole = say("{time} {until}", time=format_duration(self.whole_s), until=until)
        rows = [f"  {right(format_duration(part_s), 12)}  {text}" for part_s, text in self._parts() if part_s]
        return ["", f"  {whole}", *rows]

    def _parts(self) -> Iterator[tuple[int, Said]]:
        if self.checkpoints_s is None:
            yield self.compute_s, say("computed")
        else:
            yield self.compute_s - self.checkpoints_s, say("steps of training")
            yield self.checkpoints_s, say("checkpoints, and waiting for the slowest GPU")
        yield self.wait_s, say("waited")
        lost = say(
            "did again what was lost: cut short {n:,} time, {failures:,} by failures",
            "did again what was lost: cut short {n:,} times, {failures:,} by failures",
            n=self.cut_short,
            failures=self.failures,
        )
        yield self.lost_s, lost
        yield self.restarts_s, say("restarts")
        yield from ((each.slower_s, self._elsewhere(each)) for each in self.elsewhere)

    def _elsewhere(self, ran: Ran) -> Said:
        time, words = format_duration(ran.ran_s), {"product": ran.product, "first": self.first}
        if ran.slower_s < 0:
            return say("shorter, as it ran {time} on {product} instead of {first}", time=time, **words)
        if not ran.layout:
            return say("longer, as it ran {time} on {product} instead of {first}", time=time, **words)
        return say(
            "longer, as it ran {time} on {product} instead of {first} ({layout})",
            time=time,
            layout=ran.layout,
            **words,
        )


def days_of(run: Run, row: Mapping[str, Any]) -> Days | None:
    """Where the days of a job went; None of a job of another kind, or one that has not run."""
    workload = run.plan["workloads"][row["workload"]]
    if workload["kind"] not in ("campaign", "training") or not row["run_s"]:
        return None
    training = run.plan.get("trainings", {}).get(row["workload"])
    speeds = {product: speed for product, speed in workload["products"] if speed}
    shares = (run.path / folder.QUOTAS).exists()  # else nothing counts of checkpoints and restarts
    restarts_s = (training or workload)["restart_s"] * row["preemptions"] if shares else 0
    layouts = {product: one["layout"] for product, one in training["products"].items()} if training else {}
    elsewhere = tuple(
        Ran(product, ran_s, round(ran_s * (1.0 - speeds[product])), layouts.get(product, ""))
        for product, ran_s in _ran(run, row, shares=shares).items()
        if speeds.get(product, 1.0) != 1.0
    )
    worked_s = row["run_s"] - row["lost_s"] - restarts_s - sum(each.slower_s for each in elsewhere)
    return Days(
        whole_s=row["wait_s"] + row["run_s"],
        wait_s=row["wait_s"],
        compute_s=worked_s,
        checkpoints_s=round(worked_s * (1.0 - training["steps_share"])) if training else None,
        lost_s=row["lost_s"],
        restarts_s=restarts_s,
        elsewhere=elsewhere,
        failures=row["failures"],
        cut_short=row["preemptions"],
        first=next((product for product, each in speeds.items() if each == 1.0), ""),
        done=row["state"] == "done",
    )


def _ran(run: Run, row: Mapping[str, Any], *, shares: bool) -> dict[str, int]:
    """Seconds on each product. With hard quotas all are taken to be on that of the last attempt."""
    found: dict[str, int] = {}
    if shares:
        cut = run.preemptions.filter(pl.col("victim") == row["job"])
        for product, start_s, t_s in cut.select("product", "start_s", "t_s").iter_rows():
            found[product] = found.get(product, 0) + t_s - start_s
    last_s = row["run_s"] - sum(found.values())
    found[row["product"]] = found.get(row["product"], 0) + last_s
    return found
