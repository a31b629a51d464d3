"""Job classes: what jobs have in common as far as the engine asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpufleet.world.accounts import AccountBook, Owner
from gpufleet.world.gates import GateBook, Place
from gpufleet.world.layout import Cells, Classes, Options
from gpufleet.world.names import Names
from gpufleet.world.node_sets import Holds, holds_of
from gpufleet.world.power import kind_of
from gpufleet.world.shared import RuleRow, rules_of

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import Workload


class ClassKey(NamedTuple):
    """What makes a job class."""

    queue: int
    options: tuple[tuple[int, float], ...]  # (cell, speed)
    rules: RuleRow
    accounts: tuple[int, ...]
    place: Place
    holds: Holds  # the reservations that are for it
    power: int = 0  # kind of work


class ClassBook:
    """Job classes; like ones are one."""

    def __init__(self, plan: Plan, names: Names, cells: Cells):
        self.names = names
        self.queues = list(plan.queues.values())
        self.cells = cells
        self.plan = plan
        self.found: dict[ClassKey, int] = {}
        self.accounts, self.gates = AccountBook(plan, names), GateBook(plan)
        self._options: dict[tuple[int, str], tuple[tuple[int, float], ...]] = {}

    def class_of(self, queue: int, workload: Workload, owner: Owner | None = None, phase: str = "") -> int:
        """The class of a workload's jobs in a queue, of one owner; of a training, of one phase."""
        owner = owner or Owner(project=workload.project)
        key = ClassKey(
            queue,
            self._options_of(queue, workload),
            rules_of(self.plan, workload),
            self.accounts.of(self.names.queues[queue], workload, owner),
            self.gates.place_of(workload, phase),
            holds_of(self.plan, self.queues[queue], workload.name),
            kind_of(self.plan, workload),
        )
        return self.found.setdefault(key, len(self.found))

    def _options_of(self, queue: int, workload: Workload) -> tuple[tuple[int, float], ...]:
        """Where its jobs may run; without products they accept every one at speed 1."""
        if (queue, workload.name) in self._options:
            return self._options[queue, workload.name]
        accepted = workload.products or [(product, 1.0) for product in self.names.products]
        owner = self.names.tenants.index(self.queues[queue].tenant)
        options = tuple(options_of(self.cells, self.names, owner, accepted))
        self._options[queue, workload.name] = options
        return options


def options_of(
    cells: Cells, names: Names, owner: int, accepted: Sequence[tuple[str, float]]
) -> Iterator[tuple[int, float]]:
    """Cells by product preference; the tenant's own before shared; then in the plan's order of sites."""
    for product, speed in accepted:
        if product not in names.products:
            continue  # nobody brings it
        right = cells.product == names.products.index(product)
        for tenant in (owner, -1):
            for cell in np.flatnonzero(right & (cells.tenant == tenant)).tolist():
                yield cell, speed


def class_tables(found: Iterable[tuple[int, tuple[tuple[int, float], ...]]]) -> tuple[Classes, Options]:
    """The engine's tables for classes given as (queue, options).

    >>> classes, options = class_tables([(0, ((4, 1.0), (2, 0.5))), (1, ())])
    >>> classes.first_option.tolist(), classes.n_options.tolist(), options.cell.tolist()
    ([0, 2], [2, 0], [4, 2])
    """
    rows = list(found)
    counts = np.array([len(options) for _, options in rows], np.int64)
    pairs = [pair for _, options in rows for pair in options]
    classes = Classes(
        queue=np.array([queue for queue, _ in rows], np.int64),
        first_option=(np.cumsum(counts) - counts).astype(np.int64),
        n_options=counts,
    )
    options = Options(
        cell=np.array([cell for cell, _ in pairs], np.int64),
        speed=np.array([speed for _, speed in pairs], np.float64),
    )
    return classes, options
