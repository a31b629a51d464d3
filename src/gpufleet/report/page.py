"""What the page says, in the order in which it says it: answer, figures, why, limits, detail, sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet import __version__
from gpufleet.base.say import say, tell
from gpufleet.report import (
    arrived,
    campaigns,
    chain,
    demand,
    figures,
    fragmentation,
    licences,
    limits,
    measured,
    money,
    power,
    preempted,
    promises,
    reservations,
    sharing,
    sums,
    supply,
)
from gpufleet.report.against import Against, against
from gpufleet.report.answers import Answer, answered
from gpufleet.report.figures import Figure
from gpufleet.report.inputs import cited, inputs
from gpufleet.report.marks import Mark
from gpufleet.report.sources import Entry, entries, entry_id, quantity
from gpufleet.report.stairs import Stairs, month_day
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.view import View
from gpufleet.report.words import root_name
from gpufleet.results.blame import FOREVER_S, Wish, blame, products_of, unpowered_in
from gpufleet.results.measures import MEASURES
from gpufleet.results.variant import variant
from gpufleet.traces.reasons import reason_said

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MOST_NUMBERS: Final = 5
MAX_PLACES: Final = 3
"""Lines of the plan that a cell of a table names."""

HEADLINES: Final = (
    ("utilisation", say("of the online GPU-hours in use")),
    ("wait_p50_s", say("half of the jobs wait no longer")),
    ("wait_p90_s", say("nine in ten jobs wait no longer")),
    ("waiting_gpu_h", say("waited for: GPUs asked for × hours waited")),
    ("refused_jobs", say("can never run")),
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
    variant: str  # scenarios and overrides, "" where there are none
    answer: Answer
    until: str  # how far jobs are simulated, where that is not the plan's end
    numbers: tuple[Number, ...]
    supply: tuple[Figure, ...]
    promises: Table | None
    sums: Table | None
    chain: Table | None
    steps: Table | None
    causes: Table | None
    stuck: Table | None
    against: Against | None
    campaigns: Figure | None
    why: tuple[Figure, ...]
    shared: tuple[Figure, ...]
    shared_table: Table | None
    limits: tuple[str, ...]
    detail: tuple[Figure, ...]
    lists: tuple[Part, ...]
    sources: str
    ledger: tuple[Entry, ...]
    inputs: Table | None
    cited: Table | None
    footer: str

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure, in the order of the page."""
        beside = self.against.figures if self.against else ()
        runs = (self.campaigns,) if self.campaigns else ()
        return self.supply + runs + self.why + self.shared + beside + self.detail

    @property
    def has_money(self) -> bool:
        """Whether the page says what it costs."""
        return any(part.id == "costs" for part in self.lists)

    def known(self, figure: Figure) -> list[Entry]:
        """The ledger's entries that a figure rests on."""
        return [entry for entry in self.ledger if entry.name in figure.measures]

    @property
    def patterns(self) -> list[Mark]:
        """Marks whose pattern a figure paints with, each once."""
        marks = [item.mark for f in self.figures for item in f.legend if item.shape == "area"]
        marks += [mark for f in self.figures for mark in f.marks]
        return list({mark.pattern: mark for mark in marks}.values())


def page_of(run: Run, other: Run | None = None) -> Page:
    """The page of a run.

    Args: other: a run to set beside it: what was before.
    """
    view, stairs, plan = View(run), Stairs(run), run.plan
    planned = campaigns.campaigns(view)
    ledger = (*entries(run), *promises.behind(stairs), *sums.behind_sums(run))
    until = _until(view)
    return Page(
        title=str(plan.get("title") or plan["name"]),
        period=view.period,
        variant=variant(plan) or "",
        answer=answered(run.answer, {entry.id for entry in ledger}),
        until=until,
        numbers=_numbers(stairs, ledger),
        supply=_present(_supply(view, stairs)) if stairs.worth_showing else (),
        promises=promises.side_by_side(stairs) if stairs.promises else None,
        sums=sums.sums(run),
        chain=chain.chain(run),
        steps=chain.steps(run),
        causes=chain.causes(run),
        stuck=chain.stuck(run),
        against=against(run, other, ledger) if other is not None else None,
        campaigns=replace(planned, until=until) if planned else None,
        why=tuple(replace(f, until=until) for f in (figures.waiting(view), figures.waiting_by_tenant(view))),
        shared=tuple(replace(f, until=until) for f in _present(_shared(view))),
        shared_table=sharing.shared_table(view) if sharing.shares(view) else None,
        limits=limits.box(run),
        detail=(
            *_present(_more_supply(view, stairs) if stairs.worth_showing else ()),
            *(replace(f, until=until) for f in _present(_detail(view))),
        ),
        lists=tuple(
            part
            for part in (
                *_money(run),
                _law(run),
                _reserved(view),
                _refused(view),
                _findings(run),
                _dropped(run),
            )
            if part is not None
        ),
        sources=say(
            "Each number with its formula, what it is made from, the line of the plan, the source, and "
            "how far that is trusted. ◆ marks what rests on an assumption."
        ),
        ledger=ledger,
        inputs=inputs(run),
        cited=cited(run),
        footer=say(
            "Written by gpufleet {version}. This page asks the network for nothing.", version=__version__
        ),
    )


