"""A run in the terminal: the answer first, a few figures, why; a table only when it fits.

Nothing is drawn and no colour used unless a person looks on; ``NO_COLOR`` switches colour off for good.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.errors import SEVERITIES
from gpufleet.base.say import say, tell
from gpufleet.base.units import format_duration
from gpufleet.base.wide import columns, left, right, wrapped
from gpufleet.report import (
    campaigns,
    chain,
    findings,
    frames,
    licences,
    limits,
    measured,
    money,
    preempted,
    promises,
    reservations,
    sharing,
    waits,
)
from gpufleet.report.stairs import Stairs
from gpufleet.report.view import View
from gpufleet.report.words import percent, root_name, short
from gpufleet.results.variant import variant

if TYPE_CHECKING:
    from gpufleet.results.run import Run

PLAIN_WIDTH: Final = 100
WIDEST: Final = 110
MAX_CAUSES: Final = 4
MAX_TENANTS: Final = 12
MAX_FINDINGS: Final = 3
EIGHTHS: Final = "▏▎▍▌▋▊▉"
SPARKS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Style:
    """How to write: columns to fill, whether to colour, whether to draw bars."""

    width: int = PLAIN_WIDTH
    colour: bool = False
    bars: bool = False

    def bold(self, text: str) -> str:
        """Text that stands out."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        """Text that steps back."""
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text

    def alarm(self, text: str) -> str:
        """Text that warns."""
        return f"\x1b[33m{text}\x1b[0m" if self.colour else text


PLAIN: Final = Style()


def style_of(file: IO[str]) -> Style:
    """The style for a stream: colour and bars for a terminal, plain for a file or pipe."""
    if not file.isatty():
        return Style()
    encoding = getattr(file, "encoding", None) or ""
    draws = encoding.lower().replace("-", "").startswith("utf")
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(min(shutil.get_terminal_size().columns, WIDEST), colour, draws)


def print_summary(run: Run, file: IO[str] | None = None) -> None:
    """Print the summary of a run to a stream, default stdout."""
    out = file or sys.stdout
    print(summary(run, style_of(out)), file=out)


def summary(run: Run, style: Style = PLAIN) -> str:
    """The summary of a run, without a newline at its end.

    Args: style: width, colour and bars; default plain text of 100 columns.
    """
    view = View(run)
    parts = [
        style.bold(_wrapped(run.answer, style.width)),
        style.dim(_wrapped(variant(run.plan) or "", style.width)),
        _promises(view, style),
        _missing(view, style),
        _fleet(view, style),
        _why(view, style),
        _waits(view, style),
        _shared(view, style),
        _reserved(view, style),
        _trained(view, style),
        _money(view, style),
        _notes(view, style),
    ]
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str, width: int) -> str:
    return wrapped(clean(text), max(width, 20))


def clean(text: str) -> str:
    """Text without what a terminal would obey: names come from files that others wrote.

    >>> clean("a\\x1b[2Jb\\nc")
    'a?[2Jb?c'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


def _promises(view: View, style: Style) -> str:
    """Promises side by side, if the table fits."""
    found = promises.kept(Stairs(view.run))
    if not found:
        return ""
    head = (
        say("promises, GPUs"), say("promised"), say("contracted"), say("online when due"), say("short"),
        say("due by"),
    )  # fmt: skip
    rows = [
        (clean(one.name), *(f"{gpus:,}" for gpus in one[1:5]), str(say("{day}", day=one.due)))
        for one in found[:MAX_TENANTS]
    ]
    lines = _columns([head, *rows])
    if max(columns(line) for line in lines) > style.width:
        return ""
    rest = len(found) - MAX_TENANTS
    if rest > 0:
        more = say(
            "and {n:,} other promise: report.html has all",
            "and {n:,} other promises: report.html has all",
            n=rest,
        )
        lines.append(style.dim(f"  {more}"))
    return "\n".join([style.bold(lines[0]), *lines[1:]])


