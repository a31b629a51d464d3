"""The chain of a lot in the words of `why`: its steps, what is cancelled of it, and what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.plan.chain import STEPS
from gpufleet.results.chain import STEP_WORDS, cause_words
from gpufleet.results.moments import spoken_day

if TYPE_CHECKING:
    from gpufleet.results.run import Run


class ChainStep(NamedTuple):
    """One step of the lot's chain, as in chain.parquet."""

    step: str
    on: str | None  # None: never
    early: str | None
    late: str | None
    cause: str
    name: str | None
    at: str  # file:line

    def text(self) -> Said:
        """The step in a line."""
        if self.step == "cancelled":
            why = cause_words(self.cause, self.name)
            return say("  {day}  {why}  {place}", day=spoken_day(self.on or ""), why=why, place=self.at)
        words = {
            "step": STEP_WORDS[self.step],
            "why": cause_words(self.cause, self.name),
            "place": self.at,
        }
        if self.on is None:
            return say("  {never:<10}  {step}: {why}  {place}", never=say("never"), **words)
        if self.early == self.late or self.early is None or self.late is None:
            return say("  {day}  {step}: {why}  {place}", day=spoken_day(self.on), **words)
        return say(
            "  {day}  {step} ({first} to {last}): {why}  {place}",
            day=spoken_day(self.on),
            first=spoken_day(self.early),
            last=spoken_day(self.late),
            **words,
        )


def chain_of(run: Run, name: str) -> tuple[ChainStep, ...]:
    """The steps of a lot's chain."""
    if run.chain.is_empty():
        return ()
    columns = ("step", "at", "early", "late", "cause", "name", "place")
    rows = run.chain.filter(pl.col("lot") == name).select(columns)
    return tuple(ChainStep(*row) for row in rows.iter_rows())


class Stuck(NamedTuple):
    """Where a lot is on a day: the last step that it has taken, and the one that it waits for."""

    last: ChainStep | None  # None: it has taken none yet
    next: ChainStep

    def text(self, day: str) -> Said:
        """Where the lot is, since when, and until when it waits for what."""
        words = {
            "day": spoken_day(day),
            "step": STEP_WORDS[self.next.step],
            "why": cause_words(self.next.cause, self.next.name),
            "until": say("never") if self.next.on is None else spoken_day(self.next.on),
        }
        if self.last is None:
            return say("  on {day} it waits to be {step}, until {until}: {why}", **words)
        return say(
            "  on {day} it is {last} since {since}, and waits to be {step}, until {until}: {why}",
            last=STEP_WORDS[self.last.step], since=spoken_day(self.last.on or ""), **words,
        )  # fmt: skip


def stuck_on(chain: tuple[ChainStep, ...], day: str) -> Stuck | None:
    """Where a lot is on a day, such as 2027-03-01; None if it waits for nothing, or is cancelled."""
    taken = [each for each in chain if each.on is not None and each.on[:10] <= day[:10]]
    rest = chain[len(taken) :]
    ended = any(each.step == "cancelled" for each in (*taken, *rest[:1]))
    return None if ended or not rest else Stuck(taken[-1] if taken else None, rest[0])


def cancelled_words(lot: str, gpus: int, chain: tuple[ChainStep, ...]) -> Said | None:
    """That a lot is cancelled, and why; None if it is not."""
    end = next((each for each in chain if each.step == "cancelled"), None)
    if end is None:
        return None
    words = {"lot": lot, "gpus": gpus, "day": spoken_day(end.on or ""), "place": end.at}
    if end.cause == "replaced":
        return say(
            "lot {lot}: its {gpus:,} GPUs are cancelled on {day}, {other} stands in for it ({place})",
            other=end.name, **words,
        )  # fmt: skip
    if end.name:
        return say(
            "lot {lot}: its {gpus:,} GPUs are cancelled on {day}: {why} ({place})", why=end.name, **words
        )
    return say("lot {lot}: its {gpus:,} GPUs are cancelled on {day} ({place})", **words)


def left_over_words(gpus: int, chain: tuple[ChainStep, ...]) -> list[Said]:
    """What of a cancelled lot is left over, and when it is written off."""
    steps = {each.step: each for each in chain}
    if "cancelled" not in steps:
        return []
    done = [each for each in STEPS if each in steps]
    if not any(STEPS.index(each) >= STEPS.index("made") for each in done):
        return [say("  no GPU of it is made by then, as far as the plan says")]
    words = {"gpus": gpus, "step": STEP_WORDS[done[-1]]}
    if "written_off" not in steps:
        return [say("  {gpus:,} GPUs are {step} by then: stock that is left over", **words)]
    day = spoken_day(steps["written_off"].on or "")
    return [say("  {gpus:,} GPUs are {step} by then: left over, and written off on {day}", day=day, **words)]
