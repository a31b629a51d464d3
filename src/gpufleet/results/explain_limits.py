"""Why a job waited, or was not eligible: the limits of its user, project or array, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.results import folder
from gpufleet.results.blame import Blame, Lock, line
from gpufleet.results.holdings import jobs_at
from gpufleet.results.then import eligible, first_pass_s
from gpufleet.world.layout import UNLIMITED
from gpufleet.world.names import ARRAY, PROJECT, USER
from gpufleet.world.save import load_accounts

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run
    from gpufleet.world.layout import Accounts
    from gpufleet.world.names import Names


class LimitThen(NamedTuple):
    """What one account of a job held at a moment, when all that happened then had happened."""

    kind: str  # user, project or array
    name: str
    line: Blame
    t_s: int  # the moment
    product: str | None = None  # GPUs of it; None: of all products
    unit: str = "GPU"  # or job
    used: int = 0
    most: int = 0
    ended: str | None = None  # local date from which nothing of the project starts

    def refuses(self, gpus: int) -> bool:
        """Whether it had no room for a job of so many GPUs."""
        return self.ended is not None or self.used + (gpus if self.unit == "GPU" else 1) > self.most

    def text(self, at: str) -> Said:
        """The numbers in a sentence; `at`: local time."""
        told: dict[str, Any] = {"who": who(self.kind, self.name), "line": self.line.says()}
        if self.ended is not None:
            return say("{who} ended {date}; nothing of it starts any more ({line})", date=self.ended, **told)
        told |= {"at": at, "used": self.used, "most": self.most}
        if self.unit == "job":
            return say("{at}: {who} ran {used:,} of {most:,} jobs that it may run at once ({line})", **told)
        if self.product is None:
            return say("{at}: {who} held {used:,} of {most:,} GPUs that it may hold ({line})", **told)
        return say(
            "{at}: {who} held {used:,} of {most:,} {product} that it may hold ({line})",
            product=self.product,
            **told,
        )


def who(kind: str, name: str) -> Said:
    """An account as people call it."""
    if kind == USER:
        return say("user {name}", name=name)
    return say("project {name}", name=name) if kind == PROJECT else say("array {name}", name=name)


def limits_then(run: Run, row: Row, products: Sequence[str]) -> tuple[LimitThen, ...]:
    """What the accounts of a job held, of what they may hold; nothing if it has none, or did not wait.

    The moment is the last of the wait for its only start, if a limit refused it then; else the first pass
    that left it waiting.
    """
    last = row["last_refusal"] == "limit" and row["start_s"] is not None and row["attempts"] == 1
    t_s = row["start_s"] - 1 if last else first_pass_s(run, eligible(row))
    return limits_at(run, row, products, t_s) if row["wait_s"] else ()


def limits_at(run: Run, row: Row, products: Sequence[str], t_s: int) -> tuple[LimitThen, ...]:
    """What the accounts of a job held at a second, of what they may hold; nothing if it has none."""
    accounts, names = load_accounts(run.path / folder.WORLD)
    if accounts is None:
        return ()
    mine = {USER: row["user"], PROJECT: row["project"], ARRAY: row["workload"]}
    about = zip(names.account_kinds, names.accounts, names.account_paths, strict=True)
    found: list[LimitThen] = []
    for at, (kind, name, path) in enumerate(about):
        if mine[kind] == name and _holds(run.plan, path, row):
            here = LimitThen(kind, name, line(run.plan, path), t_s)
            if accounts.end_s[at] <= t_s:
                found.append(here._replace(ended=_date(run, accounts.end_s[at])))
            else:
                running = _running(run, kind, name, path, t_s)
                found += _of_account(here, accounts, names, at, products, running)
    return tuple(found)


def _of_account(
    here: LimitThen, accounts: Accounts, names: Names, at: int, products: Sequence[str], running: pl.DataFrame
) -> Iterator[LimitThen]:
    """The limits of one account beside what its running jobs hold."""
    limits = [(product, int(accounts.limit[at, names.products.index(product)])) for product in products]
    for product, most in [*limits, (None, int(accounts.total[at]))]:
        if most != UNLIMITED:
            of = running if product is None else running.filter(pl.col("product") == product)
            yield here._replace(product=product, used=int(of.get_column("gpus").sum()), most=most)
    if accounts.jobs[at] != UNLIMITED:
        yield here._replace(unit="job", used=running.height, most=int(accounts.jobs[at]))


def _holds(lock: Lock, path: str, row: Row) -> bool:
    """Whether the limit at a path counts a job."""
    return path.startswith("workloads.") or row["queue"] in _queues(lock, path)


def _queues(lock: Lock, path: str) -> list[str]:
    """The queues whose jobs a limit counts: one, or all of a tenant."""
    part = path.rpartition(".limits.")[0]
    for name, tenant in lock["tenants"].items():
        if part == f"tenants.{name}":
            return list(tenant["queues"])
        for queue in tenant["queues"]:
            if part == f"tenants.{name}.queues.{queue}":
                return [queue]
    return []


def _running(run: Run, kind: str, name: str, path: str, t_s: int) -> pl.DataFrame:
    """GPUs and products of the jobs of an account that ran at a second."""
    column = "workload" if kind == ARRAY else kind
    keep = [pl.col(column) == name]
    if kind != ARRAY:
        keep.append(pl.col("queue").is_in(_queues(run.plan, path)))
    return jobs_at(run, t_s).filter(*keep).select("gpus", "product").collect(engine="streaming")


def _date(run: Run, t_s: int) -> str:
    moment = (run.start + timedelta(seconds=int(t_s))).astimezone(ZoneInfo(run.time_zone))
    return f"{moment:%Y-%m-%d}"


def refusing(limits: Sequence[LimitThen], gpus: int) -> list[LimitThen]:
    """The limits that had no room for a job; all of them, if each had."""
    return [each for each in limits if each.refuses(gpus)] or list(limits)


def never_within(run: Run, row: Row, products: Sequence[str]) -> Said:
    """Why the limits of a job can never admit it."""
    limits = limits_at(run, row, products, eligible(row) + row["wait_s"] + row["run_s"])
    for each in limits:
        if each.ended is not None:
            return each.text("")
    small = [each for each in limits if each.unit == "GPU" and each.most < row["gpus"]]
    return say("{limits:; }", limits=[_most(each) for each in small])


def _most(each: LimitThen) -> Said:
    told = {"who": who(each.kind, each.name), "most": f"{each.most:,}", "line": each.line.says()}
    return say("{who} may hold {most} GPUs at most ({line})", **told)


class Waited(NamedTuple):
    """A workload that a job depends on."""

    workload: str
    any: bool
    jobs: int
    left: int  # that had not ended by the end of the run
    not_done: int  # that ended otherwise
    one: int | None  # of these, the first
    last_s: int | None  # when the last of it ended
    line: Blame

    def text(self, at: str | None) -> Said:
        """What became of it; `at`: local time of its last end."""
        told = {"name": self.workload, "line": self.line.says()}
        if self.not_done and not self.any:
            return say(
                "{n:,} job of {name} was not done (job {one}), and all must be ({line})",
                "{n:,} jobs of {name} were not done (the first: job {one}), and all must be ({line})",
                n=self.not_done, one=self.one, **told,
            )  # fmt: skip
        if self.left or at is None:
            return say(
                "{left:,} of {jobs:,} jobs of {name} had not ended by the end of the run ({line})",
                left=self.left, jobs=self.jobs, **told,
            )  # fmt: skip
        return say(
            "the job of {name} had ended {at} ({line})",
            "all {n:,} jobs of {name} had ended {at} ({line})",
            n=self.jobs, at=at, **told,
        )  # fmt: skip


def dependencies(run: Run, row: Row) -> tuple[Waited, ...]:
    """What became of the workloads that a job depends on."""
    name = row["workload"]
    return tuple(_waited(run, name, after) for after in run.plan["workloads"][name].get("after", ()))


def _waited(run: Run, workload: str, after: dict[str, Any]) -> Waited:
    of = run.scan_jobs().filter(pl.col("workload") == after["workload"])
    failed = pl.col("state").is_in(["killed", "refused"])
    counted = of.select(
        jobs=pl.len(),
        left=pl.col("state").is_in(["running", "waiting"]).sum(),
        not_done=failed.sum(),
        one=pl.col("job").filter(failed).min(),
        last_s=pl.col("end_s").max(),
    )
    jobs, left, not_done, one, last_s = counted.collect(engine="streaming").row(0)
    at = line(run.plan, f"workloads.{workload}.after")
    return Waited(after["workload"], after["any"], jobs, left, not_done, one, last_s, at)
