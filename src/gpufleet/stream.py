"""A world in, its jobs table out: jobs are made, simulated and written a batch at a time.

Making and simulating go on in the caller's thread, writing in another. At each file of the jobs table that is
done the run is put aside, so that it can go on from there if it is killed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from gpufleet import __version__
from gpufleet.base.errors import explain_code, finding
from gpufleet.base.say import say
from gpufleet.results.checkpoint import PARTS, UNREADABLE, Checkpoint, drop, find, keep, save_state
from gpufleet.results.jobs import PART_ROWS, JobsWriter

if TYPE_CHECKING:
    from gpufleet.base.errors import Finding
    from gpufleet.engine.keep import Moment
    from gpufleet.engine.run import Summary
    from gpufleet.plan import Plan
    from gpufleet.results.behind import Behind
    from gpufleet.world.build import Built
    from gpufleet.world.layout import Jobs, Outcomes

DAMAGED: Final = explain_code(
    "R010",
    "checkpoint cannot be read",
    "A long run is put aside from time to time, so that it can go on from there if it is killed. What a "
    "killed run had put aside is damaged; the run starts anew, and ends with the same results.",
    "gpufleet run plan.yaml --fresh                # never goes on from a checkpoint",
).code

_LIBRARIES: Final = ("numpy", "numba", "polars", "pyarrow")


class Watcher(NamedTuple):
    """What the caller wants to hear of."""

    rows: Callable[[int], None] = lambda rows: None  # jobs that are done
    resumed: Callable[[Checkpoint], None] = lambda checkpoint: None  # the run goes on from there
    damaged: Callable[[Finding], None] = lambda warning: None  # a checkpoint that could not be used


def fingerprint(world: Path, plan: Plan, part_rows: int = PART_ROWS) -> str:
    """A digest of all that decides about the bytes of a run.

    Args: world: the file of the saved world; plan: that it was made of.
    """
    from gpufleet.engine.jit import cache_folder
    from gpufleet.results.lock import lock_of

    versions = {"gpufleet": __version__, "kernels": cache_folder().name, "part_rows": part_rows}
    libraries = {name: version(name) for name in _LIBRARIES}
    declared = json.dumps([versions, libraries, lock_of(plan)], sort_keys=True, default=str)
    return hashlib.sha256(declared.encode() + world.read_bytes()).hexdigest()


def simulate_jobs(
    table: Path, built: Built, mark: str = "", *, watcher: Watcher | None = None, part_rows: int = PART_ROWS
) -> Summary:
    """Simulate all jobs of a world and write the jobs table.

    Memory is bounded by the jobs that are alive and a few batches.

    Args:
        table: place of the jobs table. A checkpoint with the same ``mark`` in the folder `PARTS` beside it is
            where the run goes on.
        mark: of `fingerprint`; empty: no checkpoints are kept.
        part_rows: rows of a file of the table.

    Raises: OSError if the disk is full; what making or simulating jobs raises.
    """
    from gpufleet.engine import run as engine
    from gpufleet.engine.keep import Keep, arrays_of
    from gpufleet.results.behind import Behind

    watcher = watcher or Watcher()
    writer, start = _begin(table, built, mark, watcher, part_rows)
    rows = writer.rows
    with writer, Behind() as behind:

        def sink(outcomes: Outcomes) -> None:
            nonlocal rows
            behind.call(writer.write, outcomes)
            rows += len(outcomes.id)
            watcher.rows(rows)

        def put_aside(moment: Moment) -> None:
            new = save_state(writer.folder, arrays_of(moment), moment.rows)
            batch, now_s = moment.batch, moment.now_s
            behind.call(partial(keep, new, writer, fingerprint=mark, batch=batch, now_s=now_s))

        batches = _batches(built, writer, behind, start.batch if start else 0)
        kept = Keep(part_rows, put_aside) if mark else None
        return engine.run(built.world, batches, sink, keep=kept, start=start)


def _batches(built: Built, writer: JobsWriter, behind: Behind, first: int) -> Iterator[Jobs]:
    """Batches of jobs from a number on. The writer gets those that it does not know yet before the engine."""
    known, next_id = writer.living.next_id, 0
    for number, batch in enumerate(built.demand.batches()):
        if next_id >= known:
            behind.call(writer.add, batch)
        next_id += len(batch.jobs.gpus)
        if number >= first:
            yield batch.jobs


def _begin(
    table: Path, built: Built, mark: str, watcher: Watcher, part_rows: int
) -> tuple[JobsWriter, Moment | None]:
    """A writer, and where the engine starts: at the last checkpoint, or from nothing."""
    fresh = partial(JobsWriter, table, built.world, built.names, part_rows=part_rows)
    folder = table.with_name(PARTS)
    found = find(folder, mark) if mark else None
    drop(folder, but=found.path if found else None)
    if found is None:
        return fresh(), None
    try:
        writer, start = _go_on(found, fresh, built)
    except UNREADABLE as error:
        watcher.damaged(_damaged(found, error))
        drop(folder)
        return fresh(), None
    watcher.resumed(found)
    return writer, start


def _go_on(found: Checkpoint, fresh: Callable[..., JobsWriter], built: Built) -> tuple[JobsWriter, Moment]:
    """Writer and engine as they were at a checkpoint. Raises: one of `UNREADABLE`."""
    from gpufleet.engine.keep import moment_of

    start = moment_of(found.state(), built.world, batch=found.batch, rows=found.rows)
    living, tail = found.living(), found.tail()
    writer = fresh(living=living)
    writer.go_on(found.parts, tail)
    return writer, start


def _damaged(found: Checkpoint, error: Exception) -> Finding:
    says = say(
        "{file}: {error}; the run starts anew", file=found.path, error=str(error) or type(error).__name__
    )
    fix = say("nothing needs to be done; --fresh says that a run is to start anew")
    return finding(DAMAGED, says, fix, severity="warning")
