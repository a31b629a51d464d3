"""What the page says, in the order in which it says it: answer, figures, why, limits, detail, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet import __version__
from gpufleet.report import figures, limits, measured
from gpufleet.report.figures import Figure
from gpufleet.report.marks import Mark
from gpufleet.report.sources import Entry, entries, entry_id, inputs, quantity
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.view import View
from gpufleet.report.words import plural, root_name
from gpufleet.results.blame import FOREVER_S, Wish, blame, products_of, unpowered_in
from gpufleet.results.measures import MEASURES

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MAX_PLACES: Final = 3
"""Lines of the plan that a cell of a table names."""

HEADLINES: Final = (
    ("utilisation", "of the online GPU-hours in use"),
    ("wait_p50_s", "half of the jobs wait no longer"),
    ("wait_p90_s", "nine in ten jobs wait no longer"),
    ("waiting_gpu_h", "waited for: GPUs asked for × hours waited"),
    ("refused_jobs", "can never run"),
)
"""Measures that lead the page, in this order; what says nothing (no value, or no job refused) is left out."""


@dataclass(frozen=True)
class Number:
    """A headline figure."""

    text: str
    what: str
    entry: str = ""  # id of the ledger entry that it opens
    assumed: bool = False


@dataclass(frozen=True)
class Part:
    """A list after the figures: findings or a table."""

    id: str
    title: str
    subtitle: str
    findings: tuple[Mapping[str, Any], ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Page:
    """All that the template fills in."""

    title: str
    period: str
    answer: str
    numbers: tuple[Number, ...]
    why: tuple[Figure, ...]
    limits: tuple[str, ...]
    detail: tuple[Figure, ...]
    lists: tuple[Part, ...]
    sources: str
    ledger: tuple[Entry, ...]
    inputs: Table | None
    footer: str

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure, in the order of the page."""
        return self.why + self.detail

    def known(self, figure: Figure) -> list[Entry]:
        """The ledger's entries that a figure rests on."""
        return [entry for entry in self.ledger if entry.name in figure.measures]

    @property
    def patterns(self) -> list[Mark]:
        """Marks whose pattern a figure paints with, each once."""
        marks = [item.mark for f in self.figures for item in f.legend if item.shape == "area"]
        marks += [mark for f in self.figures for mark in f.marks]
        return list({mark.pattern: mark for mark in marks}.values())


def page_of(run: Run) -> Page:
    """The page of a run."""
    view, plan, ledger = View(run), run.plan, entries(run)
    return Page(
        title=str(plan.get("title") or plan["name"]),
        period=view.period,
        answer=run.answer,
        numbers=_numbers(run, ledger),
        why=(figures.waiting(view), figures.waiting_by_tenant(view)),
        limits=limits.box(run),
        detail=tuple(f for f in _detail(view) if f is not None),
        lists=tuple(part for part in (_refused(view), _findings(run), _dropped(run)) if part is not None),
        sources="Each number with its formula, what it is made from, the line of the plan, the source, and "
        "how far that is trusted. ◆ marks what rests on an assumption.",
        ledger=ledger,
        inputs=inputs(run),
        footer=f"Written by gpufleet {__version__}. This page asks the network for nothing.",
    )


def _detail(view: View) -> list[Figure | None]:
    return [
        figures.in_use(view),
        figures.in_use_each(view),
        figures.utilisation(view),
        figures.waits_by_tenant(view),
        figures.waits_by_size(view),
        figures.compared(view),
        figures.states(view),
    ]


def _numbers(run: Run, ledger: Sequence[Entry]) -> tuple[Number, ...]:
    assumed = {entry.id for entry in ledger if entry.assumed}
    found = []
    for name, what in HEADLINES:
        value = measured.total(run, name)
        if value is None or (name == "refused_jobs" and not value):
            continue
        id_ = entry_id(name)
        found.append(Number(quantity(value, MEASURES[name].unit), what, id_, id_ in assumed))
    return tuple(found)


def _refused(view: View) -> Part | None:
    """Jobs that can never run, by what stands in their way."""
    refused = view.run.scan_jobs().filter(pl.col("state") == "refused")
    keys = ["tenant", "queue", "workload", "last_refusal"]
    sizes = pl.len(), pl.col("gpus").min().alias("least"), pl.col("gpus").max().alias("most")
    groups = refused.group_by(keys).agg(sizes).sort(keys).collect()
    if groups.is_empty():
        return None
    rows = [
        (
            tenant,
            queue,
            workload,
            root_name(cause),
            jobs,
            least,
            most,
            _lines(view.run, cause, queue, workload, least),
        )
        for tenant, queue, workload, cause, jobs, least, most in groups.iter_rows()
    ]
    columns: list[tuple[str, Kind]] = [
        ("tenant", "name"), ("queue", "name"), ("workload", "name"), ("refused for", "text"),
        ("jobs", "whole"), ("fewest GPUs wanted", "whole"), ("most GPUs wanted", "whole"), ("plan", "place"),
    ]  # fmt: skip
    return Part(
        "refused",
        f"{plural(sum(row[4] for row in rows), 'job')} can never run",
        "They want more GPUs than their quota admits, or than the nodes of the plan ever hold. They are not "
        "counted in the waits and hold nobody up.",
        table=table("Jobs refused for ever, by queue and cause", columns, rows),
    )


def _lines(run: Run, cause: str, queue: str, workload: str, least: int) -> str:
    """Where the plan says what refuses these jobs for ever, by the smallest of them."""
    wish = Wish(queue, tuple(products_of(run.plan, workload)), least, from_s=-FOREVER_S)
    found = blame(run.plan, cause, wish, unpowered=unpowered_in(run.measures_json["measures"]))
    places = list(dict.fromkeys(str(one) for one in found))
    more = f" and {len(places) - MAX_PLACES} more" if len(places) > MAX_PLACES else ""
    return ", ".join(places[:MAX_PLACES]) + more


def _findings(run: Run) -> Part | None:
    if not run.findings:
        return None
    return Part(
        "warnings",
        f"{plural(len(run.findings), 'warning')} about the plan and its traces",
        "What can be meant, but hurts. The run went on.",
        findings=tuple(run.findings),
    )


def _dropped(run: Run) -> Part | None:
    """Rows of traces that were not used, by reason."""
    read = measured.by(run, "trace_rows", "workload")
    dropped = measured.values(run, "trace_rows_dropped", "workload", "reason")
    if not any(dropped.values()):
        return None
    rows = [
        (workload, reason, rows, rows / read[workload])
        for (workload, reason), rows in dropped.items()
        if rows
    ]
    columns: list[tuple[str, Kind]] = [
        ("workload", "name"), ("reason", "text"), ("rows", "whole"), ("share of its rows", "share"),
    ]  # fmt: skip
    return Part(
        "dropped",
        f"{sum(dropped.values()):,.0f} of {plural(sum(read.values()), 'trace row')} not used",
        "Rows from which no job of this plan could be made, by reason.",
        table=table("Trace rows not used, by workload and reason", columns, rows),
    )
