"""Sums over a run's frames, from which all measures are made: small, exact (integers), each computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from gpufleet.base.arrays import Ints
from gpufleet.results import folder
from gpufleet.results.columns import LOST_NODE, ROOTS
from gpufleet.results.money.unit_costs import UnitCosts

if TYPE_CHECKING:
    from gpufleet.results.power import Drawn
    from gpufleet.results.reserved import Reserved
    from gpufleet.results.run import Run
    from gpufleet.world.demand import Intake
    from gpufleet.world.service import Shortage

SIZES: Final = ("1", "2-8", "9-64", "65-512", ">512")
"""Size classes of jobs, by GPUs."""

SHORT_S: Final = 10
"""Bounded slowdown takes a job for at least this long, s."""

SLOWDOWN_STEPS: Final = 10_000
"""Slowdowns are summed in whole steps of 1 / 10,000, so that the order of the sum does not matter."""

FIRST_STARTS: Final = {"recorded_start_s": "submit_s", "start_s": "eligible_s"}
"""Columns of first starts, and of what the wait for them is counted from."""


@dataclass(frozen=True)
class Seen:
    """What the study knows of a run that its frames do not hold."""

    grid_s: int  # width of a bin of the timeline
    ended_s: int  # when the run ended
    runs_on: bool  # beyond the plan's end, until every job has ended
    intakes: Sequence[Intake] = field(default=())
    shortages: Sequence[Shortage] = field(default=())
    reserved: Sequence[Reserved] = field(default=())
    drawn: Sequence[Drawn] = field(default=())  # of sites with a meter


def size_class() -> pl.Expr:
    """The size class of a job, as an index into `SIZES`."""
    return pl.sum_horizontal(pl.col("gpus") > most for most in (1, 8, 64, 512)).cast(pl.Int8).alias("size")


class Facts:
    """The sums of one run.

    Args: run: with jobs and timeline written; seen: what is not in them.
    """

    def __init__(self, run: Run, seen: Seen) -> None:
        self.run = run
        self.seen = seen
        ended = seen.ended_s if seen.runs_on and seen.ended_s else run.end_s
        self.until_s = min(run.end_s, ended)  # of all that is counted within the plan's time

    @cached_property
    def unit_costs(self) -> UnitCosts | None:
        """The costs of products; None without money, or without a whole month."""
        if not self.run.money.height:
            return None
        found = UnitCosts(self.run, self.until_s)
        return found if found.months and found.online_s else None

    # --- GPU-seconds within the plan's time

    @cached_property
    def _within(self) -> pl.LazyFrame:
        return self.run.scan_timeline().filter(pl.col("t_s") < self.until_s)

    @cached_property
    def gpu_s(self) -> pl.DataFrame:
        """GPU-seconds online and busy: kind, tenant, product, site, gpu_s."""
        keys = ["kind", "tenant", "product", "site"]
        held = self._within.filter(pl.col("kind") != "waiting")
        return held.group_by(keys).agg(pl.col("gpu_s").sum()).sort(keys).collect()

    @cached_property
    def by_bin(self) -> pl.DataFrame:
        """GPU-seconds per bin and product: t_s, product, online, busy."""
        kinds = [
            pl.col("gpu_s").filter(pl.col("kind") == kind).sum().alias(kind) for kind in ("online", "busy")
        ]
        held = self._within.filter(pl.col("kind") != "waiting")
        return held.group_by("t_s", "product").agg(kinds).sort("t_s", "product").collect()

    @cached_property
    def idle_s(self) -> dict[str, int]:
        """GPU-seconds online and held by no job, by product, counted bin by bin."""
        idle = self.by_bin.with_columns(idle=(pl.col("online") - pl.col("busy")).clip(lower_bound=0))
        return dict(idle.group_by("product").agg(pl.col("idle").sum()).sort("product").iter_rows())

    def total_s(self, kind: str, **where: str) -> int:
        """GPU-seconds of a kind, online or busy, within the plan's time."""
        rows = self.gpu_s.filter(pl.col("kind") == kind, *(pl.col(k) == v for k, v in where.items()))
        return int(rows.get_column("gpu_s").sum())

    def keys(self, kind: str, *columns: str) -> list[tuple[str, ...]]:
        """The combinations that a kind has rows of, sorted."""
        rows = self.gpu_s.filter(pl.col("kind") == kind).select(columns).drop_nulls().unique().sort(columns)
        return rows.rows()

    @cached_property
    def busy_by_site_s(self) -> dict[str, float]:
        """GPU-seconds held, by site. The timeline knows products; jobs say how these divide among sites."""
        total: dict[str, float] = {}
        by_product: dict[str, dict[str, int]] = {}
        for product, site, weight in self._site_weights.iter_rows():
            by_product.setdefault(product, {})[site] = weight
        for product, weights in by_product.items():
            busy, whole = self.total_s("busy", product=product), sum(weights.values())
            for site, weight in weights.items():
                total[site] = total.get(site, 0.0) + (busy * weight / whole if whole else 0.0)
        return total

    @cached_property
    def _site_weights(self) -> pl.DataFrame:
        """GPU-seconds of jobs within the plan's time by product and site of the last attempt."""
        end = self.until_s
        until = pl.min_horizontal(pl.col("end_s").fill_null(end), end)
        span = (until - pl.col("start_s")).clip(lower_bound=0)
        held = pl.min_horizontal("run_s", span) * pl.col("gpus")
        ran = self.run.scan_jobs().filter(pl.col("site").is_not_null())
        keys = ["product", "site"]
        return ran.group_by(keys).agg(held.sum().alias("weight")).sort(keys).collect(engine="streaming")

    # --- jobs

    @cached_property
    def sums(self) -> pl.DataFrame:
        """Per tenant, state and size: jobs, gpu_s, slowdown (in steps), and wait_<root> in GPU-seconds."""
        run_s, gpus = pl.col("run_s"), pl.col("gpus").cast(pl.Int64)
        slowdown = (pl.col("wait_s") + run_s) / pl.max_horizontal(run_s, SHORT_S)
        steps = (slowdown.clip(lower_bound=1.0) * SLOWDOWN_STEPS).round().cast(pl.Int64)
        roots = [(gpus * pl.col(f"root_{root}_s")).sum().alias(root) for root in ROOTS]
        keys = ["tenant", "state", "size"]
        grouped = self.run.scan_jobs().with_columns(size_class()).group_by(keys)
        made = grouped.agg(
            pl.len().alias("jobs"), (gpus * run_s).sum().alias("gpu_s"), steps.sum().alias("steps"), *roots
        )
        return made.sort(keys).collect(engine="streaming")

    @cached_property
    def waits(self) -> list[tuple[dict[str, str], Waits]]:
        """Waits of all jobs, of each tenant, and of each size class.

        Jobs that were never eligible, or are refused for ever, do not count.
        """
        names = self.run.names.tenants
        tenant = pl.col("tenant").cast(pl.Enum(names)).to_physical().cast(pl.Int32).alias("tenant")
        jobs = self.run.scan_jobs().filter(pl.col("state") != "refused", pl.col("eligible_s").is_not_null())
        columns = jobs.select(tenant, size_class(), "wait_s").collect(engine="streaming")
        tenants, sizes, waits = (columns.get_column(name).to_numpy() for name in columns.columns)
        groups: list[tuple[dict[str, str], Waits]] = [({}, Waits(waits))]
        found = np.unique(tenants).tolist()
        for code in sorted(found, key=lambda code: names[code]):
            groups.append(({"tenant": names[code]}, Waits(waits[tenants == code])))
        for code in np.unique(sizes).tolist():
            groups.append(({"size": SIZES[code]}, Waits(waits[sizes == code])))
        return groups

    @cached_property
    def refused(self) -> list[tuple[str, int]]:
        """Jobs refused for ever by cause."""
        never = self.run.scan_jobs().filter(pl.col("state") == "refused")
        counted = (
            never.group_by("last_refusal").agg(pl.len()).sort("last_refusal").collect(engine="streaming")
        )
        return counted.rows()

    @cached_property
    def first_waits(self) -> dict[str, Waits]:
        """Waits until the first start, of jobs with a recorded and a simulated one.

        Keys are the columns with the start, ``recorded_start_s`` and ``start_s``.
        """
        both = self.run.scan_jobs().drop_nulls(["start_s", "recorded_start_s"])
        waits = [(pl.col(start) - pl.col(since)).alias(start) for start, since in FIRST_STARTS.items()]
        columns = both.select(waits).collect(engine="streaming")
        return {start: Waits(columns.get_column(start).to_numpy()) for start in FIRST_STARTS}

    # --- shared quotas

    @cached_property
    def shares(self) -> bool:
        """Whether queues lend to each other."""
        return (self.run.path / folder.QUOTAS).exists()

    @cached_property
    def quotas(self) -> pl.DataFrame:
        """GPU-hours owned, used, borrowed, lent within the plan's time: tenant, name (queue), product, ...

        Empty with hard quotas.
        """
        if not self.shares:
            return self.run.quotas
        own = pl.scan_parquet(self.run.path / folder.QUOTAS).filter(pl.col("kind") == "queue")
        within = own.filter(pl.col("t_s") < self.until_s)
        keys = ["tenant", "name", "product"]
        return within.group_by(keys).agg(pl.col("^.*_gpu_h$").sum()).sort(keys).collect(engine="streaming")

    @cached_property
    def preempted(self) -> pl.DataFrame:
        """preemptions.parquet with the tenants of victim and preemptor; empty with hard quotas."""
        tenant = {name: queue["tenant"] for name, queue in self.run.plan["queues"].items()}
        both = {"tenant": "queue", "by_tenant": "by_queue"}
        named = [
            pl.col(queue).replace_strict(tenant, default=None, return_dtype=pl.String).alias(name)
            for name, queue in both.items()
        ]
        return self.run.preemptions.with_columns(named)

    @cached_property
    def victims(self) -> pl.DataFrame:
        """Jobs that others or a quota pushed out: victim, n, lost_gpu_s; most often first."""
        pushed = self.preempted.filter(~pl.col("rule").is_in(LOST_NODE))
        counted = pushed.group_by("victim").agg(pl.len().alias("n"), pl.col("lost_gpu_s").sum())
        return counted.sort("n", "lost_gpu_s", "victim", descending=[True, True, False])

    @cached_property
    def span(self) -> tuple[int, int] | None:
        """First submission and last end, s; None if no job has ended."""
        ends = self.run.scan_jobs().select(a=pl.col("submit_s").min(), b=pl.col("end_s").max())
        first, last = ends.collect(engine="streaming").row(0)
        return None if last is None else (first, last)


class Waits:
    """A distribution of waits.

    >>> waits = Waits(np.array([0, 60, 0, 0]))
    >>> waits.mean(), waits.quantile(0.5), waits.quantile(1.0)
    (15.0, 0.0, 60.0)
    """

    def __init__(self, wait_s: Ints) -> None:
        """Args: wait_s: one for each job, in any order, whole seconds."""
        self.n = len(wait_s)
        self.total_s = int(wait_s.sum())
        small = self.n and wait_s.min() >= 0 and wait_s.max() <= np.iinfo(np.int32).max
        self._sorted_s = np.sort(
            wait_s.astype(np.int32) if small else wait_s
        )  # half the memory, and the time

    def mean(self) -> float:
        """Mean wait, s. There must be a job."""
        return self.total_s / self.n

    def quantile(self, share: float) -> float:
        """Wait that this share of the jobs does not exceed, s; linear between the two nearest jobs."""
        place = share * (self.n - 1)
        low = int(place)
        below, above = (float(self._sorted_s[rank]) for rank in (low, min(low + 1, self.n - 1)))
        return below + (above - below) * (place - low)
