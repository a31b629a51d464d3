"""Why a job waited: what refused it for how long, what was behind that, and the plan's lines for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.say import say, tell
from gpufleet.base.units import format_duration
from gpufleet.base.wide import right
from gpufleet.results.blame import Blame, Wish, line
from gpufleet.results.columns import MEANINGS, ROOTS, WAITS, WORDS
from gpufleet.results.explain_days import Days, days_of
from gpufleet.results.explain_limits import (
    LimitThen,
    Waited,
    dependencies,
    limits_then,
    refusing,
)
from gpufleet.results.explain_never import MOST_LINES, gpus_text, lines_of, lines_text, never_of
from gpufleet.results.explain_power import Slowed, Tight, slowed_of, tightest
from gpufleet.results.explain_reserved import KeptOff, kept_off
from gpufleet.results.explain_sharing import (
    Move,
    QuotaThen,
    lost_text,
    move_json,
    moves_of,
    quota_json,
    quotas_then,
    took_text,
)
from gpufleet.results.find import Row, called, find_job, row_of
from gpufleet.results.moments import spoken_day
from gpufleet.results.overtaken import Overtaken, overtaken
from gpufleet.results.then import Then, eligible, first_pass_s, then, wish_of

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.why/1"
MOST_HOPS: Final = 16
_BORROWED: Final = ("order", "reservation")
"""States whose root is the refusal of another job."""
_MOMENTS: Final = ("submit", "eligible", "start", "end")
STATE_WORDS: Final = {
    "done": say("done"),
    "killed": say("killed"),
    "refused": say("refused"),
    "running": say("running"),
    "waiting": say("waiting"),
}
"""How the run left a job, as people read it."""


class Part(NamedTuple):
    """Time that a job waited in one state, and the lines of the plan that make it so."""

    state: str  # of `columns.WAITS`
    wait_s: int
    lines: tuple[Blame, ...]


class Cause(NamedTuple):
    """Time that a job waited because of one root cause, and the lines of the plan behind that."""

    root: str  # of `columns.ROOTS`
    wait_s: int
    lines: tuple[Blame, ...]
    job: int  # whose refusal it is: the job itself, or one that it stood behind


@dataclass(frozen=True)
class Explanation:
    """Why one job waited. `print` it, or take `to_json`.

    `parts` sum to the wait, and so do `causes`; both come longest first.
    """

    row: Row  # of jobs.parquet
    parts: tuple[Part, ...]
    causes: tuple[Cause, ...]
    then: Then
    never: str  # why it can never run; "" if it can
    times: dict[str, str]  # local times of submit, start and end, as far as there are
    time_zone: str
    overtaken: Overtaken
    depth: int  # jobs of a queue that the scheduler looks at
    quotas: tuple[QuotaThen, ...] = ()  # when its wait began, where queues share
    pushed_out: str = ""  # local time of the preemption that began its wait; "" = none did
    lost: tuple[Move, ...] = ()  # its preemptions
    took: tuple[Move, ...] = ()  # preemptions for it
    moments: dict[int, str] = field(default_factory=dict)  # local times of these
    kept_off: tuple[KeptOff, ...] = ()  # reservations of the plan that it had to keep clear of
    limits: tuple[LimitThen, ...] = ()  # when its wait began
    after: tuple[Waited, ...] = ()  # what it depends on
    tight: tuple[Tight, ...] = ()  # power of sites, where it lacked some
    slowed: Slowed | None = None  # by caps of power
    days: Days | None = None  # of a campaign or training: where its days went

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why/1``."""
        return {
            "schema": SCHEMA,
            "job": self.row,
            "times": {**self.times, "time_zone": self.time_zone},
            "wait_s": self.row["wait_s"],
            "never": self.never or None,
            "waits": [_entry("state", part) for part in self.parts],
            "causes": [{**_entry("cause", cause), "job": cause.job} for cause in self.causes],
            "behind": self.row["behind"],
            "overtaken_by": {"jobs": self.overtaken.jobs, "smaller": self.overtaken.smaller},
            "when_it_came": self.then.to_json(),
            "quotas": [quota_json(each) for each in self.quotas],
            "quotas_when_pushed_out": self.pushed_out or None,
            "preempted": [move_json(each) for each in self.lost],
            "took": [move_json(each) for each in self.took],
            "kept_off": [each.to_json() for each in self.kept_off],
            "limits": [_placed(each) for each in self.limits],
            "after": [_placed(each) for each in self.after],
            "power": [each._asdict() for each in self.tight],
            "slowed": self.slowed.to_json() if self.slowed else None,
            "days": self.days.to_json() if self.days else None,
        }

    def text(self) -> str:
        """The explanation for people: the answer, the job, its waits, their causes, the numbers."""
        last = [f"  {self.then}"]
        if self.quotas and self.pushed_out:
            last.append(f"  {say('when it was first pushed out, {at}:', at=spoken_day(self.pushed_out))}")
        last += [f"  {quota.text()}" for quota in self.quotas]
        if "limit" in {part.state for part in self.parts} | {cause.root for cause in self.causes}:
            told = refusing(self.limits, self.row["gpus"])
            last += [f"  {each.text(spoken_day(self.moments[each.t_s]))}" for each in told]
        last += [f"  {each.text(self._ended(each))}" for each in self.after]
        last += [f"  {each.text(spoken_day(self.moments[each.t_s]))}" for each in self.tight]
        days = self.days.lines() if self.days else []
        days += self.slowed.lines() if self.slowed else []
        blocks = [[self._answer()], self._job(), days, self._waits(), self._because(), last, self._moves()]
        return "\n".join(text for block in blocks for text in block)

    __str__ = text
    __repr__ = text

    def _answer(self) -> str:
        number, state = self.row["job"], self.row["state"]
        if self.never:
            return say("job {number} can never run: {why}", number=number, why=self.never)
        if self.row["eligible_s"] is None:
            return say("job {number} is not eligible yet: what it depends on has not ended", number=number)
        if not self.row["wait_s"]:
            return say("job {number} did not wait", number=number)
        first = self.causes[0]
        cause: str = WORDS[first.root]
        if first.lines:
            cause = say("{cause} ({line})", cause=cause, line=first.lines[0].says())
        wait = format_duration(self.row["wait_s"])
        if state == "waiting" and not self.row["attempts"]:
            return say(
                "job {number} has not started yet after {wait}; first cause: {cause}",
                number=number,
                wait=wait,
                cause=cause,
            )
        return say("job {number} waited {wait}; first cause: {cause}", number=number, wait=wait, cause=cause)

    def _job(self) -> list[str]:
        row, times = self.row, self.times
        what = say(
            "{job}: {gpus}, queue {queue} of {tenant}",
            job=called(row),
            gpus=gpus_text(row["gpus"]),
            queue=row["queue"],
            tenant=row["tenant"],
        )
        story = [say("came {time}", time=spoken_day(times["submit"]))]
        if "eligible" in times and times["eligible"] != times["submit"]:
            story.append(say("eligible {time}", time=spoken_day(times["eligible"])))
        if "start" in times:
            place = {"time": spoken_day(times["start"]), "product": row["product"], "site": row["site"]}
            story.append(say("started {time} on {product} at {site}", **place))
        if row["attempts"] > 1:
            story.append(say("{attempts:,} attempts", attempts=row["attempts"]))
        state = STATE_WORDS.get(row["state"], row["state"])
        if "end" in times:
            state = say("{state} {time}", state=state, time=spoken_day(times["end"]))
        whole = say("{story:, } ({zone})", story=[*story, state], zone=self.time_zone)
        return [f"  {what}", f"  {whole}"]

    def _ended(self, each: Waited) -> str | None:
        return None if each.last_s is None else spoken_day(self.moments[each.last_s])

    def _waits(self) -> list[str]:
        if not self.parts:
            return []
        rows = ["", f"  {say('it waited')}"]
        for state, wait_s, lines in self.parts:
            behind = self.row["behind"]
            word: str = WORDS[state]
            if state in _BORROWED and behind is not None:
                word = say("{state}, behind job {job} (last)", state=word, job=behind)
            set_by = f"  [{'; '.join(map(str, lines))}]" if state in _BORROWED else ""
            rows.append(f"  {right(format_duration(wait_s), 12)}  {tell(word)}{set_by}")
        return rows

    def _because(self) -> list[str]:
        if not self.causes:
            return [""]
        rows = ["", f"  {say('because')}"]
        for cause in self.causes:
            meaning: str = MEANINGS[cause.root]
            if cause.job != self.row["job"]:
                meaning = say("{meaning} (job {job})", meaning=meaning, job=cause.job)
            rows.append(f"  {right(format_duration(cause.wait_s), 12)}  {tell(meaning)}")
            if cause.root == "beyond_depth":
                rows.append(f"  {'':>12}  {say('it looks at {depth:,} jobs of a queue', depth=self.depth)}")
            if cause.root == "reservation" and self.kept_off:
                rows += [f"  {'':>12}  {each.text()}" for each in self.kept_off[:MOST_LINES]]
                continue
            rows.append(f"  {'':>12}  {lines_text(cause.lines)}")
        return [*rows, *self._passed(), ""]

    def _moves(self) -> list[str]:
        """Who took its GPUs, and whose it took."""
        told = [(move, lost_text) for move in self.lost] + [(move, took_text) for move in self.took]
        told.sort(key=lambda pair: pair[0].t_s)
        says = [text(move, self.moments[move.t_s]) for move, text in told]
        return ["", *(f"  {each}" for each in says)] if says else []

    def _passed(self) -> list[str]:
        jobs, smaller, lines = self.overtaken
        if not jobs:
            return []
        says = say(
            "{n:,} job came to its queue later and started before it, {smaller:,} of them with fewer GPUs "
            "({lines})",
            "{n:,} jobs came to its queue later and started before it, {smaller:,} of them with fewer GPUs "
            "({lines})",
            n=jobs,
            smaller=smaller,
            lines=lines_text(lines),
        )
        return ["", f"  {says}"]


