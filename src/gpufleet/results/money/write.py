"""Writes money.parquet and funding.parquet of a run, from its plan, its meters and what its jobs held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gpufleet.results import folder
from gpufleet.results.columns_money import FUNDING, MONEY
from gpufleet.results.money.energy import Meter
from gpufleet.results.money.flows import BEFORE, Books, Flow
from gpufleet.results.money.funding import BudgetYear, budgets, put_off
from gpufleet.results.money.items import Used
from gpufleet.results.money.ledger import flows_of
from gpufleet.results.parquet import TableWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpufleet.plan import Plan
    from gpufleet.results.run import Run
    from gpufleet.world.capacity import Fleet


def write_money(run: Run, plan: Plan, fleet: Fleet, end_s: int) -> None:
    """Write both tables; none for a plan without `money`. Lock, timeline and power must be there.

    Args: end_s: when the run of jobs ended.
    """
    if plan.money is None:
        return
    books = Books(plan, fleet)
    flows = list(flows_of(books, _meters(run, end_s), _used(run)))
    years = budgets(books, flows)
    _write_flows(run, books, [*flows, *put_off(books, years)])
    if plan.money.funding:
        _write_budgets(run, years)


def _meters(run: Run, end_s: int) -> dict[str, Meter]:
    """What sites drew, as far as they have meters."""
    found = {}
    for (name,), rows in run.power.group_by("site", maintain_order=True):
        starts = rows["t_s"].to_numpy().astype(np.int64)
        if starts.size and end_s > starts[-1]:
            found[str(name)] = Meter(np.append(starts, end_s), rows["meter_j"].to_numpy().astype(np.int64))
    return found


def _used(run: Run) -> Used:
    """GPU-seconds that jobs held, by bin, tenant and product."""
    busy = run.scan_timeline().filter(pl.col("kind") == "busy")
    keys = ["t_s", "tenant", "product"]
    return Used(busy.group_by(keys).agg(pl.col("gpu_s").sum()).sort(keys).collect().rows())


def _write_flows(run: Run, books: Books, flows: Sequence[Flow]) -> None:
    months = books.clock.months
    columns: dict[str, list[object]] = {column.name: [] for column in MONEY}
    for flow in flows:
        row = {**flow._asdict(), "month": None if flow.month == BEFORE else months[flow.month]}
        for name, values in columns.items():
            values.append(row[name])
    with TableWriter(run.path / folder.MONEY, MONEY) as writer:
        writer.write(columns)


def _write_budgets(run: Run, rows: Sequence[BudgetYear]) -> None:
    lines = run.plan["lines"]
    columns: dict[str, list[object]] = {
        column.name: [getattr(row, column.name) for row in rows] for column in FUNDING[:-1]
    }
    columns["place"] = [lines.get(f"money.funding.{row.line}", "") for row in rows]
    with TableWriter(run.path / folder.FUNDING, FUNDING) as writer:
        writer.write(columns)
