"""Writes supply.parquet and shortage.parquet: GPUs promised, ordered, delivered, powered, online by month."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.results.cancelled import counting, left_over, uncovered
from gpufleet.results.chain import Stuck, stuck_in
from gpufleet.results.column import Column
from gpufleet.results.columns import SHORTAGE, SUPPLY
from gpufleet.results.ledger import weakest
from gpufleet.results.parquet import TableWriter
from gpufleet.world.names import Names
from gpufleet.world.supply import SHORT_STEPS, Staircase, cancelled_by, staircase

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.supply import Delivery


class _Missing(NamedTuple):
    """GPUs of one lot that lack one step, for one reason."""

    lot: int
    step: str
    place: str
    gpus: Ints  # by month
    gone: bool = False  # retired: no promise is broken where there is none
    stuck: str | None = None  # the next step of its chain
    cause: str | None = None  # what holds that step

    @property
    def cancelled(self) -> bool:
        """Whether these GPUs never come."""
        return self.stuck == "cancelled"


class _Rows:
    """Columns of a table that grow by blocks; a single value holds for all rows of its block."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.values: dict[str, list[Any]] = {column.name: [] for column in columns}

    def add(self, n: int, **values: Any) -> None:
        for name, column in self.values.items():
            value = values[name]
            column.extend(value.tolist() if isinstance(value, np.ndarray) else [value] * n)


def write_supply(supply: Path, shortage: Path, plan: Plan, names: Names, lock: Mapping[str, Any]) -> None:
    """Write both tables.

    Args: supply, shortage: the files; lock: plan.lock.yaml as read, for its lines.
    """
    stairs = staircase(plan, names)
    for path, columns, rows in (
        (supply, SUPPLY, _supply_rows(plan, stairs)),
        (shortage, SHORTAGE, shortage_rows(plan, stairs, lock)),
    ):
        with TableWriter(path, columns) as writer:
            writer.write(rows.values)


# --- supply


def _supply_rows(plan: Plan, stairs: Staircase) -> _Rows:
    rows, months = _Rows(SUPPLY), np.array(stairs.months)
    n = months.size
    for row, (name, promise) in enumerate(plan.promises.items()):
        least, most = promise.gpus_range or (promise.gpus, promise.gpus)
        made = stairs.pledged[row] > 0
        rows.add(
            n, month=months, tenant=promise.tenant, product=None, site=None, lot=None, operator=None,
            promise=name,
            step="pledged", gpus=stairs.pledged[row], gpus_low=least * made, gpus_high=most * made,
            tflops_bf16=None, mw=None, trust=_trust(plan, f"promises.{name}", "gpus"), first=False,
        )  # fmt: skip
    for i, lot in enumerate(plan.deliveries):
        rates = _rates(plan, lot)
        trust = _trust(plan, _path(plan, i), "gpus", "nodes", "at")
        for k, towards in enumerate(lot.counts_toward or (None,)):
            for step, (gpus, low, high) in _steps(plan, stairs, i).items():
                rows.add(
                    n, month=months, tenant=lot.tenant, product=plan.systems[lot.system].product, site=lot.to,
                    lot=lot.name, operator=lot.operator, promise=towards, step=step, gpus=gpus,
                    gpus_low=low, gpus_high=high,
                    tflops_bf16=rates.tflops(gpus), mw=rates.mw(gpus), trust=trust, first=k == 0,
                )  # fmt: skip
    return rows


def _steps(plan: Plan, stairs: Staircase, i: int) -> dict[str, tuple[Ints, Ints, Ints]]:
    """GPUs of a lot on each stair, as planned and at both ends; also what of it is cancelled."""
    three = (stairs.value, stairs.low, stairs.high)
    found: dict[str, tuple[Ints, Ints, Ints]] = {
        step: (three[0]._asdict()[step][i], three[1]._asdict()[step][i], three[2]._asdict()[step][i])
        for step in ("ordered", "delivered", "powered", "online")
    }
    lot = plan.deliveries[i]
    if lot.stopped is not None:
        gone = lot.gpus * cancelled_by(plan, lot, stairs.ends_s).astype(np.int64)
        kept = lot.gpus * left_over(plan, lot, stairs.ends_s).astype(np.int64)
        found |= {"cancelled": (gone, gone, gone), "left_over": (kept, kept, kept)}
    return found


