"""Measures of supply: what is promised, ordered, online at the plan's end, and what is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from gpufleet.results.facts import Facts
from gpufleet.results.measures import By, Rows, measure

DIMS: Final = ("tenant", "product", "site", "operator")
CONTRACTED: Final = ("ordered", "delivered", "online")
"""Statuses of lots that are bought, as of today."""

_LOTS: Final = pl.col("first")


def at_end(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the last month of a plan."""
    return table.filter(pl.col("month") == pl.col("month").max())


@measure(
    "promised_gpus",
    "GPU",
    "as the plan says; promises stand side by side and have no sum",
    needs=("promises",),
)
def promised_gpus(facts: Facts) -> Rows:
    """GPUs promised, by promise."""
    for name, promise in facts.run.plan["promises"].items():
        yield {"promise": name}, promise["gpus"]


@measure(
    "contracted_gpus",
    "GPU",
    "sum over lots whose status is ordered, delivered or online and that are not cancelled, as of `as_of`; "
    "each lot once",
    needs=("deliveries",),
)
def contracted_gpus(facts: Facts) -> Rows:
    """GPUs that are bought today, whole and by promise, tenant, product, site and operator."""
    lock = facts.run.plan
    lots = {
        name: lot
        for name, lot in lock["deliveries"].items()
        if lot["status"] in CONTRACTED and not _cancelled(lot, lock["as_of"])
    }
    yield from _by_lot(lock, {name: lot["gpus"] for name, lot in lots.items()})


def _cancelled(lot: Mapping[str, Any], day: str) -> bool:
    """Whether a lot is cancelled by a moment."""
    stopped = lot.get("stopped")
    return stopped is not None and datetime.fromisoformat(stopped) <= datetime.fromisoformat(day)


@measure(
    "other_product_gpus",
    "GPU",
    "sum over lots that count toward the promise and are of another product or generation than it speaks of",
    needs=("promises", "deliveries"),
)
def other_product_gpus(facts: Facts) -> Rows:
    """GPUs that count toward a promise and are not of the kind that was promised, by promise."""
    lock = facts.run.plan
    for name in lock["promises"]:
        gpus = sum(lock["deliveries"][lot]["gpus"] for lot in of_other_kind(lock, name))
        if gpus:
            yield {"promise": name}, gpus


@measure(
    "supply_gpus",
    "GPU",
    "GPUs that have taken a step by the plan's end; of lots each once, by promise those that count toward "
    "it; a sum over unlike products counts whole GPUs",
    needs=("supply.gpus", "supply.step", "supply.first"),
)
def supply_gpus(facts: Facts) -> Rows:
    """GPUs ordered, delivered, powered, online at the plan's end; pledged ones by promise only."""
    yield from _sums(at_end(facts.run.supply), pl.col("gpus").sum())


@measure(
    "supply_gpus_low",
    "GPU",
    "as supply_gpus, few and late; absent without ranges",
    needs=("supply.gpus_low", "supply.step"),
)
def supply_gpus_low(facts: Facts) -> Rows:
    """The same at the scarce end of all ranges of counts, dates, power, PUE and ratings."""
    yield from _bound(facts, "gpus_low")


@measure(
    "supply_gpus_high",
    "GPU",
    "as supply_gpus, many and early; absent without ranges",
    needs=("supply.gpus_high", "supply.step"),
)
def supply_gpus_high(facts: Facts) -> Rows:
    """The same at the plentiful end of all ranges."""
    yield from _bound(facts, "gpus_high")


@measure(
    "supply_tflops_bf16",
    "TFLOPS",
    "GPUs of supply_gpus x peak dense BF16 rate; absent where the rate of one product is not known",
    needs=("supply.tflops_bf16", "supply.step", "supply.first"),
)
def supply_tflops_bf16(facts: Facts) -> Rows:
    """Peak rate of the GPUs that have taken a step by the plan's end: adds up over unlike products."""
    yield from _sums(_known(facts, "tflops_bf16"), _whole("tflops_bf16"), ("tenant",))


@measure(
    "supply_mw",
    "MW",
    "rated IT power of the GPUs of supply_gpus in whole nodes; absent where that of one system is not known",
    needs=("supply.mw", "supply.step", "supply.first"),
)
def supply_mw(facts: Facts) -> Rows:
    """Rated IT power of the GPUs that have taken a step by the plan's end."""
    yield from _sums(_known(facts, "mw"), _whole("mw"), ("tenant",))