def _missing(view: View, style: Style) -> str:
    """What holds GPUs back, the most first."""
    found = chain.missing(view.run)
    if found is None:
        return ""
    head, rows = found
    width = max(columns(gpus) for gpus, _ in rows)
    lines = [
        line
        for gpus, says in rows[:MAX_CAUSES]
        for line in _hanging(f"  {right(gpus, width)}  ", clean(str(says)), style.width)
    ]
    rest = len(rows) - MAX_CAUSES
    if rest > 0:
        more = say(
            "and {n:,} other cause: report.html has all",
            "and {n:,} other causes: report.html has all",
            n=rest,
        )
        lines.append(style.dim(f"  {more}"))
    return "\n".join([style.bold(_wrapped(head, style.width)), *lines])


def _hanging(label: str, text: str, width: int) -> list[str]:
    """A text behind a label, its further lines below its first word."""
    first, *more = _wrapped(text, width - columns(label)).splitlines()
    return [label + first, *(" " * columns(label) + line for line in more)]


def _fleet(view: View, style: Style) -> str:
    """How much of the fleet was in use, and how that went over time."""
    says = _wrapped(findings.in_use(view), style.width)
    if not style.bars or view.online.is_empty() or not view.in_use.get_column("gpus").sum():
        return says
    grid = frames.bins(view.run, max(style.width - 2, 10))
    used = frames.in_use(view.run, grid, view.tenants).group_by("t_s").agg(pl.col("gpus").sum()).sort("t_s")
    most = max(frames.online(view.run, grid).get_column("gpus"))
    return f"{says}\n  {style.dim(sparkline(used.get_column('gpus').to_list(), most))}"


def sparkline(values: Sequence[float], most: float) -> str:
    """One block per value; a full one is `most`, a space is nothing at all.

    >>> sparkline([0, 1, 32, 64], 64)
    ' ▁▄█'
    """
    top = len(SPARKS) - 1
    marks = (SPARKS[min(top, max(1, round(top * v / most)))] if v > 0 < most else " " for v in values)
    return "".join(marks)