def _placed(part: LimitThen | Waited) -> dict[str, Any]:
    return {**part._asdict(), "line": {"path": part.line.path, "at": part.line.at or None}}


def _entry(key: str, part: Part | Cause) -> dict[str, Any]:
    lines = [{"path": path, "at": at or None} for path, at in part.lines]
    return {key: part[0], "wait_s": part.wait_s, "words": WORDS[part[0]], "lines": lines}


def why(run: Run, job: int | str) -> Explanation:
    """Explain a job's wait.

    Args:   job: its number, or its name in the trace; see `gpufleet.results.find.find_job`.
    Raises: GpufleetError R006 if there is no such job, R007 if several are called so.
    """
    row = find_job(run, job)
    came = then(run, row)
    wish = wish_of(row, came)
    causes = _causes(run, row, wish)
    parts = [
        Part(state, row[f"wait_{state}_s"], _part_lines(run, row, wish, state))
        for state in WAITS
        if row[f"wait_{state}_s"]
    ]
    lost, took = moves_of(run, row["job"])
    after = dependencies(run, row)
    limits = limits_then(run, row, [product.name for product in came.products])
    tight = tightest(run, row, wish)
    told_s = [*(each.t_s for each in limits), *(each.t_s for each in tight)]
    told_s += [*(move.t_s for move in (*lost, *took)), *(e.last_s for e in after if e.last_s is not None)]
    return Explanation(
        row=row,
        parts=tuple(sorted(parts, key=lambda part: -part.wait_s)),
        causes=causes,
        then=came,
        never=never_of(run, row, wish, came) if row["state"] == "refused" else "",
        times={key: _local(run, t_s) for key in _MOMENTS if (t_s := row[f"{key}_s"]) is not None},
        time_zone=run.time_zone,
        overtaken=overtaken(run, row, came),
        depth=run.plan["policy"]["depth"],
        quotas=_quotas(run, row, came, lost),
        pushed_out=_local(run, lost[0].t_s) if _ran_at_once(row) and lost else "",
        lost=lost,
        took=took,
        kept_off=kept_off(run, row, wish),
        moments={t_s: _local(run, t_s) for t_s in told_s},
        limits=limits,
        after=after,
        tight=tight,
        slowed=slowed_of(run, row),
        days=days_of(run, row),
    )


