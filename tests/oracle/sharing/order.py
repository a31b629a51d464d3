"""Which works come first: in a queue, and among those that may be preempted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import ANY, LOWER, LOWER_OR_NEWER, NEVER, Work

if TYPE_CHECKING:
    from .search import Search


def heap_rank(work: Work, sticky: str | None) -> tuple[object, ...]:
    """Order in a queue's heap: its pending preemptor, priority high first, time in the queue, uid."""
    return (work.key != sticky, work.urgency, work.queued_s, work.uid, work.key)


def candidate_rank(work: Work, own_queue: str) -> tuple[object, ...]:
    """Evicted first; other queues before the preemptor's; low priority; admitted later first; uid."""
    assert work.admission is not None
    own = work.queue == own_queue
    return (not work.evicted, own, work.priority, -work.admission.reserved_s, work.uid, work.key)


def may_preempt_own(search: Search, candidate: Work) -> bool:
    """By withinClusterQueue."""
    if search.policy.within == NEVER:
        return False
    if candidate.priority == search.work.priority:
        return search.policy.within == LOWER_OR_NEWER and search.work.queued_s < candidate.queued_s
    return candidate.priority < search.work.priority


def may_reclaim(search: Search, candidate: Work) -> bool:
    """By reclaimWithinCohort."""
    if search.policy.reclaim == LOWER:
        return candidate.priority < search.work.priority
    return search.policy.reclaim == ANY
