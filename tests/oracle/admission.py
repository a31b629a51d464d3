"""A pass of cycles: the decisions of tests/oracle/sharing on the jobs and nodes of a simulation."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from gpufleet.world.layout import (
    COHORT,
    FINAL_SHARE,
    INITIAL_SHARE,
    LIMIT,
    NOT_ONLINE,
    OWN_QUOTA,
    POWER,
)

from .lending import GPU, Lending, key_of, queue_name
from .model import IN_LANE, Job, Refusal
from .sharing import model as words
from .sharing.cycle import ADMITTED, PENDING, REFUSED_NO_CANDIDATES, REFUSED_NO_FIT, Cycle, run_cycle
from .sharing.order import candidate_rank
from .sharing.world import Line, World
from .state import RANK

Lane = tuple[int, ...]


class Nodes(words.Room):
    """The nodes of the fleet: works run on them and leave them."""

    def __init__(self, sim: Lending) -> None:
        self.sim = sim
        self.jobs = {key_of(job): job for job in sim.jobs}
        self.held: list[dict[int, int]] = []

    def admits(self, work: words.Work, flavor: str) -> bool:
        job, product = self.jobs[work.key], int(flavor)
        return self.sim.within_limits(job, product) and self.sim.power_lets(job, product)

    def place(self, work: words.Work, flavor: str, gone: AbstractSet[str]) -> int:
        job, left = self.jobs[work.key], [self.jobs[key] for key in gone]
        if not self.sim.within_limits(job, int(flavor)):
            return words.NO_PLACE_AT_ALL
        options = [option for option in job.options if option.cell.product == int(flavor)]
        causes = [self.sim.has_no_place_because(job, option, left) for option in options]
        if 0 in causes:
            return words.HAS_PLACE
        return words.NO_PLACE_AT_ALL if max(causes, key=RANK.index) == NOT_ONLINE else words.NO_PLACE

    def start(self, work: words.Work, request: words.Amounts) -> None:
        job = self.jobs[work.key]
        self.sim.start(job, *self.sim.place_now(job, product_of(request)))
        work.spared = True  # until the next pass

    def make_way(self, victims: Iterable[words.Victim], work: words.Work) -> None:
        for victim in victims:
            self.sim.give_way(self.jobs[victim.work.key], self.jobs[work.key], victim.reason)

    def hold(self, work: words.Work, request: words.Amounts) -> None:
        job = self.jobs[work.key]
        option, held = self.sim.place_now(job, product_of(request))
        self._use(held, 1)
        if self.sim.meters:
            self.sim.meters.hold(job, option)
        self.held.append(held)

    def let_go(self) -> None:
        for held in self.held:
            self._use(held, -1)
        self.held.clear()
        if self.sim.meters:
            self.sim.meters.held.clear()

    def _use(self, held: dict[int, int], sign: int) -> None:
        for n, gpus in held.items():
            self.sim.nodes[n].used += sign * gpus


def product_of(request: words.Amounts) -> int:
    ((flavor, _),) = request
    return int(flavor)


class CyclePass:
    def __init__(self, sim: Lending, island: int, full: bool) -> None:
        self.sim, self.island, self.full = sim, island, full
        self.nodes = Nodes(sim)
        self.looked_at: set[Lane] = set()

    def run(self) -> None:
        self.sim.learn_quotas()
        if self.sim.shared.evict_falling and (self.full or self.island in self.sim.quota_changed):
            self.evict_what_exceeds()
        self.sim.quota_changed.discard(self.island)
        self.fleet = self.make_fleet()
        self.open_lanes()
        while self.one_cycle() or self.drop_hopeless():
            pass
        self.tell_refusals()

    # ------------------------------------------------------------------ before the first cycle

    def evict_what_exceeds(self) -> None:
        for queue in self.sim.queues:
            if queue.island != self.island:
                continue
            for product in range(len(queue.quota)):
                while self.evict_one(queue.index, product):
                    pass

    def evict_one(self, queue: int, product: int) -> bool:
        _, now = self.sim.moment()
        name, fr = queue_name(queue), (str(product), GPU)
        if now.available(now.leaves[name], fr) >= 0:
            return False
        works = [w for w in now.works[name].values() if w.usage.get(fr, 0) > 0 and not w.spared]
        if not works:
            return False
        victim = min(works, key=lambda w: candidate_rank(w, name))
        self.sim.give_way(self.nodes.jobs[victim.key], None, "QuotaFell")
        return True

    def make_fleet(self) -> World:
        """The works and queues of the island; where flavor scans stopped is not remembered from before."""
        sim, (_, now) = self.sim, self.sim.moment()
        tree = sim.tree
        names = {FINAL_SHARE: words.FINAL_SHARE, INITIAL_SHARE: words.INITIAL_SHARE}
        strategies = tuple(names[s] for s in tree.strategies.tolist() if s in names)
        lines = {
            queue_name(q.index): Line(words.STRICT if sim.strict(q.index) else words.BEST_EFFORT)
            for q in sorted(sim.queues, key=lambda q: sim.root_row(sim.first_queue + q.index))
            if q.island == self.island
        }
        fleet = World(now.leaves, words.Rules(bool(tree.fair), strategies, self.nodes), lines)
        for held in now.works.values():
            fleet.admitted |= held
        return fleet

    def open_lanes(self) -> None:
        if self.full:
            self._enter_active(self.sim.waiting(self.island))
            self._open_all()
            return
        lanes = self._lanes([job for job in self.sim.waiting(self.island) if not job.new])
        active: dict[Lane, list[Job]] = {
            lane: jobs for lane, jobs in lanes.items() if self.sim.strict(lane[0])
        }
        for job in self.joining():
            lane = self.sim.lane(job)
            if self.sim.strict(lane[0]) or self._is_first(job, lanes.get(lane, [])):
                active.setdefault(lane, []).append(job)
        self.looked_at = set(active)
        for jobs in active.values():
            self._enter_active(jobs)
        running = {job.id for jobs in active.values() for job in jobs}
        for job in self.sim.waiting(self.island):
            if job.id not in running:
                self._line(job).parked[key_of(job)] = self.sim.work(job)

    def joining(self) -> list[Job]:
        return [job for job in self.sim.waiting(self.island) if job.new]

    def _is_first(self, job: Job, others: list[Job]) -> bool:
        return all(self.sim.order_key(job) < self.sim.order_key(other) for other in others)

    def _lanes(self, jobs: list[Job]) -> dict[Lane, list[Job]]:
        lanes: dict[Lane, list[Job]] = {}
        for job in self.sim.in_order(jobs):
            lanes.setdefault(self.sim.lane(job), []).append(job)
        return lanes

    def _line(self, job: Job) -> Line:
        return self.fleet.lines[queue_name(job.queue.index)]

    def _enter_active(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._line(job).active[key_of(job)] = self.sim.work(job)

    def _open_all(self) -> None:
        for line in self.fleet.lines.values():
            line.unpark()
        self.looked_at |= set(self._lanes(self.sim.waiting(self.island)))

    # ------------------------------------------------------------------ cycles

    def one_cycle(self) -> bool:
        """Whether it changed anything."""
        cycle = run_cycle(self.fleet, self.sim.now)
        changed = self._changed(cycle)
        self.nodes.let_go()
        for victim in cycle.preempted:
            del self.fleet.admitted[victim.work.key]
            job = self.nodes.jobs[victim.work.key]
            if job.stage == IN_LANE:
                self._enter_active([job])
        if cycle.preempted:
            self.fleet.generation += 1
            self._open_all()
        return changed

    def _changed(self, cycle: Cycle) -> bool:
        for key, fared in cycle.fared.items():
            if fared in (ADMITTED, PENDING):
                return True
            if fared in (REFUSED_NO_FIT, REFUSED_NO_CANDIDATES):
                job = self.nodes.jobs[key]
                if key in self._line(job).parked or self.fleet.recall(self.sim.work(job)):
                    return True
        return False

    def drop_hopeless(self) -> bool:
        """First jobs that are not online and can never run leave; whether any did."""
        dropped = False
        for lane, jobs in self._lanes(self.sim.waiting(self.island)).items():
            first = jobs[0]
            if lane not in self.looked_at:
                continue
            refusal = self.refusal(first)
            if refusal in (NOT_ONLINE, POWER) or (refusal == LIMIT and self.sim.has_ended(first)):
                cause = self.sim.never(first)
            else:
                cause = 0
            if cause:
                self.sim.refuse_for_ever(first, cause)
                self._line(first).leave(self.sim.work(first))
                dropped = True
        return dropped

    # ------------------------------------------------------------------ refusals

    def refusal(self, job: Job) -> int:
        causes = [self._refusal_of(job, flavor) for flavor in self.sim.work(job).flavors or ()]
        return max((cause for cause in causes if cause), key=RANK.index, default=COHORT)

    def _refusal_of(self, job: Job, flavor: str) -> int:
        _, now = self.sim.moment()
        leaf, fr = now.leaves[queue_name(job.queue.index)], (flavor, GPU)
        if job.gpus > now.available(leaf, fr):
            quota = leaf.quota(fr)
            limit = quota.borrowing_limit
            over = limit is not None and now.usage(leaf, fr) + job.gpus > quota.nominal + limit
            return OWN_QUOTA if leaf.parent is None or over else COHORT
        if not self.sim.within_limits(job, int(flavor)):
            return LIMIT
        options = [option for option in job.options if option.cell.product == int(flavor)]
        causes = [self.sim.has_no_place_because(job, option, []) for option in options]
        return 0 if 0 in causes else max(causes, key=RANK.index)

    def tell_refusals(self) -> None:
        for lane, jobs in self._lanes(self.sim.waiting(self.island)).items():
            first = jobs[0]
            if lane in self.looked_at:
                self.sim.set_refusal(first, Refusal(self.refusal(first)))
                for job in jobs[1:]:
                    self._stand_behind(job, first)
                continue
            standing = next(job for job in jobs if not job.new)
            for job in jobs:
                if job.new:
                    self.sim.set_refusal(job, Refusal(standing.why))

    def _stand_behind(self, job: Job, first: Job) -> None:
        if self.sim.strict(job.queue.index):
            self.sim.put_behind(job, first)
        else:
            self.sim.set_refusal(job, Refusal(first.why))
