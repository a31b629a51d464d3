"""Generated jobs: a pure function of the seed, the workload's name and the number of the job in it.

Nothing is drawn in sequence. Draw ``k`` of job ``i`` is a hash of (key, i, k), so jobs can be made in any
chunks, and another workload shifts nobody's luck. docs/explanation/demand.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints, SmallInts, Words
from gpufleet.world.merge import Rows

CHUNK: Final = 1 << 15
"""Jobs made at once: their columns fit in the processor's cache."""

MOST_JOBS: Final = 1 << 32
"""Of one workload: the clock of arrivals counts in 2**-30 jobs in 63 bits."""

_GAP, _SIZE, _RUN, _USER, _LIMIT, _PROJECT = 0, 1, 2, 3, 4, 5
_DRAWS: Final = 8  # numbers set aside for each job
_GOLDEN: Final = 0x9E3779B97F4A7C15
_TICKS: Final = 1 << 30  # of the clock of arrivals, per expected job


class Stream(NamedTuple):
    """The numbers that make the jobs of one workload."""

    key: int  # of all its draws
    workload: int  # code
    cls: int  # row in Classes
    priority: int
    knot_s: Ints  # seconds from the plan's start, ascending, shape (n_knots,)
    knot_jobs: Floats  # jobs expected until then, from 0, not falling, shape (n_knots,)
    gpus: Ints  # of each size, shape (n_sizes,)
    share: Floats  # of the jobs up to and with this size; the last is 1, shape (n_sizes,)
    run_at: Floats  # row of the size + quantile, not falling, shape (n_run_knots,)
    run_s: Floats  # work there, seconds at speed 1
    limited: Floats  # share of the jobs of a size that have a limit, shape (n_sizes,)
    limit_at: Floats  # row of the size + quantile, shape (n_limit_knots,)
    limit_over_run: Floats  # limit / work there
    most_s: int  # longest limit, of jobs without one too; 0 = none
    users: int  # 0: nobody is named
    user_share: Floats  # of the jobs, cumulated over the users, most active first, shape (n_user_knots,)
    user_p: Floats  # of the users who submit that share
    owner_cls: Ints  # row in Classes by generation of projects and user, or project; empty: `cls` for all
    begin_s: int  # of the first generation
    life_s: int  # of a generation, 0 = for ever

    @property
    def jobs(self) -> float:
        """Jobs expected until the end; the number that comes is Poisson around it."""
        return float(self.knot_jobs[-1]) if self.knot_jobs.size else 0.0

    @property
    def mean_run_s(self) -> Floats:
        """Mean work of a job of each size, seconds at speed 1, shape (n_sizes,)."""
        ends = np.searchsorted(self.run_at, np.arange(1, self.gpus.size), side="left") + 1
        parts = zip(np.split(self.run_at, ends), np.split(self.run_s, ends), strict=True)
        return np.array([np.trapezoid(s, at) for at, s in parts])

    @property
    def mean_gpu_s(self) -> float:
        """Mean GPUs x work of a job, GPU-seconds at speed 1."""
        return float(np.diff(self.share, prepend=0.0) @ (self.gpus * self.mean_run_s))

    @property
    def mean_gpus(self) -> float:
        """Mean GPUs of a job."""
        return float(np.diff(self.share, prepend=0.0) @ self.gpus)


def key_of(seed: int, *words: str) -> int:
    """The key of everything that is drawn for a name.

    >>> key_of(1, "research") == key_of(1, "research") != key_of(2, "research")
    True
    """
    text = "\0".join([str(seed), *words]).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def draws(key: int, number: Ints | Words, which: int) -> Words:
    """64 random bits for each number: splitmix64 of a counter, so that each is drawn without those before.

    >>> whole = draws(7, np.arange(10), 2)
    >>> (whole[4:] == draws(7, np.arange(4, 10), 2)).all()
    np.True_
    """
    bits = number.astype(np.uint64)
    bits *= np.uint64(_DRAWS * _GOLDEN % (1 << 64))
    bits += np.uint64((key + (which + 1) * _GOLDEN) % (1 << 64))
    spare = bits >> np.uint64(30)
    bits ^= spare
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(bits, np.uint64(27), out=spare)
    bits ^= spare
    bits *= np.uint64(0x94D049BB133111EB)
    np.right_shift(bits, np.uint64(31), out=spare)
    bits ^= spare
    return bits


def uniform(bits: Words, lost: int = 20) -> Floats:
    """Numbers in [0, 1) from random bits, without the lowest ``lost`` of them.

    With 44 bits left, a small whole number can be added and none is lost.
    """
    kept: Floats = (bits >> np.uint64(lost)).astype(np.float64)
    kept *= 2.0 ** (lost - 64)
    return kept


