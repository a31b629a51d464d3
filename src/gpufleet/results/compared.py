"""What differs between two runs, for people: the answer first, then plan, supply, measures, jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration, format_power
from gpufleet.plan.chain_times import NEVER
from gpufleet.results.compare import Change, Clock, Comparison, JobChanges, Shift, SupplyChange
from gpufleet.results.explain import STATE_WORDS
from gpufleet.results.measure_words import STEPS, change, filled, title, values
from gpufleet.results.moments import when

MOST_ROWS: Final = 40
LEADING: Final = ("supply_gpus", "contracted_gpus", "utilisation", "wait_p50_s", "wait_p90_s",
                  "waiting_gpu_h", "unpowered_gpu_h", "refused_jobs")  # fmt: skip
"""Measures that come before all others, for the whole run and by tenant; supply by step."""
_LED_BY: Final = frozenset({(), ("tenant",), ("step",)})
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def text_of(told: Comparison) -> str:
    """A comparison for people."""
    if told.empty:
        return say("{a} and {b} are the same", a=told.a, b=told.b)
    lines: list[str] = [*answer(told.supply, told.measures), f"{told.a} -> {told.b}"]
    if (note := two_plans(*told.plans)) is not None:
        lines.insert(0, note)
    if told.counted[0] != told.counted[1]:
        before, after = (datetime.fromisoformat(moment) for moment in told.counted)
        lines.append(
            say(
                "GPU-hours are counted until {before:%Y-%m-%d %H:%M} -> {after:%Y-%m-%d %H:%M}",
                before=before,
                after=after,
            )
        )
    first, rest = split(told.measures)
    parts = (
        (say("plan"), [plan_text(each, told.clocks) for each in told.plan]),
        (say("supply, at the end of a month"), [_supply_text(each) for each in told.supply]),
        (say("measures"), [measure_text(each) for each in first]),
        (say("other measures"), [measure_text(each) for each in rest]),
    )
    for heading, rows in parts:
        lines += _section(heading, rows)
    return "\n".join([*lines, *_jobs_text(told.jobs)])


def two_plans(before: str, after: str) -> Said | None:
    """That two runs are of different plans, so that what differs is no one change; None if they are of one.

    >>> two_plans("one-cluster", "one-cluster")
    """
    if before == after:
        return None
    return say(
        "These are two different plans, {before} and {after}: what differs is not the effect of one change",
        before=before, after=after,
    )  # fmt: skip


def _section(heading: str, rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    lines = ["", heading, *(f"  {row}" for row in rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        lines.append(f"  {say('and {more:,} more (--json has all)', more=len(rows) - MOST_ROWS)}")
    return lines


# --- what it comes to


def answer(supply: Sequence[SupplyChange], measures: Sequence[Change]) -> Iterator[Said]:
    """What a change comes to, a sentence each: GPUs online, then waiting."""
    online = next((each for each in supply if each.step == "online"), None)
    if online is not None:
        yield apart(online.most_after - online.most_before, online.most)
    whole = {each.name: each for each in measures if not each.by}
    hours, late = whole.get("waiting_gpu_h"), whole.get("wait_p90_s")
    if hours is not None:
        before, after = values("waiting_gpu_h", hours.unit, hours.before, hours.after)
        words = {"before": before, "after": after}
        if late is None or late.before is None or late.after is None:
            yield say("Jobs wait for {after} instead of {before}", **words)
        else:
            first, then = values("wait_p90_s", "s", late.before, late.after)
            yield say(
                "Jobs wait for {after} instead of {before}; one in ten waits more than {then} instead of "
                "{first}",
                **words,
                first=first,
                then=then,
            )
    elif online is None:
        yield say("Neither the GPUs online nor the GPU-hours waited for differ")


def apart(more: int, month: str) -> Said:
    """By how many GPUs online two runs differ most, and when."""
    day = date.fromisoformat(f"{month}-01")
    if more < 0:
        return say("Up to {gpus:,} GPUs fewer are online (end of {day:%Y-%m})", gpus=-more, day=day)
    return say("Up to {gpus:,} GPUs more are online (end of {day:%Y-%m})", gpus=more, day=day)


def split(measures: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Measures that lead, in their order, and the others."""

    def leads(each: Change) -> bool:
        return each.name in LEADING and tuple(dim for dim, _ in each.by) in _LED_BY

    first = sorted(filter(leads, measures), key=lambda each: (LEADING.index(each.name), len(each.by)))
    return first, [each for each in measures if not leads(each)]


# --- one line each


def measure_text(each: Change) -> str:
    """A measure before and after, sums that are absent as 0, and the difference.

    >>> measure_text(Change("-", "refused_jobs", 3, None, "job"))
    '~ jobs that can never run: 3 jobs -> 0 jobs (−3 jobs)'
    """
    called = title(each.name, dict(each.by))
    before, after = (filled(each.name, value) for value in (each.before, each.after))
    if before is None or after is None:
        (shown,) = values(each.name, each.unit, after if before is None else before)
        return f"{each.sign} {called}: {shown}"
    first, then = values(each.name, each.unit, before, after)
    return f"~ {called}: {first} -> {then} ({change(each.name, each.unit, before, after)})"


def plan_text(each: Change, clocks: tuple[Clock, Clock]) -> str:
    """A value of the plan before and after."""
    before, after = (plan_value(each.what, v, c) for v, c in zip(each[2:4], clocks, strict=True))
    shown = {"~": f"{before} -> {after}", "+": after, "-": before}[each.sign]
    return f"{each.sign} {plan_path(each.what)}: {shown}"


