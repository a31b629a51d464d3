"""Running a world: the loop around the kernels that feeds jobs in, makes room, and takes results out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine import loop
from gpufleet.engine.close import close_books
from gpufleet.engine.forecast import look_ahead
from gpufleet.engine.jit import compiling
from gpufleet.engine.keep import Keep, Moment, Shared
from gpufleet.engine.laws import check_laws
from gpufleet.engine.memory import own, pack, rules_of
from gpufleet.engine.own import fault_of
from gpufleet.engine.room import grow_bins, grow_lanes, grow_plan, grow_slots, new_state
from gpufleet.engine.samples import take_samples
from gpufleet.engine.sharing.laws import check_sharing
from gpufleet.engine.sharing.machine import Sharing
from gpufleet.engine.state import FIRST_ID, N_OUT, N_OUT_WAITS, N_OUTCOMES, NEXT_JOB, NOW, WAITS_AT, State
from gpufleet.world.layout import EASY, N_REFUSALS, UNKNOWN_S, Jobs, Outcomes, Tallies, World, empty_jobs

_KINDS = (
    *[np.int64] * 5,
    *[np.int32] * 5,
    np.int64,
    np.int32,
    *[np.int64] * 3,
)  # of the columns of Outcomes
_TYPES = (np.int64, np.int32, np.float64, np.int32, np.int64, np.int32)
Sink = Callable[[Outcomes], None]


class Result(NamedTuple):
    """Everything that a simulation gives back, in memory."""

    outcomes: Outcomes  # rows sorted by id
    tallies: Tallies
    end_s: int  # when it stopped
    preemptions: Ints  # rows of EVENT columns, in their order


class Summary(NamedTuple):
    """What is left when the outcomes have gone to a sink."""

    tallies: Tallies
    end_s: int
    n_jobs: int
    preemptions: Ints  # rows of EVENT columns, in their order
    power: Ints  # (n_sites, 2): IT power at the end with all jobs at the lowest level, and the cap, W


def simulate(world: World, jobs: Jobs, *, debug: bool = False) -> Result:
    """Simulate all jobs and keep every outcome in memory.

    Args:
        world: the plan as arrays.
        jobs: rows sorted by ``submit_s``.
        debug: check the laws of conservation after every event (slow).

    Raises:
        AssertionError: with ``debug``, if a law is broken.
        OwnCompileError, OwnFaultError: if a function of the user cannot be compiled, or has no number.
    """
    parts: list[Outcomes] = []
    summary = run(world, [jobs], parts.append, debug=debug)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    outcomes = Outcomes(*(column[order] for column in columns))
    return Result(outcomes, summary.tallies, summary.end_s, summary.preemptions)


def run(
    world: World,
    batches: Iterable[Jobs],
    sink: Sink,
    *,
    debug: bool = False,
    keep: Keep | None = None,
    start: Moment | None = None,
) -> Summary:
    """Simulate batches of jobs (each sorted, none before the last one's end) and hand outcomes to ``sink`` as
    they come.

    Memory is bounded by what is alive, not by what has run.

    Args:
        keep: when to put the run aside, so that it can go on from there.
        start: of an earlier run of the same world and batches; ``batches`` then begins with its ``batch``.
            The sink gets what that run's sink would have got from there on.

    Raises: OwnCompileError, OwnFaultError: if a function of the user cannot be compiled, or has no number.
    """
    rules = rules_of(world)
    state = new_state(world) if start is None else start.state
    sharing = Sharing(world, state, start.shared if start else None)
    advance = loop.driver(world)
    with compiling():
        if world.shared is not None:
            rules = rules._replace(quota=sharing.most_ever())
        w, s = pack(rules), pack(state)
        advance(w, s, sharing.t, sharing.h, pack(empty_jobs()), False, debug)  # asks for jobs at once
    if rules.backfill == EASY and start is None:
        look_ahead(w, s)
    source, outbox = _with_last(batches), _Outbox(sink, keep, start)
    jobs, closed = next(source, (empty_jobs(), True))
    batch = pack(jobs)
    while True:
        code = advance(w, s, sharing.t, sharing.h, batch, closed, debug)
        if debug:
            check_laws(world, state)
            check_sharing(rules, state, sharing)
        if code == loop.FINISHED:
            break
        if code == loop.OWN_FAULT:
            raise fault_of(world, state.fault)
        if code == loop.NEED_JOBS:
            state.scalar[FIRST_ID] += len(jobs.gpus)
            state.scalar[NEXT_JOB] = 0
            jobs, closed = next(source)
            batch = pack(jobs)
            outbox.batch += 1
        elif code == loop.OUT_FULL:
            outbox.take(state)
            outbox.put_aside(state, sharing)
        elif code == loop.GROW_SHARE:
            outbox.preempted.append(sharing.take_events())
            sharing.make_room(state)
        else:
            state = _make_room(state, code)
            if code == loop.GROW_BINS:
                sharing.make_bins(state.busy.shape[-1] - 1)
            s = pack(state)
    state = close_books(rules, state, outbox.take)
    take_samples(pack(rules), pack(state), UNKNOWN_S)
    sharing.make_bins(state.busy.shape[-1] - 1)
    sharing.close_books(int(state.scalar[NOW]))
    outbox.preempted.append(sharing.take_events())
    outbox.take(state)
    outbox.flush()
    n_jobs = int(state.scalar[FIRST_ID] + state.scalar[NEXT_JOB])
    end_s = int(state.scalar[NOW]) if world.clock.finish else world.clock.end_s
    preempted = np.concatenate(outbox.preempted)
    power = np.column_stack([state.least, state.cap])
    return Summary(_tallies(state, sharing, world, end_s), end_s, n_jobs, preempted, power)


def _with_last(batches: Iterable[Jobs]) -> Iterator[tuple[Jobs, bool]]:
    """Each batch, with whether it is the last one."""
    held: Jobs | None = None
    for raw in batches:
        batch = Jobs(*(own(column, kind) for column, kind in zip(raw, _TYPES, strict=True)))
        if held is not None:
            yield held, False
        held = batch
    if held is not None:
        yield held, True


def _make_room(state: State, code: int) -> State:
    if code == loop.GROW_SLOTS:
        return grow_slots(state)
    if code == loop.GROW_LANES:
        return grow_lanes(state)
    if code == loop.GROW_PLAN:
        return grow_plan(state)
    if code == loop.GROW_BINS:
        return grow_bins(state, 2 * state.busy.shape[-1])
    return state


class _Outbox:
    """Gathers the rows that the kernels hand out in small pieces, and passes them on in large ones."""

    ROWS = 1 << 17

    def __init__(self, sink: Sink, keep: Keep | None, start: Moment | None) -> None:
        self.sink, self.keep = sink, keep
        self.batch, self.passed = (start.batch, start.rows) if start else (0, 0)
        self._kept = self.passed
        self.preempted: list[Ints] = [start.shared.preempted] if start and start.shared else []
        self._start_anew()

    def put_aside(self, state: State, sharing: Sharing) -> None:
        """Have the run kept if it is time; all rows go to the sink before."""
        if self.keep is None:
            return
        every, rows = self.keep.every, self.passed + self.rows
        if rows // every > self._kept // every:
            self.flush()
            self._kept = rows
            self.preempted.append(sharing.take_events())
            kept = Shared(sharing.tree, sharing.share, np.concatenate(self.preempted))
            self.keep.save(Moment(state, self.batch, rows, kept if sharing.world.shared else None))

    def _start_anew(self) -> None:
        self.rows = 0
        self.columns = np.empty((N_OUTCOMES, self.ROWS), np.int64)
        self.tables = np.zeros((2, self.ROWS, N_REFUSALS), np.int32)

    def take(self, state: State) -> None:
        """Empty the state's ``out``."""
        n = int(state.scalar[N_OUT])
        if self.rows + n > self.ROWS:
            self.flush()
        here = slice(self.rows, self.rows + n)
        self.columns[:, here] = state.out[:N_OUTCOMES, :n]
        waited, n_waits = np.flatnonzero(state.out[WAITS_AT, :n] >= 0) + self.rows, state.scalar[N_OUT_WAITS]
        self.tables[0, waited], self.tables[1, waited] = state.out_ref[:n_waits], state.out_root[:n_waits]
        self.rows += n
        state.scalar[[N_OUT, N_OUT_WAITS]] = 0

    def flush(self) -> None:
        """Pass on what is there; the sink may keep it."""
        columns: list[Any] = [
            column[: self.rows].astype(kind, copy=False)
            for column, kind in zip(self.columns, _KINDS, strict=True)
        ]
        columns += [table[: self.rows] for table in self.tables]
        self.passed += self.rows
        self.sink(Outcomes._make(columns))
        self._start_anew()


def _tallies(state: State, sharing: Sharing, world: World, end_s: int) -> Tallies:
    """GPU-seconds per bin, cut at the end of the run."""
    grid = world.clock.grid_s
    n_bins = max(-(-world.clock.end_s // grid), -(-end_s // grid), 1)

    def summed(table: Ints) -> Ints:
        bins = min(n_bins, table.shape[-1])
        total = np.zeros((*table.shape[1:-1], n_bins), np.int64)
        total[..., :bins] = (table[0] + np.cumsum(table[1], axis=-1))[..., :bins]
        return total

    sampled = np.zeros((*state.sampled.shape[:-1], n_bins), np.int64)
    bins = min(n_bins, state.sampled.shape[-1])
    sampled[..., :bins] = state.sampled[..., :bins]
    sampled[..., bins:] = state.sampled[..., -1:]  # after the last event nothing changes
    borrowing = summed(sharing.share.borrowing)
    totals = Tallies(summed(state.busy), summed(state.waiting), borrowing, sampled, state.kept)
    if world.power is None:
        return totals

    def cut(table: Ints) -> Ints:
        whole = np.zeros((*table.shape[:-1], n_bins), np.int64)
        whole[..., : min(n_bins, table.shape[-1])] = table[..., :n_bins]
        return whole

    names = ("energy", "peak", "p99", "capped")
    tables: dict[str, Any] = {name: cut(getattr(state, name)) for name in names}
    return totals._replace(level_s=state.level_s, **tables)