def rows_of(stream: Stream, chunk: int = CHUNK) -> Iterator[Rows]:
    """The jobs of a stream in order, at most ``chunk`` at a time. The chunk changes nothing else."""
    first, clock = 0, 0
    rate = np.diff(stream.knot_jobs) / np.diff(stream.knot_s)  # jobs per second; 0 is never divided by
    while True:
        number = np.arange(first, first + chunk, dtype=np.uint64)
        due = _due(stream.key, number, clock)
        clock = int(due[-1])
        jobs = due.astype(np.float64) / _TICKS
        n = int(np.searchsorted(jobs, stream.jobs, side="left"))  # those from here on never come
        if n:
            yield _rows(stream, number[:n], _submit_s(stream, rate, jobs[:n]))
        if n < chunk:
            return
        first += chunk


def _due(key: int, number: Words, clock: int) -> Ints:
    """When each job comes on a clock that ticks with the expected jobs: a Poisson process of rate 1.

    Gaps are whole numbers of ticks, so that their sum does not depend on where chunks begin.
    """
    share = (draws(key, number, _GAP) >> np.uint64(11)).astype(np.float64)
    share += 1.0  # in (0, 2**53]
    share *= 2.0**-53
    gaps: Floats = np.log(share, out=share)
    gaps *= -float(_TICKS)
    due = gaps.astype(np.int64)
    due[0] += clock
    return np.cumsum(due, out=due)


def _submit_s(stream: Stream, rate: Floats, jobs: Floats) -> Ints:
    """The second at which so many jobs are expected to have come."""
    at = np.searchsorted(stream.knot_jobs, jobs, side="right") - 1
    since = jobs - stream.knot_jobs[at]
    since /= rate[at]
    submit_s: Ints = stream.knot_s[at] + since.astype(np.int64)
    return np.minimum(submit_s, stream.knot_s[at + 1] - 1, out=submit_s)  # rounding must not pass the knot


def _rows(stream: Stream, number: Words, submit_s: Ints) -> Rows:
    """Size, work, limit and user of jobs."""
    n = number.size
    size = np.searchsorted(stream.share, uniform(draws(stream.key, number, _SIZE)), side="right")
    work_s = np.interp(uniform(draws(stream.key, number, _RUN)) + size, stream.run_at, stream.run_s)
    both = draws(stream.key, number, _USER)  # user: the upper half; whether it has a limit: the lower half
    user = _user(stream, both)
    return Rows(
        submit_s=submit_s,
        gpus=stream.gpus[size].astype(np.int32),
        work_s=work_s,
        cls=_classes(stream, number, submit_s, user),
        limit_s=_at_most(stream.most_s, _limit_s(stream, number, size, work_s, both << np.uint64(32))),
        priority=np.full(n, stream.priority, np.int32),
        workload=np.full(n, stream.workload, np.int32),
        recorded=np.full(n, -1, np.int64),
        user=user,
    )


def _classes(stream: Stream, number: Words, submit_s: Ints, user: Ints) -> SmallInts:
    """Job classes: where limits ask whose a job is, those of its user, or else of a project that is drawn."""
    if not stream.owner_cls.size:
        return np.full(user.size, stream.cls, np.int32)
    owner = user
    if not stream.users:
        n = np.uint64(stream.owner_cls.shape[1])
        owner = (draws(stream.key, number, _PROJECT) % n).astype(np.int64)
    generation = (submit_s - stream.begin_s) // stream.life_s if stream.life_s else 0
    classes: SmallInts = stream.owner_cls[generation, owner].astype(np.int32)
    return classes


def _limit_s(stream: Stream, number: Words, size: Ints, work_s: Floats, bits: Words) -> Ints:
    """Time limits; 0 = none."""
    limit_s = np.zeros(number.size, np.int64)
    if not stream.limited.any():
        return limit_s
    has = np.flatnonzero(uniform(bits) < stream.limited[size])
    at = uniform(draws(stream.key, number[has], _LIMIT)) + size[has]
    over_run = np.interp(at, stream.limit_at, stream.limit_over_run)
    limit_s[has] = np.maximum(np.ceil(work_s[has] * over_run), 1).astype(np.int64)
    return limit_s


def _at_most(most_s: int, limit_s: Ints) -> Ints:
    """Time limits within that of the queue; 0 = none."""
    if not most_s:
        return limit_s
    return np.where(limit_s == 0, most_s, np.minimum(limit_s, most_s))


def _user(stream: Stream, bits: Words) -> Ints:
    """Numbers of users, 0 the most active; -1 = nobody is named."""
    if not stream.users:
        return np.full(bits.size, -1, np.int64)
    p = np.interp(uniform(bits, 32), stream.user_share, stream.user_p)
    return np.minimum((p * stream.users).astype(np.int64), stream.users - 1)
