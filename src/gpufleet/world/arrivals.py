"""All jobs of a world in the order of their ids, a batch at a time: never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import SmallInts
from gpufleet.world.generate import Stream, rows_of
from gpufleet.world.layout import Jobs
from gpufleet.world.merge import Rows, cut, merged

BATCH: Final = 1 << 17
"""Jobs of a batch."""


class Arrivals(NamedTuple):
    """Everything that comes: recorded jobs and campaigns one by one, generated jobs as what makes them."""

    jobs: Jobs  # recorded jobs and campaigns, sorted by submit_s, then workload
    workload: SmallInts  # code of the workload of each of them
    streams: tuple[Stream, ...]  # generated; at most one per workload

    def rows(self, size: int = BATCH) -> Iterator[Rows]:
        """All jobs by submit_s (at one second: by workload) in pieces of exactly ``size``, but the last.

        >>> from gpufleet.world.layout import empty_jobs
        >>> list(Arrivals(empty_jobs(), np.zeros(0, np.int32), ()).rows())
        []
        """
        codes = [int(self.workload.max(initial=-1)), *(stream.workload for stream in self.streams)]
        sources = [self._recorded(size), *(rows_of(stream) for stream in self.streams)]
        return cut(merged(sources, max(codes) + 1), size)

    def _recorded(self, size: int) -> Iterator[Rows]:
        n = len(self.jobs.gpus)
        for at in range(0, n, size):
            rows = np.arange(at, min(at + size, n), dtype=np.int64)
            part = slice(at, at + size)
            columns = [column[part] for column in (*self.jobs, self.workload)]
            yield Rows._make([*columns, rows, np.full(rows.size, -1, np.int64)])

    def batches(self, size: int = BATCH) -> Iterator[Jobs]:
        """All jobs as the engine takes them. Ids are row numbers counted over all batches."""
        for rows in self.rows(size):
            yield Jobs._make(rows[: len(Jobs._fields)])
