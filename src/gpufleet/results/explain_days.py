"""Where the days of a campaign or a training went: computing, waiting, failures, slow products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.base.wide import right
from gpufleet.results.explain_power import slowed_of

if TYPE_CHECKING:
    from gpufleet.results.run import Run


class Ran(NamedTuple):
    """What jobs took longer on a product that is not of speed 1, over all attempts there."""

    product: str  # "": several, it is not known which attempt ran on which
    ran_s: int
    slower_s: int  # longer than the work would have taken at speed 1; below 0: shorter
    layout: str  # the fastest of a training there; "" of a campaign


class Days(NamedTuple):
    """The time from when a job was eligible to its end, or to the end of the run, s.

    ``whole_s`` is the sum of ``queue_s``, ``again_s``, ``compute_s``, ``lost_s``, ``restarts_s``,
    ``slowed_s`` and the ``slower_s`` of what ran elsewhere.
    """

    whole_s: int
    queue_s: int  # waited before its first start
    again_s: int  # waited after it was cut short
    compute_s: int  # work that it did and kept, at speed 1: with the writing of checkpoints
    checkpoints_s: int | None  # of these, checkpoints and waiting for the slowest GPU; None: not known
    lost_s: int  # done again
    restarts_s: int
    elsewhere: tuple[Ran, ...]
    slowed_s: int  # longer because power was capped
    failures: int
    cut_short: int  # attempts, failures among them
    first: str  # the product of speed 1; "" if there is none
    done: bool

    def to_json(self) -> dict[str, Any]:
        """The parts as JSON values."""
        return {**self._asdict(), "elsewhere": [each._asdict() for each in self.elsewhere]}

    def lines(self) -> list[str]:
        """The parts for people, one line each."""
        time = format_duration(self.whole_s)
        whole = say("{time} from when it was eligible to its end", time=time)
        if not self.done:
            whole = say("{time} from when it was eligible to the end of the run", time=time)
        rows = [f"  {right(format_duration(part_s), 12)}  {text}" for part_s, text in self._parts() if part_s]
        return ["", f"  {whole}", *rows]

    def _parts(self) -> Iterator[tuple[int, Said]]:
        if self.checkpoints_s is None:
            yield self.compute_s, say("computed")
        else:
            yield self.compute_s - self.checkpoints_s, say("steps of training")
            yield self.checkpoints_s, say("checkpoints, and waiting for the slowest GPU")
        yield self.queue_s, say("waited in the queue")
        yield self.again_s, say("waited again after it was cut short")
        lost = say(
            "did again what was lost: cut short {n:,} time, {failures:,} by failures",
            "did again what was lost: cut short {n:,} times, {failures:,} by failures",
            n=self.cut_short,
            failures=self.failures,
        )
        yield self.lost_s, lost
        yield self.restarts_s, say("restarts")
        yield from ((each.slower_s, self._elsewhere(each)) for each in self.elsewhere)
        yield self.slowed_s, say("longer, as power was capped")

    def _elsewhere(self, ran: Ran) -> Said:
        time, words = format_duration(ran.ran_s), {"product": ran.product, "first": self.first}
        if not ran.product and ran.slower_s < 0:
            return say("shorter, as it did not always run on {first}", first=self.first)
        if not ran.product:
            return say("longer, as it did not always run on {first}", first=self.first)
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
    """Where the days of a job went; None of a job of another kind, or one that was never eligible."""
    workload = run.plan["workloads"][row["workload"]]
    if workload["kind"] not in ("campaign", "training") or row["eligible_s"] is None:
        return None
    training = run.plan.get("trainings", {}).get(row["workload"])
    restarts_s = _restarts_s(row, int((training or workload)["restart_s"]))
    slowed = slowed_of(run, row)
    slowed_s = slowed.by_site_s + slowed.by_gpus_s if slowed else 0
    own = {**row, "run_s": row["run_s"] - slowed_s}
    elsewhere, restarts_s = _elsewhere(run, own, training, restarts_s)
    worked_s = own["run_s"] - row["lost_s"] - restarts_s - sum(each.slower_s for each in elsewhere)
    queue_s = row["wait_s"] if row["start_s"] is None else row["start_s"] - row["eligible_s"]
    return Days(
        whole_s=row["wait_s"] + row["run_s"],
        queue_s=queue_s,
        again_s=row["wait_s"] - queue_s,
        compute_s=worked_s,
        checkpoints_s=round(worked_s * (1.0 - training["steps_share"])) if training else None,
        lost_s=row["lost_s"],
        restarts_s=restarts_s,
        elsewhere=elsewhere,
        slowed_s=slowed_s,
        failures=row["failures"],
        cut_short=row["preemptions"],
        first=_first(run, row),
        done=row["end_s"] is not None,
    )


def summed(days: Sequence[Days]) -> Days:
    """The days of jobs that ran one after the other."""
    by: dict[tuple[str, str], Ran] = {}
    for each in (ran for one in days for ran in one.elsewhere):
        known = by.get((each.product, each.layout), each._replace(ran_s=0, slower_s=0))
        more = known._replace(ran_s=known.ran_s + each.ran_s, slower_s=known.slower_s + each.slower_s)
        by[each.product, each.layout] = more
    checkpoints = [one.checkpoints_s for one in days if one.checkpoints_s is not None]
    return Days(
        whole_s=sum(one.whole_s for one in days),
        queue_s=sum(one.queue_s for one in days),
        again_s=sum(one.again_s for one in days),
        compute_s=sum(one.compute_s for one in days),
        checkpoints_s=sum(checkpoints) if checkpoints else None,
        lost_s=sum(one.lost_s for one in days),
        restarts_s=sum(one.restarts_s for one in days),
        elsewhere=tuple(by.values()),
        slowed_s=sum(one.slowed_s for one in days),
        failures=sum(one.failures for one in days),
        cut_short=sum(one.cut_short for one in days),
        first=days[0].first,
        done=all(one.done for one in days),
    )


def _restarts_s(row: Mapping[str, Any], each_s: int) -> int:
    """What returns have added; that of the last is not worked yet where the job has not started again."""
    returns = row["preemptions"] - (row["state"] == "waiting" and row["preemptions"] > 0)
    return int(min(each_s * returns, max(0, row["run_s"] - row["lost_s"])))


def _first(run: Run, row: Mapping[str, Any]) -> str:
    """The product of speed 1."""
    products = run.plan["workloads"][row["workload"]]["products"]
    return next((product for product, speed in products if speed == 1.0), "")


def _elsewhere(
    run: Run, row: Mapping[str, Any], training: Mapping[str, Any] | None, restarts_s: int
) -> tuple[tuple[Ran, ...], int]:
    """What ran at another speed than 1, and the restarts: with them, what the policy itself adds to work."""
    products = run.plan["workloads"][row["workload"]]["products"]
    speeds = {product: speed for product, speed in products if speed}
    layouts = {product: one["layout"] for product, one in training["products"].items()} if training else {}
    longer_s = row["run_s"] - row["lost_s"] - restarts_s - round(row["work_s"])
    known = run.preemptions.filter(pl.col("victim") == row["job"])
    if row["attempts"] > 1 + known.height:  # with hard quotas nobody writes on what each attempt ran
        if len(set(speeds.values()) | {1.0}) == 1:
            return (), restarts_s + max(0, longer_s) if row["state"] == "done" else restarts_s
        if row["state"] != "done" or abs(longer_s) <= row["attempts"]:  # attempts are whole seconds
            return (), restarts_s
        others = {product: speed for product, speed in speeds.items() if speed != 1.0}
        if len(others) > 1:
            return (Ran("", row["run_s"], longer_s, ""),), restarts_s
        ((product, speed),) = others.items()
        ran_s = min(row["run_s"], round(longer_s / (1.0 - speed)))
        return (Ran(product, ran_s, longer_s, layouts.get(product, "")),), restarts_s
    found: dict[str, int] = {}
    for product, start_s, t_s in known.select("product", "start_s", "t_s").iter_rows():
        found[product] = found.get(product, 0) + t_s - start_s
    if row["product"] is not None:
        last_s = row["run_s"] - sum(found.values())
        found[row["product"]] = found.get(row["product"], 0) + last_s
    ran = (
        Ran(product, ran_s, round(ran_s * (1.0 - speeds[product])), layouts.get(product, ""))
        for product, ran_s in found.items()
        if speeds.get(product, 1.0) != 1.0
    )
    return tuple(ran), restarts_s
