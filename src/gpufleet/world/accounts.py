"""Users, projects and arrays whose jobs may hold only so much at once, as accounts of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.plan.limits import Held, limits_on
from gpufleet.plan.workloads import CampaignWorkload, ProfileWorkload, TraceWorkload
from gpufleet.world.generate import Stream, draws, key_of
from gpufleet.world.layout import UNKNOWN_S, UNLIMITED, Accounts
from gpufleet.world.names import ARRAY, PROJECT, USER, Names

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.workloads import Workload


class Owner(NamedTuple):
    """Whose job it is, as far as limits ask. Generations of generated projects are numbered from 0."""

    user: str | None = None
    project: str | None = None
    generation: int = 0


class _Row(NamedTuple):
    kind: str
    name: str
    path: str  # of the limit in the plan
    limit: tuple[int, ...]  # per product
    total: int
    jobs: int
    end_s: int


class AccountBook:
    """Accounts, numbered as they are met; like ones are one."""

    def __init__(self, plan: Plan, names: Names) -> None:
        self.plan, self.names = plan, names
        self.found: dict[tuple[str, str], int] = {}  # by path and name
        self.rows: list[_Row] = []
        self._on: dict[tuple[str, str], list[Held]] = {}

    def limits_on(self, queue: str, who: str) -> list[Held]:
        """The limits of users or projects (`per_user`, `per_project`) in a queue."""
        if (queue, who) not in self._on:
            self._on[queue, who] = limits_on(self.plan, queue, who)
        return self._on[queue, who]

    def of(self, queue: str, workload: Workload, owner: Owner) -> tuple[int, ...]:
        """The accounts of a job, in the order in which they are asked."""
        found = []
        if owner.user is not None:
            for held in self.limits_on(queue, "per_user"):
                found.append(self._account(USER, owner.user, held, UNKNOWN_S))
        if owner.project is not None:
            name, end_s = owner.project, self._end_s(queue, workload, owner)
            if owner.generation:
                name = f"{name}.{owner.generation + 1}"
            for held in self.limits_on(queue, "per_project"):
                found.append(self._account(PROJECT, name, held, end_s if held.limit.for_s else UNKNOWN_S))
        if isinstance(workload, CampaignWorkload) and workload.at_once is not None:
            free = (UNLIMITED,) * len(self.names.products)
            path = f"workloads.{workload.name}.at_once"
            row = _Row(ARRAY, workload.name, path, free, UNLIMITED, workload.at_once, UNKNOWN_S)
            found.append(self._number(row))
        return tuple(found)

    def _account(self, kind: str, name: str, held: Held, end_s: int) -> int:
        gpus, jobs = held.limit.gpus, held.limit.jobs
        limit = tuple(gpus.get(product, UNLIMITED) for product in self.names.products)
        total = UNLIMITED if held.limit.total is None else held.limit.total
        jobs = UNLIMITED if jobs is None else jobs
        return self._number(_Row(kind, name, held.path, limit, total, jobs, end_s))

    def _number(self, row: _Row) -> int:
        number = self.found.setdefault((row.path, row.name), len(self.found))
        if number == len(self.rows):
            self.rows.append(row)
        return number

    def life_s(self, queue: str) -> int:
        """How long a project of a queue lasts, s; 0 = for ever."""
        lives = (held.limit.for_s for held in self.limits_on(queue, "per_project"))
        return min((life_s for life_s in lives if life_s), default=0)

    def _end_s(self, queue: str, workload: Workload, owner: Owner) -> int:
        """When a project ends. One that several workloads name begins with the first of them."""
        named = [w for w in self.plan.workloads.values() if w.project == owner.project]
        begins = min(map(self.begin_s, named)) if workload.project else self.begin_s(workload)
        return begins + (owner.generation + 1) * self.life_s(queue)

    def begin_s(self, workload: Workload) -> int:
        """When a workload begins, seconds from the plan's start."""
        begin = workload.from_ if isinstance(workload, TraceWorkload | ProfileWorkload) else workload.at
        return max(0, self.plan.seconds(begin)) if begin else 0

    def table(self, of_class: Sequence[tuple[int, ...]]) -> Accounts | None:
        """The accounts as arrays; None if there are none.

        Args: of_class: accounts of each job class.
        """
        if not self.rows:
            return None
        width = max(map(len, of_class))
        return Accounts(
            of_class=np.array([[*mine, *[-1] * width][:width] for mine in of_class], np.int64),
            limit=np.array([row.limit for row in self.rows], np.int64),
            total=np.array([row.total for row in self.rows], np.int64),
            jobs=np.array([row.jobs for row in self.rows], np.int64),
            end_s=np.array([row.end_s for row in self.rows], np.int64),
        )

    def named(self) -> Names:
        """The names with those of accounts."""
        columns: Any = zip(*((row.name, row.kind, row.path) for row in self.rows), strict=True)
        accounts, kinds, paths = tuple(columns) or ((), (), ())
        return replace(self.names, accounts=accounts, account_kinds=kinds, account_paths=paths)


class Owners(NamedTuple):
    """Whose the jobs of a generated workload are: for each generation of projects an owner per user, or per
    project where there are no users."""

    table: tuple[tuple[Owner, ...], ...]  # a single owner: it does not matter who
    begin_s: int = 0  # of the first generation
    life_s: int = 0  # of a generation, 0 = for ever


def owners_of(plan: Plan, book: AccountBook, workload: ProfileWorkload, stream: Stream) -> Owners:
    """The owners of a stream's jobs, as far as limits ask."""
    by_user = bool(book.limits_on(workload.queue, "per_user")) and stream.users > 0
    if not by_user and workload.projects is None:
        return Owners(((Owner(project=workload.project),),))
    n_owners = stream.users or workload.projects or 0
    users = [f"{workload.name}-{i + 1}" if by_user else None for i in range(n_owners)]
    if workload.projects is None:
        return Owners((tuple(Owner(user, workload.project) for user in users),))
    dealt = np.arange(n_owners)
    if stream.users:
        key = key_of(plan.seed, workload.name, "project")
        dealt = (draws(key, dealt, 0) % np.uint64(workload.projects)).astype(np.int64)
    names = [f"{workload.name}-project-{number + 1}" for number in dealt.tolist()]
    begin_s, life_s = book.begin_s(workload), book.life_s(workload.queue)
    lasting_s = max(plan.jobs_end_s - begin_s, 1)
    n = ceil(lasting_s / life_s) if life_s else 1
    table = tuple(
        tuple(Owner(user, name, generation) for user, name in zip(users, names, strict=True))
        for generation in range(n)
    )
    return Owners(table, begin_s, life_s)


def limits_of_jobs(plan: Plan, workload: ProfileWorkload, product: str) -> list[int]:
    """The most GPUs of a product that a job of a workload may have, by each limit that it counts in."""
    held = limits_on(plan, workload.queue, "per_user") if workload.jobs_like.users else []
    if workload.project is not None or workload.projects is not None:
        held += limits_on(plan, workload.queue, "per_project")
    return [most for each in held if (most := each.limit.most(product)) is not None]


def joined_queues(queue: Ints, accounts: Accounts | None) -> Iterator[tuple[int, int]]:
    """Pairs of queues whose jobs count in one account.

    Args: queue: of each class.
    """
    if accounts is None:
        return
    first: dict[int, int] = {}
    for column in accounts.of_class.T:
        for account, mine in sorted(set(zip(column.tolist(), queue.tolist(), strict=True))):
            if account >= 0 and first.setdefault(account, mine) != mine:
                yield first[account], mine
