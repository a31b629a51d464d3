"""What a budget of the plan pays, what it owes, and which lots wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from gpufleet.base.money import format_money
from gpufleet.base.say import Said, say

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.why-funding/1"
_MOVES: Final = ("ceiling", "asked", "paid", "owed")


class Waiting(NamedTuple):
    """A lot that waits, or has waited, for the money of a budget."""

    lot: str
    gpus: int
    step: str
    at: str | None  # local; None: never
    place: str


@dataclass(frozen=True)
class FundingExplanation:
    """How far a budget reaches. `print` it, or take `to_json`."""

    name: str
    title: str | None
    payer: str
    currency: str
    when_short: str  # owe or wait
    at: str  # file:line
    years: tuple[dict[str, Any], ...]  # rows of funding.parquet in which anything happens
    items: tuple[str, ...]  # costs that are paid out of it
    waiting: tuple[Waiting, ...]

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why-funding/1``."""
        return {
            "schema": SCHEMA,
            "funding": self.name,
            "title": self.title,
            "payer": self.payer,
            "currency": self.currency,
            "when_short": self.when_short,
            "at": self.at or None,
            "years": list(self.years),
            "costs": list(self.items),
            "waiting": [each._asdict() for each in self.waiting],
        }

    def text(self) -> str:
        """The explanation for people: the answer, the years, who waits."""
        lines = [self._answer(), self._what(), *self._years(), *self._waiting()]
        return "\n".join(str(each) for each in lines)

    __str__ = text
    __repr__ = text

    def _money(self, minor: int) -> str:
        return format_money(minor, self.currency)

    def _answer(self) -> Said:
        short = [row for row in self.years if row["owed"]]
        if short:
            worst = max(short, key=lambda row: int(row["owed"]))
            told = {"owed": self._money(worst["owed"]), "year": worst["year"], "first": short[0]["year"]}
            told["name"] = self.name
            return say("budget {name} lacks {owed} at the end of {year}; first in {first}", **told)
        late = [each for each in self.waiting if each.at is None]
        if late:
            gpus = sum(each.gpus for each in late)
            return say("budget {name} never pays for {gpus:,} GPUs that wait", name=self.name, gpus=gpus)
        if self.waiting:
            gpus = sum(each.gpus for each in self.waiting)
            return say("budget {name} makes {gpus:,} GPUs wait, and pays for all", name=self.name, gpus=gpus)
        return say("budget {name} pays all that falls due", name=self.name)

    def _what(self) -> Said:
        told = {"payer": self.payer, "items": list(self.items), "at": self.at}
        return say("  money of {payer}; pays for {items:, }; {at}", **told)

    def _years(self) -> Iterator[Said]:
        for row in self.years:
            money = {key: self._money(row[key]) for key in _MOVES}
            yield say(
                "  {year}: {ceiling} there, {asked} falls due, {paid} paid, {owed} owed at its end",
                year=row["year"],
                **money,
            )

    def _waiting(self) -> Iterator[Said]:
        for each in self.waiting:
            told = each._asdict()
            if each.at is None:
                yield say("  {lot}: {gpus:,} GPUs wait for it, and never come ({place})", **told)
            else:
                yield say("  {lot}: {gpus:,} GPUs wait for it until {at} ({place})", **told)


def why_funding(run: Run, name: str) -> FundingExplanation:
    """How far a budget reaches.

    Args: name: of a funding line of the plan.
    """
    line, lines = run.plan["money"]["funding"][name], run.plan["lines"]
    moves = pl.any_horizontal(pl.col(*_MOVES) > 0)
    years = run.funding.filter(pl.col("line") == name, moves).drop("line", "place", "owed_home")
    costs = run.plan["money"]["costs"]
    return FundingExplanation(
        name=name,
        title=line.get("title"),
        payer=line["payer"],
        currency=next(iter(run.funding.filter(pl.col("line") == name)["currency"]), ""),
        when_short=line["when_short"],
        at=lines.get(f"money.funding.{name}", ""),
        years=tuple(years.sort("year").to_dicts()),
        items=tuple(each for each, cost in costs.items() if name in cost["paid_by"]),
        waiting=tuple(_waits(run, name)),
    )


def _waits(run: Run, name: str) -> Iterator[Waiting]:
    rows = run.chain.filter(pl.col("cause") == "funding", pl.col("name") == name)
    for lot, gpus, step, at in rows.select("lot", "gpus", "step", "at").iter_rows():
        yield Waiting(lot, gpus, step, at, run.plan["lines"].get(f"deliveries.{lot}", ""))
