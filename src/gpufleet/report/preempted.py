"""What preemption took: by which rule, from whom to and fro, and at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_count
from gpufleet.report import charts, measured
from gpufleet.report.figures import Figure, with_sums
from gpufleet.report.marks import Mark
from gpufleet.report.tables import table
from gpufleet.results.columns import LOST_NODE, RULES
from gpufleet.results.measures_sharing import OFTEN

if TYPE_CHECKING:
    from gpufleet.report.view import View

MAX_PAIRS: Final = 3
"""Pairs of queues that are named; measures.json has all."""

RULE_TITLES: Final = {
    "InClusterQueue": say("within a queue"),
    "InCohortReclamation": say("own quota taken back"),
    "InCohortReclaimWhileBorrowing": say("taken back while borrowing"),
    "InCohortFairSharing": say("fair shares"),
    "QuotaFell": say("quota fell"),
}
"""Rules of preemption, short enough for the rows of a chart."""


def by_rule(view: View) -> Figure | None:
    """Preemptions by rule; None where there were none. A node that is taken away preempts nobody."""
    counts = _without_kills(measured.by(view.run, "preemptions", "rule"))
    if not counts:
        return None
    lost, mark = measured.by(view.run, "lost_gpu_h", "rule"), Mark(str(say("preemptions")), "grey-1", "plain")
    order = sorted(counts, key=lambda rule: -counts[rule])
    rows = [
        {
            "row": str(tell(RULE_TITLES[rule])),
            "name": mark.name,
            "value": counts[rule],
            "rank": 0,
            "total": counts[rule],
        }
        for rule in order
    ]
    return Figure(
        id="preempted",
        title=_preempted_says(view),
        subtitle=say("running jobs that were pushed out, by the rule that let it be, whole run"),
        spec=charts.bars(with_sums(rows, format_count), [mark], unit=say("preemptions")),
        marks=(mark,),
        table=table(
            say("Preemptions by rule"),
            [
                (say("rule"), "text"), (say("in Kueue's words"), "text"), (say("preemptions"), "whole"),
                (say("work lost, GPU-hours"), "number"),
            ],
            [(tell(RULES[rule]), rule, counts[rule], lost[rule]) for rule in order],
        ),
        note=say("{notes: }", notes=[note for note in (_often(view), *to_and_fro(view)) if note]),
        measures=(
            *("preemptions", "lost_gpu_h", "most_preemptions", "often_preempted_jobs"),
            *("to_and_fro", "to_and_fro_lost_gpu_h", "bounded_jobs"),
        ),
    )  # fmt: skip


def _without_kills(by_rule: dict[str, float]) -> dict[str, float]:
    return {rule: value for rule, value in by_rule.items() if rule not in LOST_NODE}


def _preempted_says(view: View) -> Said:
    """How many jobs were pushed out, and what that cost of all work."""
    by_rule = (measured.by(view.run, name, "rule") for name in ("preemptions", "lost_gpu_h"))
    count, lost = (sum(_without_kills(values).values()) for values in by_rule)
    used = measured.total(view.run, "busy_gpu_h") or 0.0
    return say(
        "{n:,} preemption cost {hours:short} GPU-hours of work, of {used:short} in use",
        "{n:,} preemptions cost {hours:short} GPU-hours of work, of {used:short} in use",
        n=round(count),
        hours=lost,
        used=used,
    )


def _often(view: View) -> Said:
    """Whether jobs went to and fro."""
    most = round(measured.total(view.run, "most_preemptions") or 0)
    jobs = round(measured.total(view.run, "often_preempted_jobs") or 0)
    if not jobs:
        return say(
            "No job was preempted three times: {n:,} time at most.",
            "No job was preempted three times: {n:,} times at most.",
            n=most,
        )
    return say(
        "{n:,} job was preempted three times or more, at most {most:,}, and lost {hours:short} GPU-hours.",
        "{n:,} jobs were preempted three times or more, at most {most:,}, and lost {hours:short} GPU-hours.",
        n=jobs,
        most=most,
        hours=measured.total(view.run, "often_preempted_lost_gpu_h") or 0.0,
    )


HELPS: Final = say(
    "`policy.sharing.return_after` slows what goes to and fro, `policy.sharing.preemptions_at_most` ends it."
)


def to_and_fro(view: View) -> list[Said]:
    """Which queues push each other's jobs out in turn, what that costs, and what ends it; and the bound."""
    hours = measured.values(view.run, "to_and_fro_lost_gpu_h", "queue", "other_queue")
    pairs = measured.values(view.run, "to_and_fro", "queue", "other_queue")
    often = sorted((pair for pair in pairs if pairs[pair] >= OFTEN), key=lambda pair: (-pairs[pair], pair))
    lines = [_pair_says(pair, pairs[pair], hours[pair]) for pair in often[:MAX_PAIRS]]
    if lines:
        lines.append(HELPS)
    bounded = round(measured.total(view.run, "bounded_jobs") or 0)
    if bounded:
        lines.append(say(
            "{n:,} job was preempted as often as `policy.sharing.preemptions_at_most` allows, no more.",
            "{n:,} jobs were preempted as often as `policy.sharing.preemptions_at_most` allows, no more.",
            n=bounded,
        ))  # fmt: skip
    return lines


def _pair_says(pair: tuple[str, ...], n: float, hours: float) -> Said:
    return say(
        "{one} and {other} take GPUs from each other to and fro: {n:,} time within a day of the last, "
        "{hours:short} GPU-hours of work lost.",
        "{one} and {other} take GPUs from each other to and fro: {n:,} times within a day of the last, "
        "{hours:short} GPU-hours of work lost.",
        one=pair[0],
        other=pair[1],
        n=round(n),
        hours=hours,
    )
