"""The fleet of a plan: nodes, cells, what is in service when, and what stands there without power."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gpufleet.base.arrays import Floats, Ints
from gpufleet.base.errors import Finding, explain_code, finding
from gpufleet.base.say import say
from gpufleet.world.bought import Bought, bought_nodes, nodes_and_cells
from gpufleet.world.layout import Capacity, Cells, Nodes
from gpufleet.world.names import Names
from gpufleet.world.service import Change, DatedRetirement, Retired, Shortage, SiteService

if TYPE_CHECKING:
    from gpufleet.plan import Plan

RETIRES_TOO_MUCH: Final = explain_code(
    "P061",
    "retirement takes more GPUs than are there",
    "A retirement takes the oldest units of its site and system. When fewer GPUs than it names have been "
    "delivered by its date (and not retired before), it takes what there is.",
    "deliveries:  [{name: a, to: lab, system: DGX B200, gpus: 16, at: 2026-01-01}]\n"
    "retirements: [{from: lab, system: DGX B200, gpus: 64, at: 2026-02-01}]         # 16 are there",
).code
RETIRES_WHOLE_NODES: Final = explain_code(
    "P062",
    "retirement is no whole number of nodes",
    "Nodes leave whole: a retirement takes the oldest nodes until it has at least the GPUs that it names.",
    "retirements: [{from: lab, system: DGX B200, gpus: 12, at: 2026-02-01}]     # takes 2 nodes = 16 GPUs",
).code


@dataclass(frozen=True)
class Fleet:
    """What `capacity_of` makes of a plan's sites, deliveries and retirements."""

    nodes: Nodes
    cells: Cells
    capacity: Capacity
    shortages: tuple[Shortage, ...]  # by site, then time
    retired: tuple[Retired, ...]  # by site, then time
    findings: tuple[Finding, ...]
    rated_w: Floats = field(default_factory=lambda: np.zeros(0))  # of a GPU of each cell
    queue_nodes: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)  # of queues held to some


def capacity_of(plan: Plan, names: Names) -> Fleet:
    """Nodes, cells and all changes of service of a plan.

    Units (domains of ``nodes_per_domain`` nodes, else single nodes) come online in the order of delivery as
    far as the site's power reaches; see `gpufleet.world.service`. What was delivered before the plan's start
    is in service at second 0. Changes after the plan's end are kept: a run may go on.
    """
    bought = bought_nodes(plan, names)
    nodes, cells = nodes_and_cells(bought)
    changes: list[Change] = []
    shortages: list[Shortage] = []
    retired: list[Retired] = []
    for code, site in enumerate(plan.sites.values()):
        if plan.power is not None and plan.power.counts == "measured":
            site = site.model_copy(update={"power_w": ()})  # caps act on what is drawn, not on ratings
        service = SiteService(
            bought, np.flatnonzero(bought.site == code), site, _retirements(plan, names, code)
        )
        changes += service.changes()
        shortages += service.shortages
        retired += service.retired
    findings = tuple(_retirement_findings(plan, retired))
    watts = np.bincount(nodes.cell, weights=bought.rating_w, minlength=len(cells.site))
    gpus = np.bincount(nodes.cell, weights=bought.gpus_per_node, minlength=len(cells.site))
    rated_w: Floats = watts / np.maximum(gpus, 1)
    changes_of = _events(changes, bought)
    return Fleet(nodes, cells, changes_of, tuple(shortages), tuple(retired), findings, rated_w)


def _retirements(plan: Plan, names: Names, site: int) -> list[DatedRetirement]:
    """The retirements of one site, with codes."""
    systems = list(plan.systems)
    found = []
    for row, r in enumerate(plan.retirements):
        if r.from_ != names.sites[site]:
            continue
        tenant = -1 if r.tenant is None else names.tenants.index(r.tenant)
        lot = len(plan.deliveries) + row
        found.append(DatedRetirement(plan.seconds(r.at), row, systems.index(r.system), tenant, lot, r))
    return found


def _events(changes: Iterable[Change], bought: Bought) -> Capacity:
    """One event per run of neighbouring nodes of one cell and lot, sorted by (time, kind, first node)."""
    rows = [run for change in changes for run in _runs(change, bought)]
    rows.sort()
    table: Ints = np.array(rows, np.int64).reshape(-1, len(Capacity._fields))
    return Capacity(*(np.ascontiguousarray(column) for column in table.T))


def _runs(change: Change, bought: Bought) -> Iterator[tuple[int, ...]]:
    """Cut the nodes of a change where their numbers, their lot or their cell do not go on."""
    order = np.argsort(change.nodes)
    nodes, lots = change.nodes[order], change.lots[order]
    cell = np.stack([column[nodes] for column in (bought.product, bought.tenant, bought.gpus_per_node)])
    breaks = (np.diff(nodes) != 1) | (np.diff(lots) != 0) | (np.diff(cell) != 0).any(axis=0)
    first = np.concatenate([[0], np.flatnonzero(breaks) + 1]) if nodes.size else np.zeros(0, np.int64)
    counts = np.diff(np.append(first, nodes.size))
    for place, count in zip(first.tolist(), counts.tolist(), strict=True):
        yield change.t_s, change.kind, int(nodes[place]), count, int(lots[place])


def _retirement_findings(plan: Plan, retired: Iterable[Retired]) -> Iterator[Finding]:
    """Warn where a retirement took another number of GPUs than it names."""
    for took in sorted(retired, key=lambda took: took.row):
        r = plan.retirements[took.row]
        if took.gpus == r.gpus:
            continue
        day = plan.local(r.at).date()
        leaves = {"gpus": r.gpus, "system": r.system, "site": r.from_, "day": day, "real": took.gpus}
        if took.gpus < r.gpus:
            says = say("{gpus:,} {system} GPUs are to leave {site} on {day}; {real:,} are there", **leaves)
            fix = say("retire at most {gpus:,}, or move the retirement behind the deliveries", gpus=took.gpus)
            code = RETIRES_TOO_MUCH
        else:
            per_node = plan.systems[r.system].gpus_per_node
            says = say(
                "{gpus:,} {system} GPUs are to leave {site} on {day}; {real:,} leave, in whole nodes of "
                "{per_node}",
                **leaves,
                per_node=per_node,
            )
            fix = say("name a multiple of {per_node}", per_node=per_node)
            code = RETIRES_WHOLE_NODES
        yield replace(finding(code, says, fix, r.line), severity="warning")
