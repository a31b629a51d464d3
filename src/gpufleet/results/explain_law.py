"""What export law says of a lot: verdicts over time, why it waits, when it may be shipped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from gpufleet.base.say import Said, say, tell
from gpufleet.models.export import NO_ADVICE
from gpufleet.models.export_policies import AUTHORITIES
from gpufleet.results.licences import said

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SHOWN: tuple[str, ...] = (
    *("kind", "from", "until", "gpus", "authority", "licence_required", "policy", "outcome", "held"),
    *("says", "rules", "citation", "hypothetical", "near_input", "near_value", "near_by"),
    *("licences", "revenue_share", "place"),
)
"""Columns of a row that are told as JSON."""


@dataclass(frozen=True)
class LotLaw:
    """Rows of licences.parquet of one lot; none where export law is not asked about it."""

    rows: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any] | None:
        """The rows as JSON values, with what stands beside all that export law says; None without rows."""
        if not self.rows:
            return None
        return {
            "not_legal_advice": str(NO_ADVICE),
            "rules_read_on": self._read_on(),
            "rows": [{name: row[name] for name in SHOWN} for row in self.rows],
        }

    def lines(self) -> list[str]:
        """The rows for people; empty without rows."""
        if not self.rows:
            return []
        read = say("rules as they were read on {day}", day=date.fromisoformat(self._read_on()))
        head = say("  export law ({read}). {advice}", read=read, advice=NO_ADVICE)
        return ["", tell(head), *(f"    {tell(_line(row))}" for row in self.rows)]

    def _read_on(self) -> str:
        return next(str(row["rules_read_on"]) for row in self.rows if row["rules_read_on"])


def law_of(run: Run, lot: str) -> LotLaw:
    """What export law says of a lot of a run."""
    rows = [row for row in run.licences.to_dicts() if row["lot"] == lot]
    return LotLaw(tuple(rows))


def _line(row: dict[str, Any]) -> Said:
    """One row: the span, whose position, what it is, where that stands."""
    values: dict[str, Any] = {"span": span(row), "says": said(row), "citation": row["citation"]}
    if row["kind"] == "ships":
        return say("{span}  {n:,} GPU: {says}", "{span}  {n:,} GPUs: {says}", n=row["gpus"], **values)
    if row["kind"] == "wait":
        return say("{span}  waits: {says} ({citation}; {place})", place=row["place"], **values)
    values["authority"] = AUTHORITIES[row["authority"]].says
    if row["hypothetical"]:
        return say("{span}  {authority}: {says} (hypothetical: {citation})", **values)
    return say("{span}  {authority}: {says} ({citation})", **values)


def span(row: dict[str, Any]) -> Said:
    """From which day, and until which other, a row holds."""
    first = date.fromisoformat(row["from"])
    if row["kind"] == "ships" or row["until"] is None:
        return say("from {first}", first=first)
    return say("{first} to {until}", first=first, until=date.fromisoformat(row["until"]))