@measure(
    "shortage_gpus",
    "GPU",
    "GPUs of a promise that are not online at the plan's end, by the first step that they have not taken",
    needs=("shortage.gpus", "shortage.step", "shortage.promise"),
)
def shortage_gpus(facts: Facts) -> Rows:
    """GPUs that are short at the plan's end, by promise and missing step."""
    yield from _shorts(facts, "gpus")


@measure(
    "overdue_gpus",
    "GPU",
    "GPUs of a promise that are due by the plan's end and not online, by the first step not taken",
    needs=("shortage.overdue", "shortage.step", "shortage.promise"),
)
def overdue_gpus(facts: Facts) -> Rows:
    """GPUs that are due at the plan's end and not there, by promise and missing step."""
    yield from _shorts(facts, "overdue")


def of_other_kind(lock: Mapping[str, Any], promise: str) -> dict[str, str]:
    """Lots that count toward a promise and are of another architecture or product than its words name."""
    from gpufleet.catalog.load import other_kind

    words = lock["promises"][promise].get("product")
    kinds = {
        name: other_kind(lock["systems"][lot["system"]]["product"], words)
        for name, lot in lock["deliveries"].items()
        if promise in lot["counts_toward"]
    }
    return {name: kind for name, kind in kinds.items() if kind is not None}


def counts_toward(lock: Mapping[str, Any], lot: str, promise: str) -> bool:
    """Whether a lot of a lock counts toward a promise."""
    return promise in lock["deliveries"][lot]["counts_toward"]


def _by_lot(lock: Mapping[str, Any], gpus: Mapping[str, int]) -> Rows:
    """Sums over lots: all, by promise, by tenant, product and site."""
    yield {}, sum(gpus.values())
    for name in lock["promises"]:
        yield {"promise": name}, sum(n for lot, n in gpus.items() if counts_toward(lock, lot, name))
    sums: dict[tuple[str, str], int] = {}
    for name, n in gpus.items():
        lot = lock["deliveries"][name]
        product = lock["systems"][lot["system"]]["product"]
        for dim, value in zip(
            DIMS, (lot.get("tenant"), product, lot["to"], lot.get("operator")), strict=True
        ):
            if value is not None:
                sums[dim, value] = sums.get((dim, value), 0) + n
    for (dim, value), n in sorted(sums.items()):
        yield {dim: value}, n


def _bound(facts: Facts, column: str) -> Rows:
    """A bound by step and by promise, where the plan has ranges."""
    rows = at_end(facts.run.supply)
    if (rows["gpus_low"] != rows["gpus_high"]).any():
        yield from _sums(rows, pl.col(column).sum(), ())


def _sums(rows: pl.DataFrame, value: pl.Expr, dims: Iterable[str] = DIMS) -> Rows:
    """A value by step, and by step and promise, tenant, product or site; nothing where it is not known."""
    lots = rows.filter(_LOTS)
    yield from _grouped(lots, ["step"], value)
    yield from _grouped(rows, ["step", "promise"], value)
    for dim in dims:
        yield from _grouped(lots, ["step", dim], value)


def _shorts(facts: Facts, column: str) -> Rows:
    rows = facts.run.shortage
    months = facts.run.supply.get_column("month")
    rows = rows.filter(pl.col("month").is_in([months.max()] if months.len() else []))
    yield from _grouped(rows, ["promise"], pl.col(column).sum())
    yield from _grouped(rows, ["promise", "step"], pl.col(column).sum())


def _grouped(rows: pl.DataFrame, keys: list[str], value: pl.Expr) -> Iterable[tuple[By, float | int]]:
    table = rows.drop_nulls(keys).group_by(keys, maintain_order=True).agg(value.alias("value"))
    for *names, total in table.sort(keys).iter_rows():
        if total is not None:
            yield dict(zip(keys, names, strict=True)), total


def _known(facts: Facts, column: str) -> pl.DataFrame:
    """Rows of lots at the plan's end; no GPUs are 0 of anything, also of what is not known."""
    rows = at_end(facts.run.supply).filter(pl.col("lot").is_not_null())
    nothing = pl.when(pl.col("gpus") == 0).then(0.0).otherwise(pl.col(column))
    return rows.with_columns(nothing.alias(column))


def _whole(column: str) -> pl.Expr:
    """A sum, or nothing where a part of it is not known."""
    return pl.when(pl.col(column).is_null().any()).then(None).otherwise(pl.col(column).sum())
