"""In which order the heads of a cycle are processed."""

from __future__ import annotations

from dataclasses import dataclass

from .flavors import Assignment
from .model import Amount, Work
from .tree import Node, Share, Snapshot


@dataclass(eq=False)
class Entry:
    work: Work
    made: Assignment
    reassigned: bool = False


def next_entry(now: Snapshot, entries: list[Entry], fair: bool) -> Entry:
    """Entries are in the order in which their queues were declared, which decides what nothing else does."""
    if not fair:
        return min(entries, key=lambda e: (e.made.level, e.work.urgency, e.work.queued_s))
    first = now.leaves[entries[0].work.queue]
    if first.parent is None:
        return entries[0]
    by_queue = {entry.work.queue: entry for entry in entries}
    winner = _winner(now, first.root(), by_queue)
    assert winner is not None
    return winner


def _winner(now: Snapshot, cohort: Node, by_queue: dict[str, Entry]) -> Entry | None:
    """Of the entries of child queues and the winners of child cohorts."""
    playing = [(child, by_queue[child.name]) for child in cohort.queues if child.name in by_queue]
    for child in cohort.cohorts:
        winner = _winner(now, child, by_queue)
        if winner is not None:
            playing.append((child, winner))
    if not playing:
        return None
    return min(playing, key=lambda pair: _value(now, *pair))[1]


def _value(now: Snapshot, child: Node, entry: Entry) -> tuple[bool, Share, int, Amount]:
    """Less is better: within its quota, lower share, higher priority, older; with the entry's usage added."""
    usage = entry.made.usage
    with_it = now.copy()
    with_it.add(entry.work.queue, usage)
    borrows = any(with_it.over(child, fr) for fr in usage)
    return borrows, with_it.share(child), entry.work.urgency, entry.work.queued_s
