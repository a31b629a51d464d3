"""May it: hard quotas of GPUs per queue and product, and the test of a job over all its options."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.place import fit, fits_ever
from gpufleet.engine.state import EPOCH, State
from gpufleet.engine.topology import may_hold
from gpufleet.world.layout import NOT_ONLINE, OWN_QUOTA, STARTABLE, TOPOLOGY


@kernel
def may(w: Rules, s: State, queue: int, product: int, gpus: int) -> bool:
    """Whether the queue's quota of the product admits ``gpus`` more."""
    quota = w.quota[queue, product]
    return bool(quota < 0 or s.used[queue, product] + gpus <= quota)


@kernel
def test_option(w: Rules, s: State, cls: int, option: int, gpus: int) -> int:
    """STARTABLE, or the refusal of one option."""
    cell = w.option_cell[option]
    if not may(w, s, w.class_queue[cls], s.cell[cell].product, gpus):
        return OWN_QUOTA
    return fit(s, cell, gpus)


@kernel
def examine(w: Rules, s: State, i: int) -> tuple[int, int]:
    """(STARTABLE, option), or (the highest refusal over the options, -1) of job ``i``."""
    job = s.slot[i]
    cls, gpus = job.cls, job.gpus
    first = w.class_option[cls]
    highest = 0
    for option in range(first, first + w.class_options[cls]):
        refusal = test_option(w, s, cls, option, gpus)
        if refusal == STARTABLE:
            return STARTABLE, option
        highest = max(highest, refusal)
    return highest, -1


@kernel
def never(w: Rules, s: State, i: int) -> int:
    """STARTABLE if job ``i`` can ever run, else why it never will: OWN_QUOTA, NOT_ONLINE or TOPOLOGY."""
    job = s.slot[i]
    cls, gpus = job.cls, job.gpus
    first = w.class_option[cls]
    highest = 0
    for option in range(first, first + w.class_options[cls]):
        cell = w.option_cell[option]
        quota = w.quota[w.class_queue[cls], s.cell[cell].product]
        if 0 <= quota < gpus:
            highest = max(highest, OWN_QUOTA)
        elif not may_hold(w, s, cls, cell, gpus):
            highest = max(highest, TOPOLOGY)
        elif fits_ever(s, cell, s.scalar[EPOCH], gpus):
            return STARTABLE
        else:
            highest = max(highest, NOT_ONLINE)
    return highest if highest > 0 else NOT_ONLINE
