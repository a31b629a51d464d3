"""From declarations to nodes: which nodes partitions and reservations have, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.errors import Finding, Severity, explain_code, finding
from gpufleet.base.say import say
from gpufleet.plan.sharing_checks import queues_of
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload
from gpufleet.world.bought import bought_nodes
from gpufleet.world.layout import UP
from gpufleet.world.node_sets import Flags, Kept, Sets, holds_of

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.node_sets import PartitionPart, Reservation
    from gpufleet.plan.tenants import Queue
    from gpufleet.world.capacity import Fleet
    from gpufleet.world.names import Names

ON_TOP: Final = explain_code(
    "P150",
    "a reservation on top of another",
    "A node is kept by one reservation at a time. Two whose times overlap need GPUs for both: where there "
    "are fewer, the one that begins later cannot have what it names.",
    "deliveries:   [{to: lab, system: DGX B200, gpus: 64, ...}]\n"
    "reservations:\n"
    "  exam:   {site: lab, gpus: 48, from: 2026-02-02, to: 2026-02-09, for: courses}\n"
    "  launch: {site: lab, gpus: 32, from: 2026-02-04, to: 2026-02-06, for: product}   # 16 are left",
).code
NOT_THERE: Final = explain_code(
    "P151",
    "more GPUs reserved than are in service",
    "The nodes of a reservation are chosen among those that are in service when it begins, and that its "
    "holders can use. Where there are fewer GPUs than it names, it keeps those that are there.",
    "deliveries:   [{to: lab, system: DGX B200, gpus: 64, at: 2026-03-01}]\n"
    "reservations: {exam: {site: lab, gpus: 64, from: 2026-02-02, to: 2026-02-09, for: courses}}   # 0 then",
).code
WHOLE_NODES: Final = explain_code(
    "P152",
    "no whole number of nodes",
    "Partitions and reservations are made of whole nodes: as many as hold the GPUs that they name.",
    "reservations: {exam: {site: lab, gpus: 12, ...}}      # 2 nodes = 16 GPUs",
).code
MORE_THAN_EVER: Final = explain_code(
    "P153",
    "a partition with more nodes than ever come",
    "Nodes of a site are numbered in the order of delivery. A partition that names more of them than are "
    "ever delivered has those that there are.",
    "deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]      # 8 nodes\n"
    "partitions: {batch: {site: lab, nodes: [1, 40]}}",
).code
NO_NODE: Final = explain_code(
    "P154",
    "a queue with no node to run on",
    "The jobs of a queue run on the nodes of its partitions only; those of a queue without partitions on "
    "nodes that are in no exclusive one. None of these has a product that its jobs accept, and may be used "
    "by its tenant, so that none of its jobs could ever start.",
    "partitions: {old: {site: lab, product: A100}}\n"
    "tenants:    {research: {partitions: old}}\n"
    "workloads:  {train: {queue: research, products: {B200: 1.0}, ...}}",
).code
TOO_LARGE: Final = explain_code(
    "P157",
    "a campaign larger than its partitions",
    "A job runs on one product at one site, on nodes of one owner and of its queue's partitions. One that is "
    "larger than these ever are is refused for ever; the run goes on without it.",
    "partitions: {debug: {site: lab, nodes: [1, 2]}}          # 16 GPUs\n"
    "tenants:    {research: {partitions: debug}}\n"
    "workloads:  {big: {kind: campaign, queue: research, gpus: 64, ...}}",
).code
CANNOT_USE: Final = explain_code(
    "P155",
    "a reservation for somebody who cannot use it",
    "The nodes of a reservation are of its site, product and partition. Those for whom it is accept none of "
    "them: other products, nodes of another owner, or other partitions.",
    "reservations: {exam: {site: lab, product: A100, for: train, ...}}\n"
    "workloads:    {train: {products: {B200: 1.0}, ...}}",
).code


def sets_of(plan: Plan, names: Names, fleet: Fleet) -> Sets:
    """The nodes of the partitions and reservations of a plan, with what is wrong with them."""
    if not plan.partitions and not plan.reservations:
        return Sets({}, (), {}, (), ())
    return _Finder(plan, names, fleet).sets()


class _Finder:
    """Resolves the declarations to nodes, one after the other, and collects findings."""

    def __init__(self, plan: Plan, names: Names, fleet: Fleet) -> None:
        self.plan, self.names, self.fleet = plan, names, fleet
        self.bought = bought_nodes(plan, names)
        self.size, self.cell = self.bought.size, fleet.nodes.cell
        self.none: Flags = np.zeros(self.size.size, bool)
        self.findings: list[Finding] = []

    def report(self, code: str, says: str, fix: str, at: Any, severity: Severity = "warning") -> None:
        """Write a finding down."""
        self.findings.append(finding(code, says, fix, at, severity=severity))

    def sets(self) -> Sets:
        """All of it."""
        plan = self.plan
        self.partitions = {
            name: np.logical_or.reduce([self.part(name, part) for part in partition.parts])
            for name, partition in plan.partitions.items()
        }
        shut = [nodes for name, nodes in self.partitions.items() if plan.partitions[name].exclusive]
        common = ~np.logical_or.reduce([self.none, *shut])
        self.queue_nodes = {
            name: np.logical_or.reduce([self.partitions[each] for each in queue.partitions])
            if queue.partitions
            else common
            for name, queue in plan.queues.items()
        }
        self.check_queues()
        kept = self.reservations()
        queue_holds = tuple(holds_of(plan, queue, "") for queue in plan.queues.values())
        return Sets(self.partitions, kept, self.queue_nodes, queue_holds, tuple(self.findings))

    # --- partitions

    def at(self, site: str, product: str | None) -> Flags:
        """Nodes of a site, of one product or of all."""
        here: Flags = self.bought.site == self.names.sites.index(site)
        if product is None:
            return here
        known = product in self.names.products
        return here & (self.bought.product == self.names.products.index(product)) if known else self.none

    def part(self, name: str, part: PartitionPart) -> Flags:
        """The nodes of one piece of a partition."""
        rows = np.flatnonzero(self.at(part.site, part.product))
        rows = rows[np.argsort(self.bought.age[rows])]
        what = part.product or say("GPU")
        if part.nodes is not None:
            first, last = part.nodes
            taken = rows[first - 1 : last]
            if last > rows.size:
                says = say(
                    "{partition} goes to node {last:,} of {product} at {site}; {n:,} ever come",
                    partition=name, last=last, product=what, site=part.site, n=rows.size,
                )  # fmt: skip
                self.report(
                    MORE_THAN_EVER, says, say("end it at {n:,}, or deliver more", n=rows.size), part.line
                )
        elif part.gpus is not None:
            taken = self.count_off(rows, part.gpus)
            self.check_count(name, part, what, int(self.size[rows].sum()), int(self.size[taken].sum()))
        else:
            taken = rows
            if not rows.size:
                says = say(
                    "{partition} is all {product} nodes of {site}; none ever come",
                    partition=name, product=what, site=part.site,
                )  # fmt: skip
                self.report(MORE_THAN_EVER, says, say("name another site or product"), part.line)
        nodes = self.none.copy()
        nodes[taken] = True
        return nodes

    def count_off(self, rows: Ints, gpus: int) -> Ints:
        """The first of these nodes, as many as hold so many GPUs."""
        before = np.cumsum(self.size[rows]) - self.size[rows]
        return rows[before < gpus]

    def check_count(self, name: str, part: PartitionPart, what: str, ever: int, taken: int) -> None:
        """Whether there are so many GPUs, and in whole nodes."""
        asked = part.gpus or 0
        if asked > ever:
            says = say(
                "{partition} is {gpus:,} {product} GPUs of {site}; {ever:,} ever come",
                partition=name, gpus=asked, product=what, site=part.site, ever=ever,
            )  # fmt: skip
            self.report(MORE_THAN_EVER, says, say("lower it to {n:,}, or deliver more", n=ever), part.line)
        elif taken != asked:
            self.report_whole(name, asked, taken, part.line)

    def report_whole(self, name: str, asked: int, taken: int, at: Any) -> None:
        """Whole nodes are more GPUs than were asked for."""
        says = say("{name} is {asked:,} GPUs; in whole nodes {taken:,}", name=name, asked=asked, taken=taken)
        self.report(WHOLE_NODES, says, say("write {taken:,}, or fewer nodes", taken=taken), at)

    # --- who can use what

    def usable(self, queue: Queue, workload: str | None) -> Flags:
        """Nodes that jobs of a workload in a queue can use; without a workload, of any product."""
        nodes: Flags = self.queue_nodes[queue.name] & self.accepted(queue, workload)
        return nodes

    def accepted(self, queue: Queue, workload: str | None) -> Flags:
        """The same, whatever its queue's partitions are."""
        owner = self.names.tenants.index(queue.tenant)
        nodes: Flags = np.isin(self.bought.tenant, [-1, owner])
        accepted = [p for p, _ in self.plan.workloads[workload].products] if workload else []
        if accepted:
            nodes &= np.isin(self.bought.product, [self.names.products.index(p) for p in accepted])
        return nodes

    def waiting(self) -> Iterator[tuple[Queue, str]]:
        """Queues and the workloads whose jobs may wait there."""
        for name, workload in self.plan.workloads.items():
            for queue in queues_of(self.plan, workload):
                yield self.plan.queues[queue], name

    def check_queues(self) -> None:
        """Whether partitions leave every queue some node for some of its workloads."""
        can: dict[str, bool] = {}
        for queue, workload in self.waiting():
            usable = self.usable(queue, workload)
            can[queue.name] = can.get(queue.name, False) or bool(usable.any())
            self.check_campaign(queue, workload, usable)
        for name in (name for name, found in can.items() if not found):
            queue = self.plan.queues[name]
            if queue.partitions:
                says = say(
                    "queue {queue} runs on {partitions: and } only; its jobs accept no node there",
                    queue=name, partitions=list(queue.partitions),
                )  # fmt: skip
            elif not (~self.queue_nodes[name]).any():
                continue  # nothing comes that it could use; other checks say so
            else:
                says = say(
                    "queue {queue} has no partition; all nodes that its jobs accept are in exclusive ones",
                    queue=name,
                )  # fmt: skip
            fix = say("name a partition with nodes that they accept, in `partitions` of the queue")
            at = self.plan.line(f"tenants.{queue.tenant}.queues.{name}.partitions") or queue.line
            self.report(NO_NODE, says, fix, at, "error")

    def check_campaign(self, queue: Queue, name: str, usable: Flags) -> None:
        """Whether a campaign is larger than what its queue's nodes hold in one place."""
        workload = self.plan.workloads[name]
        if not isinstance(workload, CampaignWorkload | TrainingWorkload) or not usable.any():
            return
        every = self.accepted(queue, name)
        most, ever = (int(np.bincount(self.cell[nodes], self.size[nodes]).max()) for nodes in (usable, every))
        if most < workload.gpus <= ever:
            says = say(
                "{name} wants {gpus:,} GPUs at once; the nodes of queue {queue} have {most:,} in one place",
                name=name, gpus=workload.gpus, queue=queue.name, most=most,
            )  # fmt: skip
            fix = say("make it smaller, or give its queue larger partitions")
            self.report(TOO_LARGE, says, fix, workload.line)

    # --- reservations

    def reservations(self) -> tuple[Kept, ...]:
        """The reservations with their nodes; who begins first chooses first."""
        plan = self.plan
        rows = sorted(enumerate(plan.reservations.values()), key=lambda row: (row[1].from_, row[0]))
        found: dict[int, Kept] = {}
        for row, reservation in rows:
            span = plan.seconds(reservation.from_), plan.seconds(reservation.to)
            others = {
                name: found[i].nodes
                for i, name in enumerate(plan.reservations)
                if i in found and found[i].from_s < span[1] and found[i].to_s > span[0]
            }
            found[row] = Kept(*span, self.choose(reservation, span[0], others))
        return tuple(found[row] for row in range(len(found)))

    def choose(self, reservation: Reservation, from_s: int, others: dict[str, Flags]) -> Flags:
        """The nodes of a reservation: the last ones that are there and free of other reservations."""
        place = self.at(reservation.site, reservation.product)
        if reservation.partition is not None:
            place = place & self.partitions[reservation.partition]
        place = place & self.of_holders(reservation, place)
        there = place & self.in_service(from_s)
        free = np.flatnonzero(there & ~np.logical_or.reduce([self.none, *others.values()]))
        nodes = self.none.copy()
        if reservation.nodes is not None:
            taken = free[max(0, free.size - reservation.nodes) :]
            asked = int(self.size[there].max(initial=1)) * reservation.nodes
            short = reservation.nodes - taken.size
            enough = int(there.sum()) >= reservation.nodes
        else:
            taken = self.count_off(free[::-1], reservation.gpus or 0)
            asked = reservation.gpus or 0
            short = asked - int(self.size[taken].sum())
            enough = int(self.size[there].sum()) >= asked
        nodes[taken] = True
        if place.any() or not self.at(reservation.site, reservation.product).any():
            self.check_there(reservation, there, nodes, short, enough, others)
        if short < 0:
            self.report_whole(reservation.name, asked, asked - short, reservation.line)
        return nodes

    def check_there(
        self,
        reservation: Reservation,
        there: Flags,
        nodes: Flags,
        short: int,
        enough: bool,
        others: dict[str, Flags],
    ) -> None:
        """Whether there is as much as the reservation names, and whether others have it."""
        if short <= 0:
            return
        day = self.plan.local(reservation.from_, reservation.site)
        unit = (
            say("{n:,} node", "{n:,} nodes", n=short)
            if reservation.nodes
            else say("{n:,} GPU", "{n:,} GPUs", n=short)
        )
        told = {
            "name": reservation.name, "site": reservation.site, "day": f"{day:%Y-%m-%d %H:%M}",
            "short": unit, "there": int(self.size[there].sum()), "left": int(self.size[nodes].sum()),
        }  # fmt: skip
        if not enough:
            says = say(
                "{name} keeps {left:,} GPUs at {site}: {there:,} that it can have are in service on {day} "
                "({short} short)",
                **told,
            )
            fix = say("reserve less, or have more delivered by then")
            self.report(NOT_THERE, says, fix, reservation.line)
            return
        overlaps = [name for name, kept in others.items() if (kept & there).any()]
        says = say(
            "{name} lies on top of {others: and }: of {there:,} GPUs in service at {site} on {day}, {left:,} "
            "are left for it ({short} short)",
            others=overlaps,
            **told,
        )
        self.report(ON_TOP, says, say("reserve less, or at another time"), reservation.line, "error")

    def of_holders(self, reservation: Reservation, place: Flags) -> Flags:
        """Nodes that any holder can use; holders who can use none of them are reported."""
        nodes = self.none
        for name in reservation.holders:
            mine = self.none
            pairs: list[tuple[Queue, str | None]] = [
                pair for pair in self.waiting() if name in (pair[0].name, pair[0].tenant, pair[1])
            ]
            pairs = pairs or [(q, None) for q in self.plan.queues.values() if name in (q.name, q.tenant)]
            for queue, workload in pairs:
                mine = mine | self.usable(queue, workload)
            nodes = nodes | mine
            if place.any() and not (mine & place).any():
                says = say(
                    "{reservation} is for {holder}; its jobs can use none of its nodes ({product} at {site})",
                    reservation=reservation.name, holder=name, site=reservation.site,
                    product=reservation.product or say("all products"),
                )  # fmt: skip
                fix = say("reserve nodes that its jobs accept, or for somebody else")
                self.report(CANNOT_USE, says, fix, reservation.line, "error")
        return nodes

    def in_service(self, t_s: int) -> Flags:
        """Nodes in service when all has happened that is planned for this second and before it."""
        online, capacity = self.none.copy(), self.fleet.capacity
        for at_s, kind, first, n, _ in zip(*(column.tolist() for column in capacity), strict=True):
            if at_s > max(0, t_s):
                break
            online[first : first + n] = kind == UP
        return online
