"""Findings: what is wrong, where, and what to do about it; and the texts behind ``gpufleet explain CODE``.

Code letters: P plan, T traces, C catalogue, M models and what was measured, R run folder and results,
X files of other systems, U usage.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from gpufleet.base.say import Said, say, tell

Severity = Literal["error", "warning"]

SEVERITIES: Final[dict[str, Said]] = {"error": say("error"), "warning": say("warning")}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value was written: a file, or a command line option such as ``--set policy.order``.

    In a workbook the line is the row of a sheet, and the column is shown as its letters.

    >>> str(Place("plan.yaml", 41, 7)), str(Place("--set policy.order", 0))
    ('plan.yaml:41', '--set policy.order')
    >>> str(Place("supply.xlsx", 7, 3, "deliveries")), str(Place("supply.xlsx", 0, 0, "deliveries"))
    ('supply.xlsx!deliveries:C7', 'supply.xlsx!deliveries')
    """

    file: str
    line: int  # from 1; 0 = the whole file, or not a file
    column: int = 0  # from 1; 0 = not known
    sheet: str = ""  # of a workbook

    def __str__(self) -> str:
        file = f"{self.file}!{self.sheet}" if self.sheet else self.file
        return f"{file}:{self.cell or self.line}" if self.line else file

    @property
    def cell(self) -> str | None:
        """The cell of a sheet as spreadsheets call it, such as C7; None outside of a workbook."""
        if not (self.sheet and self.line and self.column):
            return None
        return f"{column_letters(self.column)}{self.line}"


def column_letters(column: int) -> str:
    """What spreadsheets call a column, from 1.

    >>> [column_letters(n) for n in (1, 26, 27, 702, 703, 16384)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA', 'XFD']
    """
    letters = ""
    while column > 0:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an input.

    A check yields it with ``says``, ``fix`` and ``at`` only; the registry that runs the check adds the rest.

    >>> print(Finding("P017", "too early", "warning", "5 MW short", "move it", Place("s.yaml", 41)).text())
    s.yaml:41  warning P017  too early
      5 MW short
      fix: move it        more: gpufleet explain P017
    """

    code: str = ""
    title: str = ""
    severity: Severity = "error"
    says: str = ""
    fix: str = ""
    at: Place | None = None

    def text(self) -> str:
        """The finding in three lines: place, severity, code and title; the numbers; the fix."""
        place = f"{self.at}  " if self.at else ""
        says = "".join(f"\n  {line}" for line in tell(self.says).splitlines() if line.strip())
        more = say("more: gpufleet explain {code}", code=self.code)
        last = say("fix: {fix}        {more}", fix=self.fix, more=more) if self.fix else more
        return f"{place}{tell(SEVERITIES[self.severity])} {self.code}  {tell(self.title)}{says}\n  {last}"


class GpufleetError(Exception):
    """An input cannot be used. Carries every finding; the command line prints them all and exits with 2.

    >>> GpufleetError(Finding("U001", "no such file", says="plan.yaml")).findings[0].code
    'U001'
    """

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(f.text() for f in findings))
        self.findings: tuple[Finding, ...] = findings


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``gpufleet explain CODE`` prints."""

    code: str
    title: str
    why: str
    example: str


explanations: Final[dict[str, Explanation]] = {}
"""Every code that a finding can have. Filled by `explain_code` where the codes are defined."""


def explain_code(code: str, title: str, why: str, example: str) -> Explanation:
    """Register what a code means; a code has one meaning.

    Raises: ValueError if the code is taken by another title.
    """
    known = explanations.get(code)
    if known is not None and known.title != title:
        raise ValueError(f"{code} is taken by {known.title!r}")
    explanations[code] = Explanation(code, Said(title), why, example)
    return explanations[code]


def explain_codes(text: str) -> None:
    """Register the codes of a text in blocks: code and title, why, and an indented example."""
    for block in text.strip().split("\n\n"):
        head, *rest = block.splitlines()
        code, title = head.split(" ", 1)
        why = " ".join(line for line in rest if not line.startswith("    "))
        explain_code(code, title, why, "\n".join(line[4:] for line in rest if line.startswith("    ")))


def finding(
    code: str, says: str, fix: str, at: Place | None = None, *, severity: Severity = "error"
) -> Finding:
    """A finding of a registered code; the title is looked up."""
    return Finding(code, explanations[code].title, severity, says, fix, at)


def complete(found: Finding, code: str, severity: Severity) -> Finding:
    """Give a finding that a check yielded its code, title and severity."""
    return replace(found, code=code, title=explanations[code].title, severity=severity)


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise what cannot be meant. Raises: GpufleetError with all findings that are errors, if any are."""
    errors = [found for found in findings if found.severity == "error"]
    if errors:
        raise GpufleetError(*errors)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, or None.

    >>> nearest("backfil", ["backfill", "order"]), nearest("qqq", ["order"])
    ('backfill', None)
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], *, limit: int = 12) -> str:
    """A fix for a word that is not known: the likely one, else what there is.

    >>> did_you_mean("ordr", ["order", "strict"])
    'did you mean `order`?'
    >>> did_you_mean("zzz", ["order", "strict"])
    'known: order, strict'
    """
    names = sorted(known)
    close = nearest(word, names)
    if close is not None:
        return say("did you mean `{close}`?", close=close)
    if not names:
        return say("none is declared")
    if len(names) > limit:
        return say("known: {names}, ... ({n:,} more)", names=names[:limit], n=len(names) - limit)
    return say("known: {names}", names=names)