def plan_path(path: str) -> str:
    """A path as the plan writes it: units stand with the values.

    >>> plan_path("sites.lab.power_w"), plan_path("workloads.a.from_"), plan_path("policy.window_s")
    ('sites.lab.power', 'workloads.a.from', 'policy.window')
    """
    return re.sub(r"(?<=[a-z])(_w|_s|_)$", "", path)


def plan_value(path: str, value: Any, clock: Clock) -> str:
    """A value of a lock: power and time with their units, moments in the plan's time zone.

    >>> clock = Clock(datetime.fromisoformat("2026-11-01T15:00:00Z"), "Asia/Seoul")
    >>> plan_value("sites.lab.power_w", [[0, 5e5], [3600, 1e6]], clock)
    'from 2026-11-02 500.0 kW, from 2026-11-02 01:00 1.0 MW'
    >>> plan_value("end", "2026-11-01T15:00:00Z", clock), plan_value("policy.window_s", 90, clock)
    ('2026-11-02', '1 min 30 s')
    >>> plan_value("deliveries.a.gpus_range", [400, 6500], clock), plan_value("x", ["a", "b"], clock)
    ('400 to 6,500', 'a, b')
    >>> plan_value("deliveries.a.parts", [[400, "2026-11-01T15:00:00Z"]], clock)
    '400 GPUs: 2026-11-02'
    >>> plan_value("deliveries.a.at", "9000-01-01T00:00:00Z", clock)
    'at no time'
    """
    if isinstance(value, list):
        return _list(path, value, clock)
    if value is None:
        return say("nothing")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(path, value)
    if _MOMENT.fullmatch(value):
        moment = datetime.fromisoformat(value)
        return say("at no time") if moment >= NEVER else when(moment.astimezone(ZoneInfo(clock.zone)))
    return str(value)


def _number(path: str, value: float) -> str:
    if path.endswith("_w"):
        return format_power(value)
    if path.endswith("_s"):
        return format_duration(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def _list(path: str, value: list[Any], clock: Clock) -> str:
    if not value:
        return say("nothing")
    if path.endswith("_range") and len(value) == 2:
        low, high = (plan_value(path.removesuffix("_range"), item, clock) for item in value)
        return say("{low} to {high}", low=low, high=high)
    if all(isinstance(item, list) and len(item) == 2 for item in value):
        return ", ".join(_pair(path, first, second, clock) for first, second in value)
    return ", ".join(plan_value(path, item, clock) for item in value)


def _pair(path: str, first: Any, second: Any, clock: Clock) -> str:
    """A step that holds from a moment on, GPUs with their moment, or a name with its number."""
    shown = plan_value(path, second, clock)
    if path.endswith(".parts"):
        return say("{gpus:,} GPUs: {day}", gpus=first, day=shown)
    if isinstance(first, int | float):
        return say("from {at} {value}", at=when(clock.local(first)), value=shown)
    return f"{first} {shown}"


def _supply_text(each: SupplyChange) -> Said:
    words = {
        "step": tell(STEPS[each.step]), "first": date.fromisoformat(f"{each.first}-01"),
        "before": each.before, "after": each.after,
    }  # fmt: skip
    if each.first == each.most:
        return say("~ GPUs {step}: differ most in {first:%Y-%m}, {before:,} -> {after:,}", **words)
    return say(
        "~ GPUs {step}: differ first in {first:%Y-%m}, {before:,} -> {after:,}, and most in {most:%Y-%m}, "
        "{most_before:,} -> {most_after:,}",
        **words,
        most=date.fromisoformat(f"{each.most}-01"),
        most_before=each.most_before,
        most_after=each.most_after,
    )


def _jobs_text(jobs: JobChanges) -> list[str]:
    if not jobs.both:
        lines: list[str] = ["", say("jobs: no job is in both runs")]
    elif not jobs.any:
        return ["", say("jobs: none of {both:,} starts, ends or finishes otherwise", both=jobs.both)]
    else:
        says = say(
            "jobs: {n:,} of {both:,} starts, ends or finishes otherwise",
            "jobs: {n:,} of {both:,} start, end or finish otherwise",
            n=jobs.changed,
            both=jobs.both,
        )
        lines = ["", says]
    if jobs.earlier or jobs.later:
        moved = say(
            "{n:,} starts earlier, {later:,} later", "{n:,} start earlier, {later:,} later",
            n=jobs.earlier, later=jobs.later,
        )  # fmt: skip
        lines.append(f"  {moved}")
    for sign, n in (("+", jobs.added), ("-", jobs.removed)):
        if n:
            lines.append(f"  {sign} {say('{n:,} job', '{n:,} jobs', n=n)}")
    for before, after, n in jobs.states:
        states = (tell(STATE_WORDS.get(state, state)) for state in (before, after))
        lines.append(f"  ~ {' -> '.join(states)}: {say('{n:,} job', '{n:,} jobs', n=n)}")
    return [*lines, *(f"  ~ {_shift_text(shift)}" for shift in jobs.shifts)]


def _shift_text(shift: Shift) -> Said:
    """A job that starts at another time."""
    by = format_duration(abs(shift.shift_s))
    return say(
        "{job}: starts {before:%Y-%m-%d %H:%M} -> {after:%Y-%m-%d %H:%M} ({moved})",
        job=f"{shift.workload}/{shift.name}",
        before=datetime.fromisoformat(shift.start_before),
        after=datetime.fromisoformat(shift.start_after),
        moved=say("{time} later", time=by) if shift.shift_s > 0 else say("{time} earlier", time=by),
    )
