"""The state of a simulation in which queues lend to each other: tree, quotas by date, preemption, books."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from gpufleet.world.layout import (
    BETWEEN_PASSES,
    LIMIT,
    LOWER_OR_NEWER_EQUAL,
    LOWER_PRIORITY,
    NEVER,
    NO_THRESHOLD,
    NO_WISH,
    NOT_ONLINE,
    OWN_QUOTA,
    POWER,
    PRIORITY,
    RESERVATION,
    RETURNING,
    TOPOLOGY,
    UNLIMITED,
    Jobs,
    SharedQuotas,
    Tree,
    World,
)

from .model import AWAY, FUTURE, IN_LANE, Job, Option
from .model import Node as FleetNode
from .placing import View, free_now
from .sharing import model as words
from .sharing.tree import Node, Snapshot, snapshot
from .state import RANK, Simulation
from .wishes import Site, Wish, place_wish, wish_can_fit, wish_fits

REASONS = (words.IN_QUEUE, words.RECLAIM, words.WHILE_BORROWING, words.FAIR, "QuotaFell")
REASONS += ("NodeKilled", "NodeFailed")
GPU = "gpu"


class Lending(Simulation):
    """All that changes where admission is by cycles."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        super().__init__(world, jobs)
        assert world.shared is not None
        self.shared: SharedQuotas = world.shared
        self.tree = world.shared.tree
        self.first_queue = len(self.tree.parent) - len(self.queues)
        self.nominal: list[list[int]] = self.tree.nominal.tolist()
        self.quota_changes = self._changes_to_come(world)
        self.quota_news: list[tuple[int, int, int, int]] = []  # changes that no pass knows as yet
        self.quota_changed: set[int] = set()  # islands whose next pass finds another quota
        self.most_ever = self._most_ever()
        blocks = self.shared.domain_block.tolist()
        self.site = Site(
            {n.index: n.domain for n in self.nodes}, {n.index: blocks[n.domain] for n in self.nodes}
        )
        self.given = Fraction(0)  # the latest place in the order of time that a job was given
        self.events: list[tuple[int, ...]] = []
        products = len(self.nominal[0])
        self.borrowed: list[list[dict[int, int]]] = [[{} for _ in range(products)] for _ in self.nominal]

    def _changes_to_come(self, world: World) -> list[tuple[int, int, int, int]]:
        s = self.shared
        columns = (s.change_t_s, s.change_row, s.change_product, s.change_gpus)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        return [row for row in rows if world.clock.finish or row[0] < world.clock.end_s]

    def _most_ever(self) -> list[list[int]]:
        """The most that a queue could use of each product, over all dates."""
        nominal = [list(row) for row in self.nominal]
        most = [[-1] * len(nominal[0]) for _ in self.queues]
        s = self.shared
        dates: list[int] = sorted({-1, *s.change_t_s.tolist()})
        for date in dates:
            for t, row, product, gpus in zip(
                s.change_t_s.tolist(),
                s.change_row.tolist(),
                s.change_product.tolist(),
                s.change_gpus.tolist(),
                strict=True,
            ):
                if t == date:
                    nominal[row][product] = gpus
            nodes = plant_tree(self.tree, nominal, self.first_queue)
            for q, products in enumerate(most):
                for k in range(len(products)):
                    products[k] = max(products[k], int(nodes[self.first_queue + q].potential((str(k), GPU))))
        return most

    # ------------------------------------------------------------------ the tree at this moment

    def work(self, job: Job) -> words.Work:
        """The job as the decisions see it."""
        flavors = dict.fromkeys(str(option.cell.product) for option in job.options)
        admission = None
        if job.option is not None:
            usage: words.Amounts = {(str(job.option.cell.product), GPU): job.gpus}
            flavor = {"main": {GPU: str(job.option.cell.product)}}
            admission = words.Admission(job.started, {"main": 1}, flavor, usage)
        return words.Work(
            key=key_of(job),
            queue=queue_name(job.queue.index),
            priority=job.priority,
            queued_s=job.time,
            uid=key_of(job),
            pod_sets=(words.PodSet("main", 1, {GPU: job.gpus}),),
            admission=admission,
            spared=not self._may_yield(job) or self._just_started(job),
            urgent=self.policy.order == PRIORITY,
            own_key=job.key if self.own_order else None,
            flavors=tuple(flavors),
            alike=self.lane(job),
        )

    def _may_yield(self, job: Job) -> bool:
        most = self.shared.preemptions_at_most
        return bool(self.shared.classes.preemptible[job.cls]) and (not most or job.yields < most)

    def _just_started(self, job: Job) -> bool:
        return job.option is not None and job.started == self.now

    def lane(self, job: Job) -> tuple[int, ...]:
        """Where it stands in line: a strict queue has one lane, another one a lane for each shape."""
        if self.strict(job.queue.index):
            return (job.queue.index,)
        return (job.queue.index, *job.shape)

    def strict(self, queue: int) -> bool:
        return bool(self.tree.strict[self.first_queue + queue])

    def rows(self) -> list[Node]:
        """The tree with the quotas of this moment, by row."""
        return plant_tree(self.tree, self.nominal, self.first_queue)

    def moment(self) -> tuple[list[Node], Snapshot]:
        nodes = self.rows()
        leaves = {node.name: node for node in nodes if node.queue is not None}
        return nodes, snapshot(leaves, [self.work(job) for job in self.running()])

    def order_key(self, job: Job) -> Any:
        key = job.key if self.own_order else -job.priority if self.policy.order == PRIORITY else 0
        return (key, job.time, job.id)

    # ------------------------------------------------------------------ places

    def wish(self, job: Job) -> Wish:
        rules = self.shared.classes
        kind = int(rules.wish[job.cls])
        level = int(rules.level[job.cls]) if kind != NO_WISH else 0
        return Wish(kind, level, int(rules.slice_gpus[job.cls]), int(rules.slice_level[job.cls]))

    def block_of(self, node: FleetNode) -> int:
        return self.site.block[node.index]

    def view(self, option: Option, gone: list[Job]) -> View:
        """Free GPUs in the option's cell, were these jobs gone."""
        view = free_now(option.cell)
        for job in gone:
            for n, gpus in job.held.items():
                if n in view:
                    view[n] += gpus
        return view

    def has_no_place_because(self, job: Job, option: Option, gone: list[Job]) -> int:
        """0 if the job has a place, else NOT_ONLINE, NO_FREE, FRAGMENTED, TOPOLOGY,
        RESERVATION or POWER."""
        view, wish = self.view(option, gone), self.wish(job)
        cause = self.why_not(job, option, view)
        if cause:
            return cause
        if not wish_fits(self.sets.may_use(job, view), option.cell, job.gpus, wish, self.site):
            return TOPOLOGY
        open_now = self.open_now(job, option, view)
        if not wish_fits(open_now, option.cell, job.gpus, wish, self.site):
            return RESERVATION
        return self.refused_by_power(job, option)

    def power_lets(self, job: Job, product: int) -> bool:
        """Whether the cap of some site admits the job on this product."""
        options = [option for option in job.options if option.cell.product == product]
        return not all(self.refused_by_power(job, option) for option in options)

    def place_now(self, job: Job, product: int) -> tuple[Option, dict[int, int]]:
        """The first option of the product that fits, and the nodes there."""
        for option in job.options:
            if option.cell.product == product and not self.has_no_place_because(job, option, []):
                view, rule, wish = self.open_now(job, option), self.rule, self.wish(job)
                own = self.sets.own(job, view, self.now)
                view = own if wish_fits(own, option.cell, job.gpus, wish, self.site) else view
                return option, place_wish(view, option.cell, job.gpus, rule, wish, self.site)
        raise AssertionError("no place")

    # ------------------------------------------------------------------ the life of a job

    def come(self, job: Job) -> None:
        job.time = self.given = Fraction(job.id)
        super().come(job)

    def kill(self, job: Job, why: str) -> None:
        self.interrupt(job, None, why)
        super().kill(job, why)

    def lose_work(self, job: Job) -> float:
        return 0.0  # `interrupt` has seen to it

    def give_way(self, victim: Job, preemptor: Job | None, why: str) -> None:
        """It leaves its nodes, keeps the work up to its last checkpoint, and returns now or later."""
        self.interrupt(victim, preemptor, why)
        self._leave_nodes(victim)
        victim.preemptions += 1
        victim.yields += 1
        if self.shared.return_last:
            victim.time = self.given = self.given + Fraction(1, 1 << 20)
        if self.shared.return_s:
            victim.stage, victim.why = AWAY, RETURNING
            victim.returns = self.now + self.shared.return_s
        else:
            self.enter_again(victim)

    def interrupt(self, job: Job, preemptor: Job | None, why: str) -> None:
        """The work since the last checkpoint is lost, and the restart must be paid."""
        assert job.option is not None
        lost = math.floor(super().lose_work(job) * job.gpus)
        by = -1 if preemptor is None else preemptor.id
        place = (job.started, job.option.cell.index)
        self.events.append((self.now, job.id, by, REASONS.index(why), job.gpus, lost, *place))

    def enter_again(self, job: Job) -> None:
        job.stage, job.why = IN_LANE, BETWEEN_PASSES
        self.set_key(job)

    def come_back(self, job: Job) -> None:
        """A preempted job has waited out its delay: it is met as if it were new."""
        self.enter_again(job)
        job.new = True
        self.mark_due(job.queue.island, full=False)

    # ------------------------------------------------------------------ quotas by date

    def change_quotas(self) -> None:
        """Quotas that change now count from the next pass on."""
        while self.quota_changes and self.quota_changes[0][0] <= self.now:
            change = self.quota_changes.pop(0)
            self.quota_news.append(change)
            for queue in self.queues:
                if self.root_row(change[1]) == self.root_row(self.first_queue + queue.index):
                    self.quota_changed.add(queue.island)
                    self.mark_due(queue.island, full=True)

    def learn_quotas(self) -> None:
        for _, row, product, gpus in self.quota_news:
            self.nominal[row][product] = gpus
        self.quota_news.clear()

    def root_row(self, row: int) -> int:
        """The row of the tree's root above a row."""
        while self.tree.parent[row] >= 0:
            row = int(self.tree.parent[row])
        return row

    # ------------------------------------------------------------------ never

    def never(self, job: Job) -> int:
        causes = [NOT_ONLINE] if not job.options else []
        for option in job.options:
            if job.gpus > self.most_ever[job.queue.index][option.cell.product]:
                causes.append(OWN_QUOTA)
            elif not self.ever_within_limits(job, option.cell.product):
                causes.append(LIMIT)
            elif self.meters and not self.meters.ever_admits(job, option):
                causes.append(POWER)
            elif not wish_can_fit(self.usable(job, option), option.cell, job.gpus, self.wish(job), self.site):
                causes.append(TOPOLOGY)
            elif self._ever_holds(job, option):
                return 0
            else:
                causes.append(NOT_ONLINE)
        return max(causes, key=RANK.index)

    def usable(self, job: Job, option: Option) -> View:
        """All nodes of the cell that its class may use, in service or not, empty."""
        return self.sets.may_use(job, {node.index: node.size for node in option.cell.nodes})

    # ------------------------------------------------------------------ books

    def more_moments(self) -> list[int]:
        back = [job.returns for job in self.jobs if job.stage == AWAY]
        return super().more_moments() + back + [row[0] for row in self.quota_changes]

    def more_events(self) -> None:
        for job in self.jobs:
            if job.stage == AWAY and job.returns == self.now:
                self.come_back(job)
        self.change_quotas()

    def account_until(self, t: int) -> None:
        if t > self.now:
            nodes, now = self.moment()
            for row, node in enumerate(nodes):
                for k, bins in enumerate(self.borrowed[row]):
                    more = now.usage(node, (str(k), GPU)) - node.subtree((str(k), GPU))
                    if more > 0:
                        self._tally(bins, t, int(more))
        super().account_until(t)

    def check_laws(self) -> None:
        super().check_laws()
        assert all(job.returns > self.now for job in self.jobs if job.stage == AWAY)
        assert all(job.time >= 0 for job in self.jobs if job.stage != FUTURE)


