"""What measures are called, and how their values are written, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.results.columns import RULES, WORDS
from gpufleet.results.explain import STATE_WORDS

TITLES: Final = {
    "online_gpu_h": say("GPU-hours online"),
    "busy_gpu_h": say("GPU-hours in use"),
    "idle_gpu_h": say("GPU-hours idle"),
    "utilisation": say("utilisation"),
    "unpowered_gpu_h": say("GPU-hours delivered without power"),
    "jobs": say("jobs"),
    "refused_jobs": say("jobs that can never run"),
    "gpu_h_share": say("share of the GPU-hours"),
    "waiting_gpu_h": say("GPU-hours waited for"),
    "wait_p50_s": say("wait, P50"),
    "wait_p90_s": say("wait, P90"),
    "wait_p99_s": say("wait, P99"),
    "wait_mean_s": say("wait, mean"),
    "first_wait_recorded_p50_s": say("recorded wait for the first start, P50"),
    "first_wait_recorded_p90_s": say("recorded wait for the first start, P90"),
    "first_wait_recorded_p99_s": say("recorded wait for the first start, P99"),
    "first_wait_recorded_mean_s": say("recorded wait for the first start, mean"),
    "first_wait_simulated_p50_s": say("simulated wait for the first start, P50"),
    "first_wait_simulated_p90_s": say("simulated wait for the first start, P90"),
    "first_wait_simulated_p99_s": say("simulated wait for the first start, P99"),
    "first_wait_simulated_mean_s": say("simulated wait for the first start, mean"),
    "bounded_slowdown": say("bounded slowdown"),
    "fragmentation": say("free GPUs that are in no idle part of the fleet"),
    "own_quota_gpu_h": say("GPU-hours of own quota"),
    "borrowed_gpu_h": say("GPU-hours borrowed"),
    "lent_gpu_h": say("GPU-hours lent"),
    "preemptions": say("preemptions"),
    "lost_gpu_h": say("GPU-hours of work lost by preemption"),
    "taken_gpu_h": say("GPU-hours of work that others lost for it"),
    "taken_gpus": say("GPUs got by preemption"),
    "most_preemptions": say("preemptions of the job that had most"),
    "often_preempted_jobs": say("jobs preempted three times or more"),
    "often_preempted_lost_gpu_h": say("GPU-hours of work lost by these jobs"),
    "reserved_gpus": say("GPUs reserved"),
    "reserved_of_gpus": say("GPUs at the place of a reservation"),
    "reserved_gpu_h": say("GPU-hours reserved"),
    "reserved_used_gpu_h": say("GPU-hours reserved and used"),
    "reserved_others_gpu_h": say("GPU-hours reserved and still held by others"),
    "reserved_idle_gpu_h": say("GPU-hours reserved and idle"),
    "reserved_idle_before_gpu_h": say("GPU-hours idle in the day before reservations"),
    "to_and_fro": say("preemptions to and fro between queues"),
    "to_and_fro_lost_gpu_h": say("GPU-hours of work lost to and fro"),
    "bounded_jobs": say("jobs preempted as often as they may be"),
    "makespan_h": say("time from the first submission to the last end"),
    "trace_rows": say("rows of traces read"),
    "trace_rows_dropped": say("rows of traces not used"),
    "promised_gpus": say("GPUs promised"),
    "contracted_gpus": say("GPUs contracted"),
    "supply_gpus": say("GPUs at the plan's end"),
    "supply_gpus_low": say("GPUs at the plan's end, low"),
    "supply_gpus_high": say("GPUs at the plan's end, high"),
    "supply_tflops_bf16": say("peak BF16 rate at the plan's end"),
    "supply_mw": say("rated IT power at the plan's end"),
    "shortage_gpus": say("GPUs short at the plan's end"),
    "overdue_gpus": say("GPUs overdue at the plan's end"),
    "other_product_gpus": say("GPUs of another product than was promised"),
    "sum_gpus": say("GPUs in a sum of the plan"),
    "due_gpus": say("GPUs promised by today"),
    "planned_gpus": say("GPUs planned by today"),
    "actual_gpus": say("GPUs arrived by today"),
    "energy_mwh": say("energy from the grid"),
    "peak_mw": say("highest power from the grid"),
    "p99_mw": say("power from the grid, P99"),
    "carbon_t": say("carbon, CO2 equivalent"),
    "over_cap_h": say("time above the cap"),
    "over_cap_mwh": say("energy above the cap"),
    "slowed_gpu_h": say("GPU-hours lost to slowing"),
    "money_due": say("falls due"),
    "money_paid": say("paid"),
    "money_received": say("received"),
    "money_written_off": say("written off"),
    "money_present_value": say("present value of all payments"),
    "funding_gap": say("owed at the end of a year for want of money"),
    "cost_per_gpu_h": say("cost of a GPU-hour in service"),
    "cost_per_used_gpu_h": say("cost of a GPU-hour that jobs hold"),
    "cost_per_tflop_year": say("cost of a TFLOPS-year, peak BF16"),
    "cost_per_job": say("cost of a job, mean"),
    "cost_per_training": say("cost of a training"),
    "assumed_actual_gpus": say("GPUs arrived by today, assumed"),
}
"""Names of the measures as people read them."""

DIMS: Final = {
    "tenant": say("tenant"),
    "queue": say("queue"),
    "other_queue": say("and queue"),
    "rule": say("rule of preemption"),
    "level": say("level"),
    "cause": say("root cause"),
    "product": say("product"),
    "site": say("site"),
    "state": say("state"),
    "size": say("size in GPUs"),
    "step": say("step"),
    "promise": say("promise"),
    "reservation": say("reservation"),
    "lot": say("lot"),
    "delivery": say("lot"),
    "operator": say("operator"),
    "sum": say("sum"),
    "workload": say("workload"),
    "reason": say("reason"),
    "part": say("part of the meter"),
    "work": say("kind of work"),
    "year": say("year"),
    "payer": say("payer"),
    "item": say("item"),
    "kind": say("kind of cost"),
    "line": say("funding line"),
}
"""What a measure is split by."""

STEPS: Final = {
    "pledged": say("pledged"),
    "ordered": say("ordered"),
    "delivered": say("delivered"),
    "powered": say("powered"),
    "online": say("online"),
    "cancelled": say("cancelled"),
    "left_over": say("left over"),
    "not_ordered": say("no order"),
    "not_delivered": say("not delivered"),
    "not_powered": say("no power"),
    "not_online": say("not online"),
}
"""Steps of a GPU, and what it lacks without one."""

SHARES: Final = frozenset({"utilisation", "gpu_h_share", "fragmentation"})
"""Measures that are a part of a whole."""

ZERO_WHERE_ABSENT: Final = frozenset({
    "online_gpu_h", "busy_gpu_h", "idle_gpu_h", "unpowered_gpu_h", "jobs", "refused_jobs", "waiting_gpu_h",
    "contracted_gpus", "supply_gpus", "supply_mw", "supply_tflops_bf16", "shortage_gpus", "overdue_gpus",
    "trace_rows_dropped",
})  # fmt: skip
"""Sums that a run without any part has no row for."""


def title(name: str, by: Mapping[str, str] | None = None) -> Said:
    """A measure with what it is of.

    >>> title("wait_p90_s", {"tenant": "lab"}), title("waiting_gpu_h", {"cause": "no_free"}), title("own")
    ('wait, P90 (tenant lab)', 'GPU-hours waited for (root cause no free GPUs)', 'own')
    """
    called = tell(TITLES[name]) if name in TITLES else name
    if not by:
        return say("{name}", name=called)
    parts = [say("{dim} {of}", dim=tell(DIMS.get(dim, dim)), of=word(dim, of)) for dim, of in by.items()]
    return say("{name} ({parts})", name=called, parts=parts)


def word(dim: str, name: str) -> str:
    """A name in a dimension: causes, states and steps in words.

    >>> word("cause", "no_free"), word("tenant", "no_free")
    ('no free GPUs', 'no_free')
    """
    known = {"cause": WORDS, "state": STATE_WORDS, "step": STEPS, "rule": RULES}.get(dim, {})
    return str(tell(known.get(name, name)))


def percent(share: float) -> Said:
    """Share of one as percent; a trace of something is never shown as nothing.

    >>> [percent(v) for v in (0.7234, 0.0004, 0.9997, 1.0, 0.0, 0.064)]
    ['72 %', '<0.1 %', '>99.9 %', '100 %', '0 %', '6.4 %']
    """
    value = 100 * share
    if 0 < value < 0.1:
        return say("<0.1 %")
    if 99.9 < value < 100:
        return say(">99.9 %")
    if 0 < value < 10 or 99 < value < 100:
        return say("{x:.1f} %", x=value)
    return say("{x:.0f} %", x=value)


def quantity(value: float, unit: str) -> str:
    """A measure's value as a reader wants it.

    >>> quantity(0.871, "1"), quantity(2.5, "1"), quantity(15120, "s")
    ('87 %', '2.5', '4 h 12 min')
    >>> quantity(12345.6, "GPU·h"), quantity(1, "job")
    ('12,300 GPU·h', '1 job')
    """
    if unit == "1":
        return percent(value) if value <= 1 else say("{x:short}", x=value)
    if unit == "s":
        return format_duration(value)
    if unit == "preemption":
        return say("{n:,} preemption", "{n:,} preemptions", n=round(value))
    if unit == "job":
        return say("{n:,} job", "{n:,} jobs", n=round(value))
    if unit == "GPU":
        return say("{n:,} GPU", "{n:,} GPUs", n=round(value))
    if unit == "row":
        return say("{n:,} row", "{n:,} rows", n=round(value))
    return say("{x:short} {unit}", x=value, unit=unit)


def values(name: str, unit: str, *numbers: float | None) -> list[str]:
    """Values of one measure to set side by side: alike only if they are; of shares a digit more.

    A sum that is absent is 0; of other measures there is nothing then.

    >>> values("utilisation", "1", 0.7743, 0.8653), values("jobs", "job", 5, None)
    (['77.4 %', '86.5 %'], ['5 jobs', '0 jobs'])
    >>> values("busy_gpu_h", "GPU·h", 2252.25, 2252.5), values("wait_p50_s", "s", 60, None)
    (['2,252.25 GPU·h', '2,252.5 GPU·h'], ['1 min', 'nothing'])
    """
    known = [filled(name, number) for number in numbers]
    shown = [_one(name, unit, number) for number in known]
    if len(set(shown)) == len(set(known)):
        return shown
    return [_exact(name, unit, number) for number in known]


def filled(name: str, number: float | None) -> float | None:
    """A value, or 0 where the measure is a sum that has no part.

    >>> filled("jobs", None), filled("utilisation", None)
    (0, None)
    """
    return 0 if number is None and name in ZERO_WHERE_ABSENT else number


def _one(name: str, unit: str, number: float | None) -> str:
    if number is None:
        return say("nothing")
    if name in SHARES:
        return say("{x:.1f} %", x=100 * number)
    return say("{x:short}", x=number) if unit == "1" else quantity(number, unit)


def _exact(name: str, unit: str, number: Any) -> str:
    if number is None:
        return say("nothing")
    if name in SHARES:
        return say("{x} %", x=f"{100 * number:.6g}")
    shown = f"{number:,.10g}" if abs(number) < 1e10 else f"{number:,}"
    return shown if unit == "1" else say("{x} {unit}", x=shown, unit=unit)


def change(name: str, unit: str, before: float | None, after: float | None) -> str:
    """The difference with its sign, of shares in percentage points; "" where there is none to be told.

    >>> change("utilisation", "1", 0.7743, 0.8653), change("wait_p50_s", "s", 120, 60)
    ('+9.1 percentage points', '−1 min')
    >>> change("unpowered_gpu_h", "GPU·h", 1200.0, None), change("jobs", "job", 3, 3)
    ('−1,200 GPU·h', 'no change')
    """
    before, after = filled(name, before), filled(name, after)
    if before is None or after is None:
        return ""
    apart = after - before
    if not apart:
        return say("no change")
    size = _points(abs(apart)) if name in SHARES else _one(name, unit, abs(apart))
    return say("+{value}", value=size) if apart > 0 else say("−{value}", value=size)


def _points(share: float) -> Said:
    points = 100 * share
    if points < 0.05:
        return say("less than 0.1 percentage points")
    return say("{x:.1f} percentage points", x=points)
