"""May it: quotas of queues, limits of accounts, and the test of a job over all its options."""

from __future__ import annotations

from gpufleet.engine.jit import kernel
from gpufleet.engine.memory import Rules
from gpufleet.engine.place import fits_ever
from gpufleet.engine.power import power_admits, power_ever_admits
from gpufleet.engine.state import EPOCH, NOW, State
from gpufleet.engine.within import fit_option, level_holds
from gpufleet.world.layout import (
    COHORT,
    FRAGMENTED,
    LIMIT,
    NOT_ONLINE,
    OWN_QUOTA,
    POWER,
    STARTABLE,
    TOPOLOGY,
)


@kernel
def rank(refusal: int) -> int:
    """Order of refusals in "the highest over the options"."""
    if refusal == COHORT:
        return 4 * OWN_QUOTA + 1
    if refusal == LIMIT:
        return 4 * OWN_QUOTA + 2
    if refusal == POWER:
        return 4 * OWN_QUOTA + 3
    if refusal == TOPOLOGY:
        return 4 * FRAGMENTED + 1
    return 4 * refusal


@kernel
def higher(a: int, b: int) -> int:
    """The higher of two refusals."""
    return a if rank(a) >= rank(b) else b


@kernel
def may(w: Rules, s: State, queue: int, product: int, gpus: int) -> bool:
    """Whether the queue's quota of the product admits ``gpus`` more."""
    quota = w.quota[queue, product]
    return bool(quota < 0 or s.used[queue, product] + gpus <= quota)


@kernel
def limits_admit(w: Rules, s: State, cls: int, product: int, gpus: int) -> bool:
    """Whether every account of the class has room for one more job, of ``gpus``; only where there are any."""
    n_products = w.account_limit.shape[1] - 2
    for at in range(w.class_account.shape[1]):
        a = w.class_account[cls, at]
        if a >= 0:
            if w.account_end_s[a] <= s.scalar[NOW]:
                return False
            most, held = w.account_limit[a, product], s.account[a, product]
            if 0 <= most < held + gpus:
                return False
            most, held = w.account_limit[a, n_products], s.account[a, n_products]
            if 0 <= most < held + gpus:
                return False
            if 0 <= w.account_limit[a, n_products + 1] <= s.account[a, n_products + 1]:
                return False
    return True


@kernel
def has_ended(w: Rules, s: State, cls: int) -> bool:
    """Whether an account of the class lets nothing start any more."""
    for at in range(w.class_account.shape[1]):
        a = w.class_account[cls, at]
        if a >= 0 and w.account_end_s[a] <= s.scalar[NOW]:
            return True
    return False


@kernel
def _limits_ever_admit(w: Rules, s: State, cls: int, product: int, gpus: int) -> bool:
    """Whether the accounts of the class would have room for a job if nothing of them ran."""
    n_products = w.account_limit.shape[1] - 2
    for at in range(w.class_account.shape[1]):
        a = w.class_account[cls, at]
        if a >= 0:
            most, total = w.account_limit[a, product], w.account_limit[a, n_products]
            if 0 <= most < gpus or 0 <= total < gpus or w.account_limit[a, n_products + 1] == 0:
                return False
    return not has_ended(w, s, cls)


@kernel
def count_in_accounts(w: Rules, s: State, cls: int, product: int, gpus: int, jobs: int) -> None:
    """Jobs of the class start (+1) or stop (-1), with so many GPUs more or less."""
    n_products = w.account_limit.shape[1] - 2
    for at in range(w.class_account.shape[1]):
        a = w.class_account[cls, at]
        if a >= 0:
            s.account[a, product] += gpus
            s.account[a, n_products] += gpus
            s.account[a, n_products + 1] += jobs


@kernel
def refused_by_rule(w: Rules, s: State, cls: int, cell: int, gpus: int) -> int:
    """STARTABLE, or the refusal of ``gpus`` more in a cell, whatever is free."""
    product = s.cell[cell].product
    if not may(w, s, w.class_queue[cls], product, gpus):
        return OWN_QUOTA
    if w.accounts and not limits_admit(w, s, cls, product, gpus):
        return LIMIT
    return STARTABLE


@kernel
def barred(w: Rules, s: State, cls: int, cell: int, gpus: int) -> bool:
    """Whether a rule, or the power of the site, refuses ``gpus`` more in a cell, whatever is free."""
    if refused_by_rule(w, s, cls, cell, gpus) != STARTABLE:
        return True
    return bool(w.power and not power_admits(w, s, cls, cell, gpus))


@kernel
def test_option(w: Rules, s: State, i: int, option: int) -> int:
    """STARTABLE, or the refusal of one option of job ``i``."""
    job = s.slot[i]
    refusal = refused_by_rule(w, s, job.cls, w.option_cell[option], job.gpus)
    if refusal == STARTABLE:
        refusal = fit_option(w, s, i, option)
    if refusal == STARTABLE and w.power and not power_admits(w, s, job.cls, w.option_cell[option], job.gpus):
        return POWER
    return refusal


@kernel
def examine(w: Rules, s: State, i: int) -> tuple[int, int]:
    """(STARTABLE, option), or (the highest refusal over the options, -1) of job ``i``."""
    job = s.slot[i]
    cls = job.cls
    first = w.class_option[cls]
    highest = 0
    for option in range(first, first + w.class_options[cls]):
        refusal = test_option(w, s, i, option)
        if refusal == STARTABLE:
            return STARTABLE, option
        highest = higher(highest, refusal)
    return highest, -1


@kernel
def never(w: Rules, s: State, i: int) -> int:
    """STARTABLE if job ``i`` can ever run, else why not: OWN_QUOTA, LIMIT, POWER, NOT_ONLINE or TOPOLOGY."""
    job = s.slot[i]
    cls, gpus = job.cls, job.gpus
    first = w.class_option[cls]
    highest = 0
    for option in range(first, first + w.class_options[cls]):
        cell = w.option_cell[option]
        quota = w.quota[w.class_queue[cls], s.cell[cell].product]
        if 0 <= quota < gpus:
            highest = higher(highest, OWN_QUOTA)
        elif w.accounts and not _limits_ever_admit(w, s, cls, s.cell[cell].product, gpus):
            highest = higher(highest, LIMIT)
        elif w.power and not power_ever_admits(w, s, cls, cell, gpus):
            highest = higher(highest, POWER)
        elif not level_holds(w, s, cls, option, gpus):
            highest = higher(highest, TOPOLOGY)
        elif fits_ever(s, cell, w.option_future[option], s.scalar[EPOCH], gpus):
            return STARTABLE
        else:
            highest = higher(highest, NOT_ONLINE)
    return highest if highest > 0 else NOT_ONLINE


@kernel
def lost(w: Rules, s: State, i: int, refusal: int) -> int:
    """STARTABLE, or, if an examination's refusal of job ``i`` is for ever, the cause."""
    if refusal == NOT_ONLINE or refusal == POWER or (refusal == LIMIT and has_ended(w, s, s.slot[i].cls)):
        return never(w, s, i)
    return STARTABLE