def key_of(job: Job) -> str:
    return f"{job.id:06}"


def queue_name(queue: int) -> str:
    return f"q{queue}"


WITHIN = {
    NEVER: words.NEVER,
    LOWER_PRIORITY: words.LOWER,
    LOWER_OR_NEWER_EQUAL: words.LOWER_OR_NEWER,
}
OTHERS = {NEVER: words.NEVER, LOWER_PRIORITY: words.LOWER}


def plant_tree(tree: Tree, nominal: list[list[int]], first_queue: int) -> list[Node]:
    """The nodes of the tree by row; children in the order of their rows."""
    nodes = [
        Node(
            name=f"c{row}" if row < first_queue else queue_name(row - first_queue),
            quotas=_quotas(tree, nominal[row], row),
            weight=Fraction(float(tree.weight[row])),
            queue=None if row < first_queue else _queue(tree, row, first_queue),
        )
        for row in range(len(nominal))
    ]
    for row, node in enumerate(nodes):
        if tree.parent[row] >= 0:
            node.parent = nodes[int(tree.parent[row])]
            (node.parent.cohorts if row < first_queue else node.parent.queues).append(node)
    return nodes


def _quotas(tree: Tree, nominal: list[int], row: int) -> dict[words.FR, words.Quota]:
    def limit(gpus: int) -> int | None:
        return None if gpus == UNLIMITED else gpus

    return {
        (str(k), GPU): words.Quota(gpus, limit(int(tree.borrow[row, k])), limit(int(tree.lend[row, k])))
        for k, gpus in enumerate(nominal)
    }


def _queue(tree: Tree, row: int, first_queue: int) -> words.ClusterQueue:
    parent, threshold = int(tree.parent[row]), int(tree.threshold[row])
    flavors = tuple(str(k) for k in range(tree.nominal.shape[1]))
    return words.ClusterQueue(
        name=queue_name(row - first_queue),
        cohort=f"c{parent}" if parent >= 0 else None,
        groups=(words.Group(flavors, frozenset({GPU})),),
        policy=words.Policy(
            WITHIN[int(tree.within[row])],
            OTHERS.get(int(tree.reclaim[row]), words.ANY),
            OTHERS[int(tree.borrow_within[row])],
            None if threshold == NO_THRESHOLD else threshold,
        ),
        fungibility=words.Fungibility(
            words.TRY_NEXT if tree.next_if_borrowing[row] else words.MAY_STOP,
            words.TRY_NEXT if tree.next_if_preempting[row] else words.MAY_STOP,
            words.PREEMPTION_OVER_BORROWING if tree.rather_preempt[row] else "BorrowingOverPreemption",
        ),
        strategy=words.STRICT if tree.strict[row] else words.BEST_EFFORT,
    )
