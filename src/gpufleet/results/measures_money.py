"""Measures of money; only of plans with a section `money`. Values are whole units of its currency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from gpufleet.base.money import minor_of
from gpufleet.base.units import YEAR_S
from gpufleet.models.economics import present_value
from gpufleet.results.facts import Facts
from gpufleet.results.measures import Rows, measure
from gpufleet.results.money.unit_costs import HOUR_S, UnitCosts

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT: Final = "currency"
_NEEDS: Final = ("money.flow", "money.home", "money", "deliveries", "sites")
_DIMS: Final = (("year",), ("payer",), ("item",), ("kind",), ("year", "payer"), ("year", "kind"))


def _year() -> pl.Expr:
    return pl.col("month").str.slice(0, 4).alias("year")


def _sums(facts: Facts, flow: str) -> Rows:
    """A flow within the plan's time, over all and by each dimension."""
    rows = facts.run.money.filter(pl.col("flow") == flow, pl.col("month").is_not_null()).with_columns(_year())
    if not rows.height:
        return
    minor = minor_of(facts.run.plan["money"]["currency"])
    yield {}, int(rows["home"].sum()) / minor
    for dims in _DIMS:
        table = rows.group_by(*dims).agg(pl.col("home").sum()).sort(*dims)
        for *names, total in table.iter_rows():
            yield dict(zip(dims, names, strict=True)), total / minor


@measure(
    "money_due",
    UNIT,
    "sum of home of money.parquet, flow due, within the plan's time; payers and items sum to the same",
    needs=_NEEDS,
)
def money_due(facts: Facts) -> Rows:
    """What falls due, by year, payer, item and kind."""
    yield from _sums(facts, "due")


@measure(
    "money_paid",
    UNIT,
    "sum of home of money.parquet, flow due less flow put off: what a budget cannot pay, it pays later",
    needs=_NEEDS,
)
def money_paid(facts: Facts) -> Rows:
    """What is paid, by year and payer."""
    off = dict(_keyed(_sums(facts, "put off")))
    for by, value in _sums(facts, "due"):
        if set(by) <= {"year", "payer"}:
            yield by, value - off.pop(tuple(sorted(by.items())), 0)
    for key, value in off.items():
        if {dim for dim, _ in key} <= {"year", "payer"}:
            yield dict(key), -value


def _keyed(rows: Rows) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    return ((tuple(sorted(by.items())), value) for by, value in rows)


@measure("money_received", UNIT, "sum of home of money.parquet, flow received", needs=_NEEDS)
def money_received(facts: Facts) -> Rows:
    """What comes in, by year, payer, item and kind."""
    yield from _sums(facts, "received")


@measure(
    "money_written_off",
    UNIT,
    "sum of home of money.parquet, flow written off: cost x (1 - left) x age / life, or by equal shares",
    needs=_NEEDS,
)
def money_written_off(facts: Facts) -> Rows:
    """What is written off of what was bought."""
    yield from _sums(facts, "written off")


@measure(
    "money_present_value",
    UNIT,
    "sum of received - due + put off, each / (1 + discount)^(years from the plan's start to its month's end)",
    needs=_NEEDS,
)
def money_present_value(facts: Facts) -> Rows:
    """What all payments are worth at the plan's start."""
    plan = facts.run.plan
    rate = plan.get("money", {}).get("discount")
    if rate is None:
        return
    rows = facts.run.money.filter(pl.col("flow") != "written off", pl.col("month").is_not_null())
    sign = pl.when(pl.col("flow") == "due").then(-1).otherwise(1)
    months = rows.group_by("month").agg((pl.col("home") * sign).sum()).sort("month")
    start = f"{facts.run.start:%Y-%m}"
    flows = [
        ((_months(month) - _months(start) + 1) * YEAR_S // 12, home) for month, home in months.iter_rows()
    ]
    yield {}, present_value(flows, float(rate)) / minor_of(plan["money"]["currency"])


def _months(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:7])


@measure(
    "funding_gap",
    UNIT,
    "owed at the end of the year: what fell due and has not been paid for want of money; at the rate of the "
    "year's last day",
    needs=("funding.owed", "money", "deliveries"),
)
def funding_gap(facts: Facts) -> Rows:
    """What a funding line owes at the end of a year."""
    rows = facts.run.funding.filter(pl.col("owed") > 0).select("line", "year", "owed_home")
    for line, year, owed in rows.iter_rows():
        yield {"line": line, "year": str(year)}, owed / minor_of(facts.run.plan["money"]["currency"])


# --- what a unit costs