def _present(found: Iterable[Figure | None]) -> tuple[Figure, ...]:
    return tuple(figure for figure in found if figure is not None)


def _until(view: View) -> str:
    """How far jobs are simulated, if supply is shown further."""
    until = view.run.plan.get("jobs_until")
    if until is None or datetime.fromisoformat(until) >= datetime.fromisoformat(view.run.plan["end"]):
        return ""
    day = datetime.fromisoformat(until).astimezone(view.zone).date()
    return say("Jobs are simulated up to {day} only.", day=day)


def _supply(view: View, stairs: Stairs) -> Iterator[Figure | None]:
    yield supply.staircase(view, stairs)
    yield supply.shortage(view, stairs)
    yield arrived.by_promise(stairs)


def _shared(view: View) -> Iterator[Figure | None]:
    yield sharing.over_time(view)
    yield preempted.by_rule(view)


def _more_supply(view: View, stairs: Stairs) -> Iterator[Figure | None]:
    yield supply.staircases(view, stairs)
    yield arrived.by_lot(stairs)


def _detail(view: View) -> list[Figure | None]:
    return [
        demand.demand(view),
        figures.in_use(view),
        figures.in_use_each(view),
        figures.utilisation(view),
        fragmentation.over_time(view),
        power.over_time(view),
        power.by_site(view),
        money.cash_flow(view),
        figures.waits_by_tenant(view),
        figures.waits_by_size(view),
        figures.compared(view),
        figures.states(view),
    ]


def _numbers(stairs: Stairs, ledger: Sequence[Entry]) -> tuple[Number, ...]:
    run, assumed = stairs.run, {entry.id for entry in ledger if entry.assumed}
    found = list(_supply_numbers(stairs, assumed))
    for name, what in HEADLINES:
        value = measured.total(run, name)
        if value is None or (name == "refused_jobs" and not value):
            continue
        id_ = entry_id(name)
        found.append(Number(quantity(value, MEASURES[name].unit), tell(what), id_, id_ in assumed))
    return tuple(found[:MOST_NUMBERS])


def _supply_numbers(stairs: Stairs, assumed: set[str]) -> Iterator[Number]:
    """What is online at the end and what is contracted, where the plan has promises."""
    if not stairs.promises:
        return
    online, contracted = entry_id("supply_gpus"), entry_id("contracted_gpus")
    step = measured.values(stairs.run, "supply_gpus", "step").get(("online",))
    if step is not None:
        what = say("GPUs online in all at the end of {day:%Y-%m}", day=month_day(stairs.months[-1]))
        yield Number(f"{step:,.0f}", what, online, online in assumed)
    bought = measured.total(stairs.run, "contracted_gpus")
    if bought is not None:
        what = say("GPUs contracted or installed so far, also those that count toward no promise")
        yield Number(f"{bought:,.0f}", what, contracted, contracted in assumed)


