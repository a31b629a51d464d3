"""Why a job can never run, however long it waits; and words that explanations share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gpufleet.base.say import Said, say
from gpufleet.results.blame import FOREVER_S, Blame, Lock, Wish, blame, line, quotas, unpowered_in, usable
from gpufleet.results.blame_sharing import cohort_paths
from gpufleet.results.explain_limits import dependencies, never_within
from gpufleet.results.find import Row
from gpufleet.results.then import Product, Then

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MOST_LINES: Final = 3
"""Lines of the plan that one cause names."""


def gpus_text(n: int) -> Said:
    """A number of GPUs in words."""
    return say("{n:,} GPU", "{n:,} GPUs", n=n)


def lines_text(lines: Sequence[Blame]) -> Said:
    """Lines of the plan, the first few of them."""
    if not lines:
        return say("nothing in the plan would change it")
    shown = [each.says() for each in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        return say("{lines:; }; and {more:,} more", lines=shown, more=len(lines) - MOST_LINES)
    return say("{lines:; }", lines=shown)


def lines_of(run: Run, wish: Wish, cause: str) -> tuple[Blame, ...]:
    """The lines of the plan behind a cause of waiting."""
    return tuple(blame(run.plan, cause, wish, unpowered=unpowered_in(run.measures_json["measures"])))


def never_of(run: Run, row: Row, wish: Wish, came: Then) -> str:
    """Why no wait would help, for each product that the job accepts."""
    lock, gpus = run.plan, row["gpus"]
    closed = [p for p in came.products if p.most is not None and p.most < gpus]
    too_few = [p for p in came.products if p not in closed]
    names = [p.name for p in too_few]
    parts: list[Said] = []
    if row["last_refusal"] == "dependency":
        failed = [each for each in dependencies(run, row) if each.not_done and not each.any]
        return say("{parts:; }", parts=[each.text(None) for each in failed])
    if row["last_refusal"] == "limit":
        parts.append(never_within(run, row, [p.name for p in came.products]))
        return say("{parts:; }", parts=[say("it wants {gpus}", gpus=gpus_text(gpus)), *parts])
    if row["last_refusal"] == "power":
        at = lines_text(lines_of(run, wish, "power"))
        parts.append(say("alone it would draw more than its site may at any time ({lines})", lines=at))
        return say("{parts:; }", parts=[say("it wants {gpus}", gpus=gpus_text(gpus)), *parts])
    if row["last_refusal"] == "topology":
        at = lines_text(lines_of(run, wish, "topology"))
        parts.append(say("no part of the fleet that it requires is large enough ({lines})", lines=at))
    elif too_few and not usable(lock, names, row["tenant"]):
        bare = say(
            "no delivery brings {products: or } that {tenant} may use", products=names, tenant=row["tenant"]
        )
        parts.append(bare)
    elif too_few:
        most = max(p.peak for p in too_few)
        ever = wish._replace(products=tuple(names), from_s=-FOREVER_S, until_s=FOREVER_S, held={}, place={})
        at = lines_text(lines_of(run, ever, "not_online"))
        largest = {"most": most, "products": names, "lines": at}
        parts.append(
            say(
                "at most {most:,} {products: or } are ever online in one place, and not on whole nodes as it "
                "needs them ({lines})",
                **largest,
            )
            if most >= gpus
            else say("at most {most:,} {products: or } are ever online in one place ({lines})", **largest)
        )
    if closed:
        parts.append(_closed(lock, row["queue"], closed))
    return say("{parts:; }", parts=[say("it wants {gpus}", gpus=gpus_text(gpus)), *parts])


def _closed(lock: Lock, queue: str, closed: Sequence[Product]) -> Said:
    """What a queue may hold at most of products of which that is too little."""
    told = {"queue": queue, "allowed": [f"{p.most:,} {p.name}" for p in closed]}
    names = [p.name for p in closed]
    if lock["queues"][queue].get("cohort") is None:
        at = lines_text(quotas(lock, queue, names))
        return say("the quota of queue {queue} is {allowed:, } ({lines})", **told, lines=at)
    at = lines_text([line(lock, path) for path in cohort_paths(lock, queue, names)])
    return say(
        "queue {queue} may hold {allowed:, } at most, with all that it can ever borrow ({lines})",
        **told,
        lines=at,
    )
