"""What each figure says, as one sentence, by plain rules from the run's measures; for page and terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gpufleet.base.units import format_duration
from gpufleet.report import measured
from gpufleet.report.words import ROOT_TITLES, percent, plural, root_name, short

if TYPE_CHECKING:
    from gpufleet.report.view import View
    from gpufleet.report.waits import Compared, Spread

HOUR_S: Final = 3_600
NOTABLE: Final = 1.2
"""A ratio below this is "about the same"."""


def in_use(view: View) -> str:
    """Who used how much of what was online, until the plan's end, or the run's if that is earlier."""
    counted_s, grid_s = view.run.counted_s, view.run.grid_s
    if view.run.measures_json["clock"]["finish"]:  # then the sums take the last bin whole
        counted_s = -(-counted_s // grid_s) * grid_s
    hours = counted_s / HOUR_S
    online, used = (measured.total(view.run, name) or 0.0 for name in ("online_gpu_h", "busy_gpu_h"))
    if not online:
        return "No GPU came online"
    if not used:
        return f"None of {short(online / hours)} GPUs was in use: no job started"
    says = f"On average {short(used / hours)} of {short(online / hours)} GPUs were in use"
    if len(view.tenants) < 2:
        return says
    most = measured.by(view.run, "busy_gpu_h", "tenant").get(view.tenants[0], 0.0)
    return f"{says}; {view.tenants[0]} held {percent(most / used)} of them"


def concentration(hours: Mapping[str, float]) -> str:
    """How few tenants hold half of the GPU-hours.

    >>> concentration({"a": 4.0, "b": 3.0, "c": 1.0})
    '1 of 3 tenants holds half of the GPUs in use'
    """
    total, held, few = sum(hours.values()), 0.0, 0
    if not total:
        return "No tenant used a GPU"
    for value in sorted(hours.values(), reverse=True):
        held, few = held + value, few + 1
        if 2 * held >= total:
            break
    return f"{few} of {len(hours)} tenants hold{'s' if few == 1 else ''} half of the GPUs in use"


def waiting(causes: dict[str, float]) -> str:
    """The first root cause of waiting."""
    total = sum(causes.values())
    if not total:
        return "No job had to wait"
    code, most = next(iter(causes.items()))
    return f"{percent(most / total)} of the waiting is {ROOT_TITLES.get(code, 'for ' + root_name(code))}"


def waiting_by_tenant(hours: Mapping[tuple[str, ...], float]) -> str:
    """Who waits most, and for what.

    Args: hours: waiting GPU-hours by (tenant, cause).

    >>> waiting_by_tenant({("a", "no_free"): 1.0, ("b", "own_quota"): 3.0, ("b", "no_free"): 1.0})
    "b waits most: 4 GPU-hours, 75 % of it for the queue's own quota"
    """
    sums: dict[str, float] = {}
    for (tenant, _), value in hours.items():
        sums[tenant] = sums.get(tenant, 0.0) + value
    if not any(sums.values()):
        return "No tenant had to wait"
    name = max(sums, key=lambda tenant: sums[tenant])
    (_, code), most = max(((key, h) for key, h in hours.items() if key[0] == name), key=lambda item: item[1])
    cause = ROOT_TITLES.get(code, "for " + root_name(code))
    return f"{name} waits most: {short(sums[name])} GPU-hours, {percent(most / sums[name])} of it {cause}"


def waits_by_tenant(spreads: Sequence[Spread]) -> str:
    """Whose jobs wait longest."""
    if not spreads:
        return "No job came"
    if not any(s.p99_s for s in spreads):
        return "99 % of every tenant's jobs start at once"
    worst = max(spreads, key=lambda s: (s.p90_s, s.p99_s))
    if len(spreads) == 1:
        half = f"Half of the jobs wait at most {format_duration(worst.p50_s)}"
        return f"{half}, one in ten longer than {format_duration(worst.p90_s)}"
    return f"{worst.name} waits longest: one job in ten longer than {format_duration(worst.p90_s)}"


def waits_by_size(spreads: Sequence[Spread]) -> str:
    """Whether larger jobs wait longer."""
    if not spreads:
        return "No job came"
    if not any(s.p90_s for s in spreads):
        return "Nine in ten jobs of every size start at once"
    small, large = spreads[0], spreads[-1]
    worst = max(spreads, key=lambda s: s.p90_s)
    if large.p90_s > NOTABLE * small.p90_s:
        return (
            f"Larger jobs wait longer: P90 {format_duration(small.p90_s)} at {small.name}, "
            f"{format_duration(worst.p90_s)} at {worst.name}"
        )
    return f"Jobs of {worst.name} wait longest: P90 {format_duration(worst.p90_s)}"


def compared(waits: Compared) -> str:
    """Simulated against recorded waits."""
    ours, theirs = waits.simulated, waits.recorded
    pair = f"P90 {format_duration(ours.p90_s)} against {format_duration(theirs.p90_s)}"
    if waits.gap < 0.02:
        return f"Simulated waits match the recorded ones: {pair}"
    if ours.p90_s * NOTABLE < theirs.p90_s:
        return f"Simulated waits are shorter than recorded: {pair}"
    if ours.p90_s > NOTABLE * theirs.p90_s:
        return f"Simulated waits are longer than recorded: {pair}"
    return f"Simulated and recorded waits differ in shape by {percent(waits.gap)}, hardly in length: {pair}"


def utilisation(rows: Sequence[tuple[str, float]]) -> str:
    """Most and least used site and product.

    >>> utilisation([("lab · B200", 0.8), ("east · H200", 0.31)])
    'lab · B200 is 80 % in use, east · H200 31 %'
    """
    if not rows:
        return "No GPU came online"
    most, least = max(rows, key=lambda r: r[1]), min(rows, key=lambda r: r[1])
    says = f"{most[0]} is {percent(most[1])} in use"
    return says if len(rows) == 1 else f"{says}, {least[0]} {percent(least[1])}"


def states(counts: Mapping[str, float]) -> str:
    """How many jobs finished, how many were killed, and how many can never run.

    >>> states({"done": 95, "killed": 1, "refused": 2, "waiting": 2})
    '95 % of 100 jobs finished; 1 killed at its limit; 2 can never run'
    """
    total = sum(counts.values())
    if not total:
        return "No job came"
    says = f"{percent(counts.get('done', 0) / total)} of {plural(total, 'job')} finished"
    killed, refused = counts.get("killed", 0), counts.get("refused", 0)
    if killed:
        says += f"; {killed:,.0f} killed at {'its' if killed == 1 else 'their'} limit"
    return f"{says}; {refused:,.0f} can never run" if refused else says