def _quotas(run: Run, row: Row, came: Then, lost: Sequence[Move]) -> tuple[QuotaThen, ...]:
    """Quotas in the first pass that left the job waiting: where it came, or where it was first pushed out."""
    if not row["wait_s"] and row["state"] != "refused":
        return ()
    at_s = first_pass_s(run, lost[0].t_s if _ran_at_once(row) and lost else eligible(row))
    return quotas_then(run, row["queue"], [product.name for product in came.products], at_s)


def _ran_at_once(row: Row) -> bool:
    """Whether a job started as soon as it was eligible: it can have waited only after a preemption."""
    return row["start_s"] is not None and row["start_s"] <= eligible(row)


def _local(run: Run, t_s: int) -> str:
    """A moment of the run in the plan's time zone."""
    moment = (run.start + timedelta(seconds=t_s)).astimezone(ZoneInfo(run.time_zone))
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"


def _causes(run: Run, row: Row, wish: Wish) -> tuple[Cause, ...]:
    found = []
    for root in ROOTS:
        if row[f"root_{root}_s"]:
            who = _who(run, row, root)
            whose = wish if who["job"] == row["job"] else wish_of(who, then(run, who))
            found.append(Cause(root, row[f"root_{root}_s"], lines_of(run, whose, root), who["job"]))
    return tuple(sorted(found, key=lambda cause: -cause.wait_s))


def _who(run: Run, row: Row, root: str) -> Row:
    """The job whose own refusal a root is: this one, or the first that was refused so of those ahead of it.

    Only the last job that each stood behind is known, so this is the end of the story, not all of it.
    """
    job, seen = row, {row["job"]}
    while not job[f"wait_{root}_s"] and job["behind"] is not None and len(seen) < MOST_HOPS:
        if job["behind"] in seen:
            return row
        job = row_of(run, job["behind"])
        seen.add(job["job"])
    return job if job[f"wait_{root}_s"] else row


def _part_lines(run: Run, row: Row, wish: Wish, state: str) -> tuple[Blame, ...]:
    """The lines behind a state: order is the policy's order and its strictness."""
    if state == "reservation" and not row.get("root_reservation_s"):
        return (line(run.plan, "policy.backfill"),)
    strict = (line(run.plan, "policy.strict"),) if state == "order" else ()
    return lines_of(run, wish, state) + strict