class _Rates(NamedTuple):
    """What the GPUs of a lot do and draw; None = not known."""

    tflops_per_gpu: float | None
    node_w: float | None
    gpus_per_node: int

    def tflops(self, gpus: Ints) -> Floats | None:
        """Peak BF16 rate of so many GPUs, TFLOPS."""
        return None if self.tflops_per_gpu is None else gpus.astype(np.float64) * self.tflops_per_gpu

    def mw(self, gpus: Ints) -> Floats | None:
        """Rated IT power of so many GPUs in whole nodes, MW."""
        nodes = -(-gpus // self.gpus_per_node)
        return None if self.node_w is None else nodes.astype(np.float64) * (self.node_w / 1e6)


def _rates(plan: Plan, lot: Delivery) -> _Rates:
    from gpufleet.catalog import gpus

    system = plan.systems[lot.system]
    known = gpus().get(system.product)
    return _Rates(known.bf16_tflops if known else None, system.rated_node_w, system.gpus_per_node)


def _path(plan: Plan, row: int) -> str:
    """The path of a lot in the plan; one without a name goes by its number."""
    named = f"deliveries.{plan.deliveries[row].name}"
    return named if named in plan.origins else f"deliveries.{row}"


def _trust(plan: Plan, path: str, *keys: str) -> str | None:
    """The weakest trust of the values of a part that the plan writes; None: of one of them it is not said."""
    written = [plan.origin(f"{path}.{key}") for key in keys if f"{path}.{key}" in plan.origins]
    found = [origin for origin in written if origin]
    return weakest([origin.trust or ("stated" if origin.source else None) for origin in found])


# --- shortage


def shortage_rows(plan: Plan, stairs: Staircase, lock: Mapping[str, Any]) -> _Rows:
    """What is missing, by promise, lot, month, step and cause: the rows of shortage.parquet."""
    rows = _Rows(SHORTAGE)
    missing = [list(_missing(plan, stairs, i, lock)) for i in range(len(plan.deliveries))]
    alone = uncovered(plan)
    for row, name in enumerate(plan.promises):
        mine = [i for i, lot in enumerate(plan.deliveries) if name in lot.counts_toward]
        online = stairs.value.online[mine].sum(axis=0)
        due = np.minimum(stairs.due[row], stairs.pledged[row])
        late = np.maximum(0, due - online)
        parts, rest = _of_promise(plan, stairs, row, [part for i in mine for part in missing[i]], alone)
        for part in sorted(parts, key=lambda part: -SHORT_STEPS.index(part.step)):
            late = _add_short(plan, rows, stairs, part, name, late, due)
        at = _at(lock, f"promises.{name}.gpus", f"promises.{name}")
        _add_short(plan, rows, stairs, _Missing(-1, "not_ordered", at, rest), name, late, due)
    for i, lot in enumerate(plan.deliveries):
        for part in missing[i] if not lot.counts_toward else ():
            if part.step in ("not_powered", "not_online") and not part.gone:
                _add_short(plan, rows, stairs, part, None, None, None)
    return rows


def _of_promise(
    plan: Plan, stairs: Staircase, row: int, missing: list[_Missing], alone: Mapping[str, int]
) -> tuple[list[_Missing], Ints]:
    """What is missing of a promise, by lot, and GPUs for which there is no lot; together no GPU twice.

    Args: row: of the promise; missing: of all its lots; alone: GPUs of cancelled lots for which no other
          stands in.
    """
    made, name = stairs.pledged[row] > 0, list(plan.promises)[row]
    counts = {
        i: counting(plan, lot, stairs.ends_s)
        for i, lot in enumerate(plan.deliveries)
        if name in lot.counts_toward
    }
    live = sum((plan.deliveries[i].gpus * mine for i, mine in counts.items()), np.zeros_like(stairs.due[row]))
    rest = np.maximum(0, stairs.pledged[row] - live)
    parts = []
    for part in missing:
        if part.cancelled:  # what others stand in for is missing no more
            gpus = np.minimum(np.minimum(part.gpus, alone[plan.deliveries[part.lot].name]), rest)
            rest = rest - gpus
        else:
            gpus = part.gpus * counts[part.lot]
        parts.append(part._replace(gpus=gpus * made))
    return parts, rest * made


def _add_short(
    plan: Plan, rows: _Rows, stairs: Staircase, part: _Missing, promise: str | None, late: Any, due: Any
) -> Any:
    """Add the months in which the part is short; returns what of the overdue GPUs is left."""
    at = np.flatnonzero(part.gpus)
    overdue = np.zeros_like(part.gpus) if late is None else np.minimum(part.gpus, late)
    lot = plan.deliveries[part.lot] if part.lot >= 0 else None
    tenant = lot.tenant if lot else plan.promises[promise].tenant if promise else None
    rows.add(
        at.size, month=np.array(stairs.months)[at], promise=promise, tenant=tenant,
        product=plan.systems[lot.system].product if lot else None, site=lot.to if lot else None,
        lot=lot.name if lot else None, operator=lot.operator if lot else None, step=part.step,
        stuck=part.stuck, cause=part.cause,
        gpus=part.gpus[at], overdue=overdue[at],
        due=None if due is None else due[at], place=part.place,
    )  # fmt: skip
    return None if late is None else late - overdue


def _missing(plan: Plan, stairs: Staircase, i: int, lock: Mapping[str, Any]) -> Iterator[_Missing]:
    """What the GPUs of a lot lack, month by month, and which line of the plan makes it so.

    The parts and the GPUs online add up to the lot.
    """
    lot = plan.deliveries[i]
    at, power = f"deliveries.{lot.name}", _at(lock, f"sites.{lot.to}.power", f"sites.{lot.to}")
    counts = type(stairs.value)._make(column[i] for column in stairs.value)
    lost = counts.powered - counts.online - (counts.retired - counts.retired_dark)
    dark = counts.delivered - counts.powered - counts.retired_dark
    lacking = {
        "not_ordered": (lot.gpus - counts.ordered, _at(lock, f"{at}.ordered", f"{at}.status", at)),
        "not_delivered": (counts.ordered - counts.delivered, _at(lock, f"{at}.at", at)),
        "not_powered": (dark, power),
    }
    stuck = stuck_in(plan, lot, stairs.ends_s, lock)
    for step, (gpus, place) in lacking.items():
        rest = gpus
        for each in stuck if step != "not_ordered" else _unordered(stuck):
            cause = f"{each.cause} {each.name}".strip()
            here = rest * each.months
            yield _Missing(i, step, each.place, here, stuck=each.step, cause=cause)
            rest = rest - here
        last = ("powered", "power") if stuck and step == "not_powered" else (None, None)
        yield _Missing(i, step, place, rest, stuck=last[0], cause=last[1])
    yield _Missing(i, "not_online", power, lost)
    if counts.retired.any():
        yield _Missing(i, "not_online", _retired_by(plan, lot, lock), counts.retired, gone=True)


def _unordered(stuck: list[Stuck]) -> list[Stuck]:
    """What can hold GPUs that are not ordered: the first step, or that they are ordered no more."""
    return [each for k, each in enumerate(stuck) if not k or each.step == "cancelled"]


def _retired_by(plan: Plan, lot: Delivery, lock: Mapping[str, Any]) -> str:
    """The line of the first retirement that can have taken GPUs of a lot."""
    for row, r in enumerate(plan.retirements):
        if r.from_ == lot.to and r.system == lot.system and r.tenant in (None, lot.tenant):
            return _at(lock, f"retirements.{row}")
    return _at(lock, f"deliveries.{lot.name}")


def _at(lock: Mapping[str, Any], *paths: str) -> str:
    """The line of the first of some paths that the plan writes."""
    return next((at for path in paths if (at := lock["lines"].get(path))), "")
