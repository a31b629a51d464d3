"""Writes preemptions.parquet: who took whose GPUs, when, by which rule, and what work that cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from gpufleet.base.arrays import Ints
from gpufleet.results.columns import PREEMPTIONS, RULES
from gpufleet.results.parquet import TableWriter, optional, words

if TYPE_CHECKING:
    from gpufleet.results.run import Run


class Preempted(NamedTuple):
    """Preemptions as the engine tells them, in their order. Shape (n_preemptions,)."""

    t_s: Ints
    victim: Ints  # number of a job
    by: Ints  # number of the job that it was for; -1 = none
    rule: Ints  # index in `rules`
    gpus: Ints
    lost_gpu_s: Ints
    start_s: Ints  # when the attempt began that was cut short
    product: Ints  # on which it ran
    rules: tuple[str, ...]  # Kueue's words


def write_preemptions(path: Path, run: Run, done: Preempted) -> pl.DataFrame:
    """Write preemptions.parquet; the jobs of the run must be there.

    Returns: its rows, without the plain words.
    """
    known = _jobs(run, np.unique(np.concatenate([done.victim, done.by])))
    row = np.searchsorted(known.job, np.stack([done.victim, done.by]))
    queue = np.where(done.by < 0, -1, known.queue[np.minimum(row, len(known.job) - 1)])
    queue[0] = known.queue[row[0]]
    names = run.names
    with TableWriter(path, PREEMPTIONS) as writer:
        writer.write({
            "t_s": done.t_s,
            "victim": done.victim,
            "queue": words(queue[0], names.queues),
            "preemptor": optional(done.by),
            "by_queue": words(queue[1], names.queues),
            "product": words(done.product, names.products),
            "rule": words(done.rule, done.rules),
            "words": words(done.rule, tuple(str(RULES[rule]) for rule in done.rules)),
            "gpus": done.gpus,
            "lost_gpu_s": done.lost_gpu_s,
            "start_s": done.start_s,
        })  # fmt: skip
    return pl.read_parquet(path).drop("words")


class _Jobs(NamedTuple):
    """Jobs that have to do with preemptions, by number."""

    job: Ints
    queue: Ints


def _jobs(run: Run, numbers: Ints) -> _Jobs:
    """The queues of some jobs; of a long run these are few."""
    some = run.scan_jobs().select("job", "queue").filter(pl.col("job").is_in(numbers.tolist()))
    found = some.collect(engine="streaming").sort("job")
    queue = [run.names.queues.index(name) for name in found["queue"]]
    return _Jobs(found["job"].to_numpy(), np.array(queue, np.int64))