@measure(
    "cost_per_gpu_h",
    "currency/GPU·h",
    "(written off + paid for what is no asset) / GPU-hours in service, over the whole months of the run",
    needs=(*_NEEDS, "timeline.online"),
)
def cost_per_gpu_h(facts: Facts) -> Rows:
    """What a GPU-hour in service costs, by product."""
    costs = facts.unit_costs
    if costs is None:
        return
    for product, cost in costs.cost.items():
        if cost:  # a product of which nothing has a price is not free
            yield {"product": product}, cost / (costs.online_s[product] / HOUR_S)


def _per_used(costs: UnitCosts) -> dict[str, float]:
    """What a GPU-hour that jobs hold costs, idle ones included, by product."""
    used: dict[str, int] = {}
    for (_, product), gpu_s in costs.used_s.items():
        used[product] = used.get(product, 0) + gpu_s
    return {name: cost / (used[name] / HOUR_S) for name, cost in costs.cost.items() if cost and name in used}


@measure(
    "cost_per_used_gpu_h",
    "currency/GPU·h",
    "the same cost / GPU-hours that jobs hold: those that nobody holds are paid too",
    needs=(*_NEEDS, "timeline.busy"),
)
def cost_per_used_gpu_h(facts: Facts) -> Rows:
    """What a GPU-hour that jobs hold costs, by product."""
    costs = facts.unit_costs
    for product, cost in _per_used(costs).items() if costs else ():
        yield {"product": product}, cost


@measure(
    "cost_per_tflop_year",
    "currency/TFLOPS·year",
    "the same cost / (GPUs in service x peak dense BF16 rate), in years of 365.25 days",
    needs=(*_NEEDS, "timeline.online"),
)
def cost_per_tflop_year(facts: Facts) -> Rows:
    """What a year of a TFLOPS of peak BF16 rate costs, by product."""
    from gpufleet.catalog.load import gpus

    costs = facts.unit_costs
    for product, cost in costs.cost.items() if costs else ():
        row = gpus().get(product)
        if costs and cost and row is not None and row.bf16_tflops:
            yield {"product": product}, cost / (costs.online_s[product] / YEAR_S * row.bf16_tflops)


@measure(
    "cost_per_job",
    UNIT,
    "sum over products of cost_per_used_gpu_h x GPU-hours that the tenant's jobs hold / its jobs that ended",
    needs=("cost_per_used_gpu_h", "jobs.end_s", "timeline.busy"),
)
def cost_per_job(facts: Facts) -> Rows:
    """What a job costs on average, by tenant."""
    costs = facts.unit_costs
    if costs is None:
        return
    per_used = _per_used(costs)
    ended = facts.run.scan_jobs().filter(pl.col("state") == "done", pl.col("end_s") <= costs.until_s)
    jobs = dict(ended.group_by("tenant").len().collect().iter_rows())
    total: dict[str, float] = {}
    for (tenant, product), gpu_s in costs.used_s.items():
        total[tenant] = total.get(tenant, 0.0) + gpu_s / HOUR_S * per_used.get(product, 0.0)
    for tenant, cost in total.items():
        if cost and jobs.get(tenant):
            yield {"tenant": tenant}, cost / jobs[tenant]


@measure(
    "cost_per_training",
    UNIT,
    "sum over the jobs of a training of their GPU-hours x cost_per_used_gpu_h of their product",
    needs=("cost_per_used_gpu_h", "jobs.run_s", "jobs.gpus", "workloads"),
)
def cost_per_training(facts: Facts) -> Rows:
    """What a trained model costs, by workload."""
    costs, trainings = facts.unit_costs, list(facts.run.plan.get("trainings", {}))
    if costs is None or not trainings:
        return
    per_used = _per_used(costs)
    held = (pl.col("run_s") * pl.col("gpus").cast(pl.Int64)).sum().alias("gpu_s")
    rows = facts.run.scan_jobs().filter(pl.col("workload").cast(pl.String).is_in(trainings))
    total: dict[str, float] = {}
    for name, product, gpu_s in _by_product(rows, held):
        total[name] = total.get(name, 0.0) + gpu_s / HOUR_S * per_used.get(product, 0.0)
    for name, cost in total.items():
        if cost:
            yield {"workload": name}, cost


def _by_product(rows: pl.LazyFrame, held: pl.Expr) -> Iterator[tuple[str, str, int]]:
    keys = [pl.col("workload").cast(pl.String), pl.col("product").cast(pl.String)]
    yield from (
        rows.drop_nulls("product").group_by(keys).agg(held).sort("workload", "product").collect().iter_rows()
    )