def bar(share: float, width: int) -> str:
    """A bar of at most `width` columns, to an eighth of a column.

    >>> bar(0.5, 4), bar(0.28, 4)
    ('██', '█▏')
    """
    eighths = round(8 * width * share)
    rest = eighths % 8
    return "█" * (eighths // 8) + (EIGHTHS[rest - 1] if rest else "")


def _why(view: View, style: Style) -> str:
    """Root causes of waiting, most first."""
    total = sum(view.causes.values())
    if not total:
        return say("No job had to wait.")
    lines = [style.bold(say("Why jobs waited: {hours:short} GPU-hours", hours=total))]
    name = max(columns(root_name(cause)) for cause in view.causes)
    room = style.width - name - 32
    for cause, hours in list(view.causes.items())[:MAX_CAUSES]:
        drawn = style.alarm(bar(hours / total, room)) if style.bars and room >= 8 else ""
        numbers = f"{right(percent(hours / total), 7)}  {right(short(hours), 9)} GPU·h"
        lines.append(f"  {left(root_name(cause), name)}  {numbers}  {drawn}".rstrip())
    rest = len(view.causes) - MAX_CAUSES
    if rest > 0:
        more = say("and {n:,} other cause, below these", "and {n:,} other causes, below these", n=rest)
        lines.append(style.dim(f"  {more}"))
    return "\n".join(lines)


def _waits(view: View, style: Style) -> str:
    """Waits by tenant, if the table fits; else what it would show."""
    spreads = waits.by_tenant(view.run, view.tenants)
    if not spreads:
        return ""
    jobs = measured.by(view.run, "jobs", "tenant")
    head = (say("waits by tenant"), say("jobs"), "P50", "P90", "P99")
    rows = [
        (clean(s.name), f"{jobs.get(s.name, 0):,.0f}", *(format_duration(wait) for _, wait in s.ranks()))
        for s in spreads[:MAX_TENANTS]
    ]
    lines = _columns([head, *rows])
    if max(columns(line) for line in lines) > style.width:
        return _wrapped(findings.waits_by_tenant(spreads), style.width)
    rest = len(spreads) - MAX_TENANTS
    if rest > 0:
        more = say(
            "and {n:,} other tenant: report.html has all",
            "and {n:,} other tenants: report.html has all",
            n=rest,
        )
        lines.append(style.dim(f"  {more}"))
    return "\n".join([style.bold(lines[0]), *lines[1:]])


def _shared(view: View, style: Style) -> str:
    """Who borrowed from whom, if queues share; a table if it fits."""
    if not sharing.shares(view):
        return ""
    says = _wrapped(sharing.says(view), style.width)
    head, *rows = sharing.summary_rows(view)
    lines = _columns([head, *((clean(name), *rest) for name, *rest in rows[:MAX_TENANTS])])
    if max(columns(line) for line in lines) > style.width:
        return says
    return "\n".join([says, style.bold(lines[0]), *lines[1:]])


def _reserved(view: View, style: Style) -> str:
    """How much of what was reserved was used, if anything was; a table if it fits."""
    told = reservations.says(view)
    if told is None:
        return ""
    head, *rows = reservations.summary_rows(view)
    lines = _columns([head, *((clean(name), *rest) for name, *rest in rows[:MAX_TENANTS])])
    says = _wrapped(told, style.width)
    if max(columns(line) for line in lines) > style.width:
        return says
    return "\n".join([says, style.bold(lines[0]), *lines[1:]])


def _trained(view: View, style: Style) -> str:
    """Trainings as they were predicted and as they ran, if there are any; nothing if it does not fit."""
    rows = [(clean(name), *rest) for name, *rest in campaigns.summary_rows(view)]
    lines = _columns(rows[: MAX_TENANTS + 1]) if rows else []
    if not lines or max(columns(line) for line in lines) > style.width:
        return ""
    return "\n".join([style.bold(lines[0]), *lines[1:]])


def _money(view: View, style: Style) -> str:
    """What is paid, by whom, and what lacks, of a plan with money."""
    lines = [_wrapped(line, style.width - 2) for line in money.summary_lines(view.run)]
    return "\n".join([style.bold(lines[0]), *(f"  {line}" for line in lines[1:])]) if lines else ""


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, the first column to the left, the others to the right; wide characters count double."""
    widths = [max(columns(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [left(first, widths[0]), *(right(cell, w) for cell, w in zip(others, widths[1:], strict=True))]
        )
        for first, *others in rows
    ]


def _notes(view: View, style: Style) -> str:
    """What the reader should know besides: jobs that never run, warnings, dropped rows, assumptions."""
    run = view.run
    refused = measured.total(run, "refused_jobs") or 0
    dropped = sum(measured.values(run, "trace_rows_dropped", "workload", "reason").values())
    notes: list[str] = []
    if refused:
        says = say("{n:,} job can never run", "{n:,} jobs can never run", n=round(refused))
        notes.append(style.alarm(says))
    notes += [style.alarm(_finding(found, style.width)) for found in run.findings[:MAX_FINDINGS]]
    if len(run.findings) > MAX_FINDINGS:
        rest = len(run.findings) - MAX_FINDINGS
        notes.append(style.alarm(say("and {n:,} other warning", "and {n:,} other warnings", n=rest)))
    if dropped:
        notes.append(say("{n:,} trace row not used", "{n:,} trace rows not used", n=round(dropped)))
    notes += [style.alarm(_wrapped(says, style.width)) for says in preempted.to_and_fro(view)]
    notes.append(_wrapped(limits.assumed(run), style.width))
    if not run.licences.is_empty():
        notes.append(_wrapped(licences.subtitle(run), style.width))
    return "\n".join(notes)


def _finding(found: Mapping[str, Any], width: int) -> str:
    at = f" ({found['at']})" if found["at"] else ""
    severity = tell(SEVERITIES.get(found["severity"], found["severity"]))
    return _wrapped(f"{severity} {found['code']}: {found['title']}{at}", width)