def _money(run: Run) -> Iterator[Part]:
    """What costs what, budgets, what a unit costs; nothing of a plan without money."""
    if run.plan.get("money") is None:
        return
    gap = money.largest_gap(run)
    lacks = money.gap_words(gap) if gap else say("Every budget pays what falls due")
    for id_, title, subtitle, rows in (
        ("costs", say("What it costs, and who pays"), say("over the plan's time, at the prices of the plan"),
         money.costs(run)),
        ("funding", lacks, say("budgets by year: what there is, what falls due, what is owed"),
         money.funding(run)),
        ("unit-costs", say("What a unit costs"),
         say("what is written off and what running costs, over the whole months that jobs are simulated"),
         money.unit_costs(run)),
        ("work-costs", say("What jobs and trainings cost"),
         say("GPU-hours that they hold, at what one in use costs: those that nobody uses are paid too"),
         money.of_work(run)),
    ):  # fmt: skip
        if rows is not None:
            yield Part(id_, str(title), str(subtitle), table=rows)


def _law(run: Run) -> Part | None:
    """What export law says of the lots."""
    says = licences.title(run)
    if says is None:
        return None
    return Part("licences", says, licences.subtitle(run), table=licences.law_table(run))


def _reserved(view: View) -> Part | None:
    """Reservations, and how much of them was used."""
    says, rows = reservations.says(view), reservations.reserved_table(view)
    if says is None or rows is None:
        return None
    return Part(
        "reservations",
        says,
        say("GPU-hours from the begin of each reservation to its end. Who runs when it begins may stay."),
        table=rows,
    )


def _refused(view: View) -> Part | None:
    """Jobs that can never run, by what stands in their way."""
    refused = view.run.scan_jobs().filter(pl.col("state") == "refused")
    keys = ["tenant", "queue", "workload", "last_refusal"]
    sizes = pl.len(), pl.col("gpus").min().alias("least"), pl.col("gpus").max().alias("most")
    groups = refused.group_by(keys).agg(sizes).sort(keys).collect(engine="streaming")
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
        (say("tenant"), "name"), (say("queue"), "name"), (say("workload"), "name"),
        (say("refused for"), "text"), (say("jobs"), "whole"), (say("fewest GPUs wanted"), "whole"),
        (say("most GPUs wanted"), "whole"), (say("plan"), "place"),
    ]  # fmt: skip
    return Part(
        "refused",
        say("{n:,} job can never run", "{n:,} jobs can never run", n=sum(row[4] for row in rows)),
        say(
            "They want more GPUs than their quota or limit admits, or than the nodes of the plan ever hold; "
            "or their project has ended, or what they depend on was not done. They are not counted in the "
            "waits and hold nobody up."
        ),
        table=table(say("Jobs refused for ever, by queue and cause"), columns, rows),
    )


def _lines(run: Run, cause: str, queue: str, workload: str, least: int) -> str:
    """Where the plan says what refuses these jobs for ever, by the smallest of them."""
    wish = Wish(queue, tuple(products_of(run.plan, workload)), least, -FOREVER_S, workload=workload)
    found = blame(run.plan, cause, wish, unpowered=unpowered_in(run.measures_json["measures"]))
    places = list(dict.fromkeys(str(one) for one in found))
    if len(places) > MAX_PLACES:
        more = len(places) - MAX_PLACES
        return say("{places:, } and {more:,} more", places=places[:MAX_PLACES], more=more)
    return ", ".join(places)


def _findings(run: Run) -> Part | None:
    if not run.findings:
        return None
    return Part(
        "warnings",
        say(
            "{n:,} warning about the plan and its traces",
            "{n:,} warnings about the plan and its traces",
            n=len(run.findings),
        ),
        say("What can be meant, but hurts. The run went on."),
        findings=tuple(run.findings),
    )


def _dropped(run: Run) -> Part | None:
    """Rows of traces that were not used, by reason."""
    read = measured.by(run, "trace_rows", "workload")
    dropped = measured.values(run, "trace_rows_dropped", "workload", "reason")
    if not any(dropped.values()):
        return None
    rows = [
        (workload, reason_said(reason), rows, rows / read[workload])
        for (workload, reason), rows in dropped.items()
        if rows
    ]
    columns: list[tuple[str, Kind]] = [
        (say("workload"), "name"), (say("reason"), "text"), (say("rows"), "whole"),
        (say("share of its rows"), "share"),
    ]  # fmt: skip
    return Part(
        "dropped",
        say(
            "{dropped:,} of {n:,} trace row not used",
            "{dropped:,} of {n:,} trace rows not used",
            dropped=round(sum(dropped.values())),
            n=round(sum(read.values())),
        ),
        say("Rows from which no job of this plan could be made, by reason."),
        table=table(say("Trace rows not used, by workload and reason"), columns, rows),
    )
