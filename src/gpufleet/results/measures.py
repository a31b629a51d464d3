"""What a run is measured by: each measure has a name, a unit, a formula, and the sums it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import polars as pl

from gpufleet.base.say import Said
from gpufleet.results.columns import ROOTS
from gpufleet.results.facts import FIRST_STARTS, SIZES, SLOWDOWN_STEPS, Facts, Waits

By: TypeAlias = dict[str, str]
Rows: TypeAlias = Iterator[tuple[By, float | int]]
Compute: TypeAlias = Callable[[Facts], Rows]

HOUR_S: Final = 3600


@dataclass(frozen=True)
class Measure:
    """A measure: what it is called, counts in, how it is made, and from what."""

    name: str
    unit: str
    formula: str
    needs: tuple[str, ...]  # columns (jobs.*), kinds (timeline.*), sections of the plan, other measures
    doc: str
    compute: Compute

    @property
    def says(self) -> Said:
        """What it is, in a line."""
        return Said(self.doc.splitlines()[0].rstrip("."))


MEASURES: Final[dict[str, Measure]] = {}
"""All measures by name, in the order in which they are reported."""


def measure(name: str, unit: str, formula: str, *, needs: Iterable[str]) -> Callable[[Compute], Compute]:
    """Register a measure. The function yields (dimensions, value); no dimensions: the whole run."""

    def register(compute: Compute) -> Compute:
        MEASURES[name] = Measure(name, unit, formula, tuple(needs), (compute.__doc__ or "").strip(), compute)
        return compute

    return register


def measured(facts: Facts) -> list[dict[str, Any]]:
    """All values of all measures, as rows of measures.json."""
    currency = facts.run.plan.get("money", {}).get("currency", "")
    return [
        {
            "name": m.name,
            "unit": m.unit.replace("currency", currency) if currency else m.unit,
            "value": value,
            "by": by,
            "formula": m.formula,
        }
        for m in MEASURES.values()
        for by, value in m.compute(facts)
    ]


# --- GPUs


@measure(
    "online_gpu_h",
    "GPU·h",
    "integral of the GPUs in service from the plan's start to its end, or of the run if that is earlier",
    needs=("timeline.online", "deliveries", "retirements", "sites"),
)
def online_gpu_h(facts: Facts) -> Rows:
    """GPU-hours in service, whether used or not."""
    yield {}, facts.total_s("online") / HOUR_S
    for site, product in facts.keys("online", "site", "product"):
        yield (
            {"site": site, "product": product},
            facts.total_s("online", site=site, product=product) / HOUR_S,
        )


@measure(
    "busy_gpu_h",
    "GPU·h",
    "integral of the GPUs that jobs hold, over the same time as online_gpu_h; by site: the busy GPU-hours of "
    "a product divided as its jobs' GPU-hours at the site of their last attempt",
    needs=("timeline.busy", "jobs.site", "jobs.run_s", "jobs.gpus"),
)
def busy_gpu_h(facts: Facts) -> Rows:
    """GPU-hours that jobs hold."""
    yield {}, facts.total_s("busy") / HOUR_S
    for dim in ("tenant", "product"):
        for (name,) in facts.keys("busy", dim):
            yield {dim: name}, facts.total_s("busy", **{dim: name}) / HOUR_S
    for site, busy_s in facts.busy_by_site_s.items():
        yield {"site": site}, busy_s / HOUR_S


@measure(
    "idle_gpu_h",
    "GPU·h",
    "sum over bins and products of max(0, online - busy); a drained node's jobs are busy but not online",
    needs=("timeline.online", "timeline.busy"),
)
def idle_gpu_h(facts: Facts) -> Rows:
    """GPU-hours in service that nobody held."""
    yield {}, sum(facts.idle_s.values()) / HOUR_S
    for product, idle_s in facts.idle_s.items():
        yield {"product": product}, idle_s / HOUR_S


@measure(
    "utilisation",
    "1",
    "busy_gpu_h / (busy_gpu_h + idle_gpu_h); by site and by tenant busy_gpu_h / online_gpu_h, at most 1, a "
    "tenant's online GPUs being its own and the shared ones",
    needs=("busy_gpu_h", "idle_gpu_h", "online_gpu_h"),
)
def utilisation(facts: Facts) -> Rows:
    """Share of the GPU-hours in service that jobs held."""
    yield from _share({}, facts.total_s("busy"), facts.total_s("busy") + sum(facts.idle_s.values()))
    for product, idle_s in facts.idle_s.items():
        busy_s = facts.total_s("busy", product=product)
        yield from _share({"product": product}, busy_s, busy_s + idle_s)
    for (site,) in facts.keys("online", "site"):
        yield from _share(
            {"site": site}, facts.busy_by_site_s.get(site, 0.0), facts.total_s("online", site=site)
        )
    owned = facts.gpu_s.filter(pl.col("kind") == "online")
    for (tenant,) in facts.keys("busy", "tenant"):
        usable = owned.filter(pl.col("tenant").is_null() | (pl.col("tenant") == tenant))
        yield from _share(
            {"tenant": tenant}, facts.total_s("busy", tenant=tenant), int(usable.get_column("gpu_s").sum())
        )


def _share(by: By, part: float, whole: float) -> Rows:
    """A share of something that may not be there: then there is no value."""
    if whole:
        yield by, min(1.0, part / whole)


@measure(
    "unpowered_gpu_h",
    "GPU·h",
    "integral of the GPUs that are delivered and have no power, over the same time as online_gpu_h",
    needs=("deliveries", "sites"),
)
def unpowered_gpu_h(facts: Facts) -> Rows:
    """GPU-hours delivered but not powered, by delivery."""
    by_lot: dict[int, list[tuple[int, int]]] = {}
    for short in facts.seen.shortages:
        by_lot.setdefault(short.lot, []).append((max(0, short.from_s), short.gpus))
    end_s = facts.until_s
    total = 0
    for lot, steps in sorted(by_lot.items()):
        ends = [*(t for t, _ in steps[1:]), end_s]
        gpu_s = sum(g * max(0, min(end, end_s) - t) for (t, g), end in zip(steps, ends, strict=True))
        total += gpu_s
        yield {"delivery": facts.run.names.lots[lot]}, gpu_s / HOUR_S
    if by_lot:
        yield {}, total / HOUR_S


# --- jobs


@measure("jobs", "job", "number of rows of jobs.parquet", needs=("jobs.state", "jobs.tenant"))
def jobs(facts: Facts) -> Rows:
    """Jobs, by the state in which the run left them, and by tenant."""
    yield {}, int(facts.sums.get_column("jobs").sum())
    for dim in ("state", "tenant"):
        yield from _sums(facts, "jobs", dim)


@measure(
    "refused_jobs",
    "job",
    "jobs that can never run, by what refuses them",
    needs=("jobs.state", "jobs.last_refusal"),
)
def refused_jobs(facts: Facts) -> Rows:
    """Jobs refused for ever."""
    yield {}, sum(n for _, n in facts.refused)
    for cause, n in facts.refused:
        yield {"cause": cause}, n


@measure(
    "gpu_h_share",
    "1",
    "GPU-hours held by jobs of a size class / those of all jobs, over the whole run",
    needs=("jobs.gpus", "jobs.run_s"),
)
def gpu_h_share(facts: Facts) -> Rows:
    """Share of the GPU-hours by size of job."""
    by_size = dict(_sums(facts, "gpu_s", "size", pairs=True))
    for size, gpu_s in by_size.items():
        yield from _share({"size": size}, gpu_s, sum(by_size.values()))


@measure(
    "waiting_gpu_h",
    "GPU·h",
    "sum of gpus x root_<cause>_s over all jobs, over the whole run",
    needs=("jobs.gpus", *(f"jobs.root_{root}_s" for root in ROOTS)),
)
def waiting_gpu_h(facts: Facts) -> Rows:
    """GPU-hours that jobs waited for, by root cause and tenant."""
    by_tenant = facts.sums.group_by("tenant").agg(pl.col(ROOTS).sum()).sort("tenant")
    table = {tenant: dict(zip(ROOTS, sums, strict=True)) for tenant, *sums in by_tenant.iter_rows()}
    yield {}, sum(sum(row.values()) for row in table.values()) / HOUR_S
    for root in ROOTS:
        yield {"cause": root}, sum(row[root] for row in table.values()) / HOUR_S
    for tenant, row in table.items():
        yield {"tenant": tenant}, sum(row.values()) / HOUR_S
        for root, gpu_s in row.items():
            if gpu_s:
                yield {"tenant": tenant, "cause": root}, gpu_s / HOUR_S


def _sums(facts: Facts, column: str, dim: str, *, pairs: bool = False) -> Iterator[tuple[Any, int]]:
    """A sum by one dimension: ({dim: name}, value), or (name, value) with `pairs`."""
    summed = facts.sums.group_by(dim).agg(pl.col(column).sum()).sort(dim)
    for key, value in summed.iter_rows():
        name = SIZES[key] if dim == "size" else key
        yield (name if pairs else {dim: name}), int(value)


def _wait_measure(name: str, words: str, value: Callable[[Waits], float]) -> None:
    """Register one number of the distribution of waits, simulated, and beside recorded ones."""
    counted = (
        "over all jobs that were eligible, but those refused for ever; a job still waiting counts with its "
        "wait so far"
    )

    @measure(f"wait_{name}_s", "s", f"{words} of wait_s {counted}", needs=("jobs.wait_s",))
    def waits(facts: Facts) -> Rows:
        """Wait over all attempts, of all jobs, by tenant, and by size."""
        yield from ((by, value(group)) for by, group in facts.waits if group.n)

    for which, column in (("recorded", "recorded_start_s"), ("simulated", "start_s")):
        both = "over jobs with a recorded and a simulated start"

        @measure(
            f"first_wait_{which}_{name}_s",
            "s",
            f"{words} of {column} - {FIRST_STARTS[column]} {both}",
            needs=(f"jobs.{column}", f"jobs.{FIRST_STARTS[column]}"),
        )
        def first_waits(facts: Facts, column: str = column) -> Rows:
            """Wait until the first start, where the trace has one too."""
            group = facts.first_waits[column]
            if group.n:
                yield {}, value(group)


def _quantile(share: float) -> Callable[[Waits], float]:
    return lambda group: group.quantile(share)


for _percent in (50, 90, 99):
    _wait_measure(f"p{_percent}", f"{_percent} % quantile", _quantile(_percent / 100))
_wait_measure("mean", "mean", Waits.mean)


@measure(
    "bounded_slowdown",
    "1",
    "mean of max(1, (wait_s + run_s) / max(run_s, 10 s)) over jobs that are done or killed",
    needs=("jobs.wait_s", "jobs.run_s", "jobs.state"),
)
def bounded_slowdown(facts: Facts) -> Rows:
    """How many times longer than its run a job took; short jobs count as 10 s long."""
    ended = facts.sums.filter(pl.col("state").is_in(["done", "killed"]))
    groups: Mapping[str, tuple[int, int]] = {
        tenant: (steps, n)
        for tenant, steps, n in ended.group_by("tenant")
        .agg(pl.col("steps").sum(), pl.col("jobs").sum())
        .sort("tenant")
        .iter_rows()
    }
    if groups:
        steps, n = (sum(column) for column in zip(*groups.values(), strict=True))
        yield {}, steps / n / SLOWDOWN_STEPS
    for tenant, (steps, n) in groups.items():
        yield {"tenant": tenant}, steps / n / SLOWDOWN_STEPS


@measure("makespan_h", "h", "last end - first submission", needs=("jobs.submit_s", "jobs.end_s"))
def makespan_h(facts: Facts) -> Rows:
    """Time from the first submission to the last end."""
    if facts.span is not None:
        yield {}, (facts.span[1] - facts.span[0]) / HOUR_S


@measure("trace_rows", "row", "rows of the trace that were read", needs=("workloads",))
def trace_rows(facts: Facts) -> Rows:
    """Rows read, by workload."""
    for intake in facts.seen.intakes:
        yield {"workload": intake.workload}, intake.rows_read


@measure(
    "trace_rows_dropped", "row", "rows of the trace that could not be used, by reason", needs=("workloads",)
)
def trace_rows_dropped(facts: Facts) -> Rows:
    """Rows left out, by workload and reason."""
    for intake in facts.seen.intakes:
        for reason, rows in sorted(intake.dropped.items()):
            yield {"workload": intake.workload, "reason": reason}, rows


from gpufleet.results import measures_fragmentation as measures_fragmentation  # noqa: E402 - they register here
from gpufleet.results import measures_money as measures_money  # noqa: E402 - as above
from gpufleet.results import measures_power as measures_power  # noqa: E402 - as above
from gpufleet.results import measures_reserved as measures_reserved  # noqa: E402 - as above
from gpufleet.results import measures_sharing as measures_sharing  # noqa: E402 - they register their own here
from gpufleet.results import measures_supply as measures_supply  # noqa: E402 - as above
from gpufleet.results import measures_to_and_fro as measures_to_and_fro  # noqa: E402 - as above
from gpufleet.results import sums as sums  # noqa: E402 - as above
from gpufleet.results import to_date as to_date  # noqa: E402 - as above
