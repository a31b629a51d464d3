"""The run's supply and shortage shaped for charts: staircases of GPUs per step, one level per month.

Promises are never added up blindly: where those of several tenants stand in one picture, each tenant brings
its largest pledge, and no more than what was promised counts toward it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.results.answer_supply import NOT_YET, main_promises

if TYPE_CHECKING:
    from gpufleet.results.run import Run

STEPS: Final = ("pledged", "ordered", "delivered", "powered", "online")
"""The steps of a GPU, each no earlier than the one before it."""

CANCELLED: Final = ("cancelled", "left_over")
"""What lots have beside the steps if they are cancelled."""

GAPS: Final = ("not_ordered", "not_delivered", "not_installed", "not_powered", "not_online")
"""What is missing of a promise, by the step that has not been taken."""

SHARED: Final = "*"
"""The owner of lots that belong to nobody."""


class Level(NamedTuple):
    """GPUs that have reached a step at the end of a month, with the range from counts and dates."""

    month: str
    gpus: int
    low: int
    high: int


@dataclass(frozen=True)
class Flight:
    """One staircase: levels by step, in the order of the steps; a step that nothing reaches has zeros."""

    name: str  # of the promise, tenant or site
    tenant: str | None
    levels: Mapping[str, tuple[Level, ...]]

    def last(self, step: str) -> Level:
        """The level at the end of the plan."""
        return self.levels[step][-1]

    def at(self, step: str, month: str) -> Level:
        """The level at the end of a month."""
        return next(level for level in self.levels[step] if level.month == month)

    @property
    def ceiling(self) -> int:
        """The highest level of all."""
        return max((level.high for levels in self.levels.values() for level in levels), default=0)


class Gap(NamedTuple):
    """GPUs of one row of the shortage map that lack a step, over months that follow each other."""

    row: str  # site; "" = no site yet
    promise: str  # of GPUs without a lot; "" where there is a site
    first: str  # month
    last: str  # month
    step: str
    gpus: int


def month_ms(month: str) -> int:
    """First moment of a month, as a chart's time.

    >>> month_ms("1970-02") // 86_400_000
    31
    """
    year, number = map(int, month.split("-"))
    return int(datetime(year, number, 1, tzinfo=UTC).timestamp() * 1000)


def month_after(month: str) -> str:
    """The next month.

    >>> month_after("2026-12"), month_after("2026-03")
    ('2027-01', '2026-04')
    """
    year, number = map(int, month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02}"


def month_day(month: str) -> date:
    """First day of a month, for texts with a date.

    >>> month_day("2026-03")
    datetime.date(2026, 3, 1)
    """
    return date.fromisoformat(f"{month}-01")


@dataclass(frozen=True)
class Stairs:
    """The supply of one run, shaped when first asked for."""

    run: Run

    @cached_property
    def supply(self) -> pl.DataFrame:
        """Rows of supply.parquet."""
        return self.run.supply

    @cached_property
    def shortage(self) -> pl.DataFrame:
        """Rows of shortage.parquet; what is not installed lacks that, and asks for no power yet."""
        found = self.run.shortage
        if found.is_empty():
            return found
        waits = (pl.col("step") == "not_powered") & pl.col("stuck").is_in(NOT_YET)
        return found.with_columns(step=pl.when(waits).then(pl.lit("not_installed")).otherwise(pl.col("step")))

    @cached_property
    def promises(self) -> dict[str, dict[str, Any]]:
        """The promises of the plan by name, as plan.lock.yaml has them."""
        return dict(self.run.plan.get("promises") or {})

    def has_shortage(self) -> bool:
        """Whether something is promised, or something that is delivered has no power."""
        return bool(self.promises) or not self.shortage.is_empty()

    @cached_property
    def months(self) -> list[str]:
        """All months, in order."""
        return sorted(self.supply.get_column("month").unique().to_list())

    @property
    def worth_showing(self) -> bool:
        """Whether the plan has promises, or several sites."""
        return not self.supply.is_empty() and bool(self.promises or len(self.run.plan["sites"]) > 1)

    @cached_property
    def as_of(self) -> datetime | None:
        """What is known is as of this moment (plan's zone); None if it is not after the plan's start."""
        text = self.run.plan.get("as_of")
        moment = datetime.fromisoformat(text) if text else self.run.start
        return moment.astimezone(ZoneInfo(self.run.time_zone)) if moment > self.run.start else None

    @cached_property
    def as_of_ms(self) -> int | None:
        """The same as a chart's time: local wall-clock time as if it were UTC."""
        return None if self.as_of is None else int(self.as_of.replace(tzinfo=UTC).timestamp() * 1000)

    @cached_property
    def pledges(self) -> list[str]:
        """The promises that may be added up: of each tenant the largest."""
        return main_promises(self.promises)

    @cached_property
    def lots(self) -> pl.DataFrame:
        """Rows of lots, each lot once."""
        return self.supply.filter(pl.col("lot").is_not_null() & pl.col("first"))

    @cached_property
    def due(self) -> str:
        """The month in which the last of the promises is due, at most the plan's last month."""
        return max((self.due_of(name) for name in self.pledges), default=self.months[-1])

    def due_of(self, promise: str) -> str:
        """The month in which a promise is due, inside the plan's months."""
        until = datetime.fromisoformat(self.promises[promise]["until"])
        month = f"{until.astimezone(ZoneInfo(self.run.time_zone)):%Y-%m}"
        return min(max(month, self.months[0]), self.months[-1])

    def whole(self) -> Flight:
        """What counts toward the pledges, of each at most what was promised; without promises, all lots."""
        if not self.promises:
            return self._flight("", None, self.lots)
        parts = [self._of_promise(name) for name in self.pledges]
        most = [self.promises[name]["gpus"] for name in self.pledges]
        levels = {
            step: tuple(
                _sum(month, [_at_most(p.levels[step][i], n) for p, n in zip(parts, most, strict=True)])
                for i, month in enumerate(self.months)
            )
            for step in STEPS
        }
        return Flight("", None, levels)

    @property
    def overlapping(self) -> bool:
        """Whether a tenant has several promises, so that the whole shows only the largest of them."""
        kinds = {self.promises[name]["kind"] for name in self.pledges}
        return sum(promise["kind"] in kinds for promise in self.promises.values()) > len(self.pledges)

    def flights(self) -> list[Flight]:
        """The same in parts: one staircase per promise, then one per tenant of what counts toward none.

        Without promises one per owner, or per site where there is one owner; a single part is no part.
        """
        if self.promises:
            found = [self._of_promise(name) for name in self.promises]
            rest = self.lots.filter(pl.col("promise").is_null())
            return [*found, *self._by("tenant", rest)]
        for key in ("tenant", "site"):
            parts = self._by(key, self.lots)
            if len(parts) > 1:
                return parts
        return []

    def _of_promise(self, name: str) -> Flight:
        rows = self.supply.filter(pl.col("promise") == name)
        return self._flight(name, self.promises[name]["tenant"], rows)

    def _by(self, key: str, rows: pl.DataFrame) -> list[Flight]:
        names = dict.fromkeys(rows.get_column(key).to_list())
        return [
            self._flight(
                name or SHARED, name if key == "tenant" else None, rows.filter(pl.col(key).eq_missing(name))
            )
            for name in names
        ]

    def _flight(self, name: str, tenant: str | None, rows: pl.DataFrame) -> Flight:
        sums = rows.group_by("month", "step").agg(pl.col("gpus", "gpus_low", "gpus_high").sum())
        at = {(month, step): counts for month, step, *counts in sums.iter_rows()}
        return Flight(
            name,
            tenant,
            {
                step: tuple(Level(month, *at.get((month, step), (0, 0, 0))) for month in self.months)
                for step in STEPS
                if step != "pledged" or (rows.get_column("step") == "pledged").any()
            },
        )

    def table(self) -> list[tuple[Any, ...]]:
        """Levels at the end of each year and of the plan, by owner, operator and step, each lot once.

        Returns: month, tenant (None = shared), operator (None = not said), step, GPUs, low, high, TFLOPS
                 BF16, MW (None: not known of a product or system).
        """
        last = {month[:4]: month for month in self.months}
        ends = self.lots.filter(pl.col("month").is_in(list(last.values())))
        keys = ["month", "tenant", "operator", "step"]
        known = [
            pl.when(pl.col(name).is_null().any()).then(None).otherwise(pl.col(name).sum()).alias(name)
            for name in ("tflops_bf16", "mw")
        ]
        sums = ends.group_by(keys).agg(pl.col("gpus", "gpus_low", "gpus_high").sum(), *known)
        rows = sums.select(*keys, "gpus", "gpus_low", "gpus_high", "tflops_bf16", "mw").rows()
        order = {step: i for i, step in enumerate((*STEPS, *CANCELLED))}
        return sorted(
            rows,
            key=lambda row: (
                row[0],
                row[1] is None,
                row[1] or "",
                row[2] is None,
                row[2] or "",
                order[row[3]],
            ),
        )

    @cached_property
    def missing(self) -> pl.DataFrame:
        """Rows of the shortage with what is missing by then: what is due of a promise, what has no power."""
        due = pl.when(pl.col("promise").is_null()).then(pl.col("gpus")).otherwise(pl.col("overdue"))
        return self.shortage.with_columns(missing=due).filter(pl.col("missing") > 0)

    @cached_property
    def gaps(self) -> list[Gap]:
        """What is missing by site and month, like months joined; GPUs without a lot by promise, not by site.

        Of a site and month the step that most GPUs lack is shown, with all the GPUs that the site lacks.
        A lot that counts toward several promises is there once, with the most that one of them misses.
        """
        placed = self.missing.filter(pl.col("site").is_not_null())
        once = placed.sort("missing", descending=True, maintain_order=True)
        once = once.unique(["month", "lot", "step", "place"], keep="first", maintain_order=True)
        loose = self.missing.filter(pl.col("site").is_null())
        found = [
            *_cells(once.select("month", "step", "missing", row="site", promise=pl.lit(""))),
            *_cells(loose.select("month", "step", "missing", "promise", row=pl.lit(""))),
        ]
        sites = {site: i for i, site in enumerate(self.run.plan["sites"])}
        names = {name: i for i, name in enumerate(self.promises)}
        found.sort(key=lambda g: (g.row == "", sites.get(g.row, -1), names.get(g.promise, -1), g.first))
        return list(_joined(found))


def _at_most(level: Level, gpus: int) -> Level:
    return Level(level.month, *(min(count, gpus) for count in level[1:]))


def _sum(month: str, levels: Iterable[Level]) -> Level:
    gpus, low, high = (sum(counts) for counts in zip(*(level[1:] for level in levels), strict=True))
    return Level(month, gpus, low, high)


def _cells(rows: pl.DataFrame) -> list[Gap]:
    """One cell per row and month: all GPUs short there, and the step that most of them lack."""
    order = {step: i for i, step in enumerate(GAPS)}
    cells: dict[tuple[str, str, str], dict[str, int]] = {}
    for month, step, gpus, row, promise in rows.select(
        "month", "step", "missing", "row", "promise"
    ).iter_rows():
        steps = cells.setdefault((row, promise, month), {})
        steps[step] = steps.get(step, 0) + gpus
    return [
        Gap(row, promise, month, month, max(steps, key=lambda s: (steps[s], -order[s])), sum(steps.values()))
        for (row, promise, month), steps in cells.items()
    ]


def _joined(cells: Iterable[Gap]) -> Iterable[Gap]:
    """Cells of one row that follow each other and are alike become one."""
    open_: Gap | None = None
    for cell in cells:
        alike = open_ is not None and (*open_[:2], *open_[4:]) == (*cell[:2], *cell[4:])
        if open_ is not None and alike and month_after(open_.last) == cell.first:
            open_ = open_._replace(last=cell.last)
            continue
        if open_ is not None:
            yield open_
        open_ = cell
    if open_ is not None:
        yield open_
