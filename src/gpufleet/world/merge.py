"""Several streams of jobs as one, in order of time, holding no more of each than a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints, SmallInts


class Rows(NamedTuple):
    """Jobs of one or several workloads, sorted by submit_s. The first six are the columns of `Jobs`.

    Every array has shape (n_rows,).
    """

    submit_s: Ints  # seconds from the plan's start
    gpus: SmallInts
    work_s: Floats  # seconds at speed 1
    cls: SmallInts
    limit_s: Ints  # 0 = none
    priority: SmallInts
    workload: SmallInts  # code
    recorded: Ints  # row of the recorded jobs, -1 = generated
    user: Ints  # generated: number of the user within the workload; recorded: -1


_TYPES = (np.int64, np.int32, np.float64, np.int32, np.int64, np.int32, np.int32, np.int64, np.int64)


def no_rows() -> Rows:
    """Rows of no jobs.

    >>> no_rows().gpus.shape
    (0,)
    """
    return Rows._make(np.zeros(0, kind) for kind in _TYPES)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows under each other; a single part is not copied."""
    if len(parts) == 1:
        return parts[0]
    return Rows._make(np.concatenate(column) for column in zip(*parts, strict=True)) if parts else no_rows()


class _Head:
    """What has been taken out of one source and not been passed on."""

    def __init__(self, source: Iterator[Rows], workloads: int) -> None:
        self._source, self._workloads = source, workloads
        self.rows, self.keys, self.open = no_rows(), np.zeros(0, np.int64), True

    def fill(self) -> None:
        """Take the next chunk if nothing is left."""
        while self.open and not self.keys.size:
            rows = next(self._source, None)
            self.open = rows is not None
            if rows is not None:
                self.rows, self.keys = rows, rows.submit_s * self._workloads + rows.workload

    def take(self, until: int) -> tuple[Rows, Ints]:
        """Rows with keys up to and including ``until``, and their keys."""
        n = int(np.searchsorted(self.keys, until, side="right"))
        taken = Rows._make(column[:n] for column in self.rows), self.keys[:n]
        self.rows, self.keys = Rows._make(column[n:] for column in self.rows), self.keys[n:]
        return taken


def merged(sources: Iterable[Iterator[Rows]], workloads: int) -> Iterator[Rows]:
    """Rows of all sources by submit_s; at one second in the order of workloads, then as they come.

    Args:   sources: each sorted by (submit_s, workload), no workload in two of them; workloads: how many.
    """
    heads = [_Head(source, max(workloads, 1)) for source in sources]
    while True:
        for head in heads:
            head.fill()
        heads = [head for head in heads if head.keys.size]
        if not heads:
            return
        # Nothing that comes later lies before the end of the chunk that ends first.
        until = min(int(head.keys[-1]) for head in heads)
        parts = [(rows, keys) for rows, keys in (head.take(until) for head in heads) if keys.size]
        if len(parts) == 1:
            yield parts[0][0]
            continue
        order = np.argsort(np.concatenate([keys for _, keys in parts]), kind="stable")
        yield Rows._make(column[order] for column in joined([rows for rows, _ in parts]))


def cut(parts: Iterable[Rows], size: int) -> Iterator[Rows]:
    """The same rows in pieces of exactly ``size`` rows; the last one may be smaller, none is empty.

    >>> part = Rows._make((np.zeros(5, kind) for kind in _TYPES))
    >>> [len(piece.gpus) for piece in cut([part, part], 4)]
    [4, 4, 2]
    """
    held: list[Rows] = []
    n = 0
    for part in parts:
        held.append(part)
        n += len(part.gpus)
        if n < size:
            continue
        whole = joined(held)
        for at in range(0, n - size + 1, size):
            yield Rows._make(column[at : at + size] for column in whole)
        held, n = [Rows._make(column[n - n % size :] for column in whole)], n % size
    if n:
        yield joined(held)
