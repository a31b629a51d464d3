"""What each figure says, as one sentence, by plain rules from the run's measures; for page and terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.report import measured
from gpufleet.report.words import percent, root_title

if TYPE_CHECKING:
    from gpufleet.report.view import View
    from gpufleet.report.waits import Compared, Spread

HOUR_S: Final = 3_600
NOTABLE: Final = 1.2
"""A ratio below this is "about the same"."""


def in_use(view: View) -> Said:
    """Who used how much of what was online, until the plan's end, or the run's if that is earlier."""
    counted_s, grid_s = view.run.counted_s, view.run.grid_s
    if view.run.measures_json["clock"]["finish"]:  # then the sums take the last bin whole
        counted_s = -(-counted_s // grid_s) * grid_s
    hours = counted_s / HOUR_S
    online, used = (measured.total(view.run, name) or 0.0 for name in ("online_gpu_h", "busy_gpu_h"))
    if not online:
        return say("No GPU came online")
    if not used:
        return say("None of {online:short} GPUs was in use: no job started", online=online / hours)
    says = say(
        "On average {used:short} of {online:short} GPUs were in use", used=used / hours, online=online / hours
    )
    if len(view.tenants) < 2:
        return says
    most = measured.by(view.run, "busy_gpu_h", "tenant").get(view.tenants[0], 0.0)
    return say(
        "{says}; {tenant} held {share} of them",
        says=says,
        tenant=view.tenants[0],
        share=percent(most / used),
    )


def concentration(hours: Mapping[str, float]) -> Said:
    """How few tenants hold half of the GPU-hours.

    >>> concentration({"a": 4.0, "b": 3.0, "c": 1.0})
    '1 of 3 tenants holds half of the GPUs in use'
    """
    total, held, few = sum(hours.values()), 0.0, 0
    if not total:
        return say("No tenant used a GPU")
    for value in sorted(hours.values(), reverse=True):
        held, few = held + value, few + 1
        if 2 * held >= total:
            break
    return say(
        "{n:,} of {tenants:,} tenants holds half of the GPUs in use",
        "{n:,} of {tenants:,} tenants hold half of the GPUs in use",
        n=few,
        tenants=len(hours),
    )


def waiting(causes: dict[str, float]) -> Said:
    """The first root cause of waiting."""
    total = sum(causes.values())
    if not total:
        return say("No job had to wait")
    code, most = next(iter(causes.items()))
    return say("{share} of the waiting is {cause}", share=percent(most / total), cause=root_title(code))


def waiting_by_tenant(hours: Mapping[tuple[str, ...], float]) -> Said:
    """Who waits most, and for what.

    Args: hours: waiting GPU-hours by (tenant, cause).

    >>> waiting_by_tenant({("a", "no_free"): 1.0, ("b", "own_quota"): 3.0, ("b", "no_free"): 1.0})
    "b waits most: 4 GPU-hours, 75 % of it for the queue's own quota"
    """
    sums: dict[str, float] = {}
    for (tenant, _), value in hours.items():
        sums[tenant] = sums.get(tenant, 0.0) + value
    if not any(sums.values()):
        return say("No tenant had to wait")
    name = max(sums, key=lambda tenant: sums[tenant])
    (_, code), most = max(((key, h) for key, h in hours.items() if key[0] == name), key=lambda item: item[1])
    return say(
        "{tenant} waits most: {hours:short} GPU-hours, {share} of it {cause}",
        tenant=name,
        hours=sums[name],
        share=percent(most / sums[name]),
        cause=root_title(code),
    )


def waits_by_tenant(spreads: Sequence[Spread]) -> Said:
    """Whose jobs wait longest."""
    if not spreads:
        return say("No job came")
    if not any(s.p99_s for s in spreads):
        return say("99 % of every tenant's jobs start at once")
    worst = max(spreads, key=lambda s: (s.p90_s, s.p99_s))
    long = format_duration(worst.p90_s)
    if len(spreads) == 1:
        half = format_duration(worst.p50_s)
        return say(
            "Half of the jobs wait at most {half}, one in ten longer than {long}", half=half, long=long
        )
    return say("{tenant} waits longest: one job in ten longer than {long}", tenant=worst.name, long=long)


def waits_by_size(spreads: Sequence[Spread]) -> Said:
    """Whether larger jobs wait longer."""
    if not spreads:
        return say("No job came")
    if not any(s.p90_s for s in spreads):
        return say("Nine in ten jobs of every size start at once")
    small, large = spreads[0], spreads[-1]
    worst = max(spreads, key=lambda s: s.p90_s)
    if large.p90_s > NOTABLE * small.p90_s:
        return say(
            "Larger jobs wait longer: P90 {short} at {small}, {long} at {large}",
            short=format_duration(small.p90_s),
            small=small.name,
            long=format_duration(worst.p90_s),
            large=worst.name,
        )
    return say("Jobs of {size} wait longest: P90 {long}", size=worst.name, long=format_duration(worst.p90_s))


def compared(waits: Compared) -> Said:
    """Simulated against recorded waits."""
    ours, theirs = waits.simulated, waits.recorded
    pair = say(
        "P90 {ours} against {theirs}", ours=format_duration(ours.p90_s), theirs=format_duration(theirs.p90_s)
    )
    if waits.gap < 0.02:
        return say("Simulated waits match the recorded ones: {pair}", pair=pair)
    if ours.p90_s * NOTABLE < theirs.p90_s:
        return say("Simulated waits are shorter than recorded: {pair}", pair=pair)
    if ours.p90_s > NOTABLE * theirs.p90_s:
        return say("Simulated waits are longer than recorded: {pair}", pair=pair)
    return say(
        "Simulated and recorded waits differ in shape by {gap}, hardly in length: {pair}",
        gap=percent(waits.gap),
        pair=pair,
    )


def utilisation(rows: Sequence[tuple[str, float]]) -> Said:
    """Most and least used site and product.

    >>> utilisation([("lab · B200", 0.8), ("east · H200", 0.31)])
    'lab · B200 is 80 % in use, east · H200 31 %'
    """
    if not rows:
        return say("No GPU came online")
    most, least = max(rows, key=lambda r: r[1]), min(rows, key=lambda r: r[1])
    if len(rows) == 1:
        return say("{most} is {share} in use", most=most[0], share=percent(most[1]))
    return say(
        "{most} is {share} in use, {least} {less}",
        most=most[0],
        share=percent(most[1]),
        least=least[0],
        less=percent(least[1]),
    )


def states(counts: Mapping[str, float]) -> Said:
    """How many jobs finished, how many were killed, and how many can never run.

    >>> states({"done": 95, "killed": 1, "refused": 2, "waiting": 2})
    '95 % of 100 jobs finished; 1 killed at its limit; 2 can never run'
    """
    total = sum(counts.values())
    if not total:
        return say("No job came")
    share = percent(counts.get("done", 0) / total)
    parts = [
        say("{share} of {n:,} job finished", "{share} of {n:,} jobs finished", share=share, n=int(total))
    ]
    if killed := int(counts.get("killed", 0)):
        parts.append(say("{n:,} killed at its limit", "{n:,} killed at their limit", n=killed))
    if refused := int(counts.get("refused", 0)):
        parts.append(say("{refused:,} can never run", refused=refused))
    return say("{parts:; }", parts=parts)
