"""Why a job waited, where queues share: the quotas of the moment, and who was pushed out for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.results import folder
from gpufleet.results.blame import Blame, line
from gpufleet.results.blame_sharing import retirement_path, rule_path
from gpufleet.results.columns import NODE_FAILED, NODE_KILLED, RULES
from gpufleet.results.holdings import holdings_at
from gpufleet.results.moments import spoken_day
from gpufleet.world.headroom import Headroom, nominal_at
from gpufleet.world.save import load_shared

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run
    from gpufleet.world.layout import SharedQuotas, World
    from gpufleet.world.names import Names


class CohortThen(NamedTuple):
    """A cohort at a moment, GPUs of one product."""

    name: str
    total: int  # own GPUs of it and of all in it
    used: int
    kept: dict[str, int]  # free GPUs that their owners do not lend, by owner


@dataclass(frozen=True)
class QuotaThen:
    """What a queue could use of one product at a moment, when all that happened then had happened."""

    product: str
    queue: str
    own: int
    used: int
    more: int  # may use so many more; below 0: uses too many
    most: int  # could use so many if nobody else used any
    borrow: int | None  # limit of borrowing
    cohorts: tuple[CohortThen, ...]  # that it is in, the nearest first

    def text(self) -> Said:
        """The numbers in one or more sentences."""
        parts = [
            say(
                "{queue} may use {more:,} more {product}: it holds {used:,}, and {own:,} are its own",
                queue=self.queue,
                more=max(0, self.more),
                product=self.product,
                used=self.used,
                own=self.own,
            )
        ]
        if self.borrow is not None:
            parts.append(say("it borrows {gpus:,} at most", gpus=self.borrow))
        parts += [self._cohort(cohort) for cohort in self.cohorts]
        return say("{parts:; }", parts=parts)

    def _cohort(self, cohort: CohortThen) -> Said:
        """Who has how much of a cohort: what is free, what is used beyond it, what is not lent."""
        free = cohort.total - cohort.used
        told = {"cohort": cohort.name, "total": cohort.total, "product": self.product}
        if free < 0:
            says = say(
                "cohort {cohort} holds {used:,} {product}, and {total:,} are its own",
                used=cohort.used,
                **told,
            )
        else:
            says = say("cohort {cohort} has {free:,} of {total:,} {product} free", free=free, **told)
        if not cohort.kept:
            return says
        kept = [
            say("{gpus:,} by the lending limit of {owner}", gpus=gpus, owner=owner)
            for owner, gpus in cohort.kept.items()
        ]
        return say("{says}, held back: {kept:, }", says=says, kept=kept)


class Move(NamedTuple):
    """One preemption, as one of the two jobs tells it."""

    t_s: int
    other: int | None  # number of the other job
    other_queue: str | None
    rule: str
    gpus: int
    lost_gpu_s: int
    line: Blame  # what lets the rule be


def quotas_then(run: Run, queue: str, products: Sequence[str], t_s: int) -> tuple[QuotaThen, ...]:
    """What a queue could use at a second, by product; nothing where quotas are hard."""
    if not (run.path / folder.QUOTAS).exists():
        return ()
    shared, names = load_shared(run.path / folder.WORLD)
    if shared is None:
        return ()
    return quotas_of(shared, names, holdings_at(run, t_s), queue, products, t_s)


def quotas_of(
    shared: SharedQuotas,
    names: Names,
    held: Mapping[tuple[str, str], int],
    queue: str,
    products: Sequence[str],
    t_s: int,
) -> tuple[QuotaThen, ...]:
    """What a queue could use while queues hold so many GPUs of each product, by the quotas of a second."""
    nominal = nominal_at(shared, t_s)
    holders = (*names.cohorts, *names.queues)
    row = len(names.cohorts) + names.queues.index(queue)
    found = []
    for product in products:
        code = names.products.index(product)
        gpus = {len(names.cohorts) + at: held.get((q, product), 0) for at, q in enumerate(names.queues)}
        room = Headroom(shared.tree, code, gpus, nominal)
        cohorts = tuple(_cohort(room, cohort, row, holders) for cohort in room.above(row))
        numbers = room.own[row], room.held[row], room.available(row), room.potential(row)
        found.append(QuotaThen(product, queue, *numbers, room.borrow_limit(row), cohorts))
    return tuple(found)


def quotas_now(
    world: World, names: Names, cls: int, running: Iterable[tuple[int, int, int]], t_s: int
) -> tuple[QuotaThen, ...]:
    """What the queue of a class of jobs could use of each product that it accepts; nothing with hard quotas.

    Args: running: queue, product and GPUs of what runs.
    """
    if world.shared is None:
        return ()
    held: dict[tuple[str, str], int] = {}
    for queue, product, gpus in running:
        key = names.queues[queue], names.products[product]
        held[key] = held.get(key, 0) + gpus
    first = int(world.classes.first_option[cls])
    cells = world.options.cell[first : first + int(world.classes.n_options[cls])]
    products = dict.fromkeys(names.products[code] for code in world.cells.product[cells].tolist())
    mine = names.queues[int(world.classes.queue[cls])]
    return quotas_of(world.shared, names, held, mine, list(products), t_s)


def _cohort(room: Headroom, cohort: int, row: int, holders: Sequence[str]) -> CohortThen:
    """A cohort as a queue in it sees it: what it may not have of the others is held back."""
    mine = {row, *room.above(row)}
    kept = {holders[at]: room.held_back(at) for at in room.below(cohort) if at not in mine}
    return CohortThen(
        holders[cohort],
        room.total(cohort),
        room.in_use(cohort),
        {name: gpus for name, gpus in kept.items() if gpus},
    )


def moves_of(run: Run, job: int) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    """(preemptions of a job, preemptions for it), in their order."""
    rows = run.preemptions.filter((pl.col("victim") == job) | (pl.col("preemptor") == job))
    lost, took = [], []
    for row in rows.iter_rows(named=True):
        about = row["rule"], row["gpus"], row["lost_gpu_s"], line(run.plan, _path(run, row))
        if row["victim"] == job:
            lost.append(Move(row["t_s"], row["preemptor"], row["by_queue"], *about))
        else:
            took.append(Move(row["t_s"], row["victim"], row["queue"], *about))
    return tuple(lost), tuple(took)


def _path(run: Run, row: Row) -> str:
    """The path of the plan behind a row of preemptions.parquet."""
    if row["rule"] == NODE_FAILED:
        return "failures"
    if row["rule"] != NODE_KILLED:
        return rule_path(run.plan, row["rule"], row["by_queue"])
    tenant = run.plan["queues"][row["queue"]]["tenant"]
    return retirement_path(run.plan, row["product"], tenant, run.start + timedelta(seconds=row["t_s"]))


def lost_text(move: Move, at: str) -> Said:
    """A preemption as the victim tells it; `at`: local time."""
    told = {
        "at": spoken_day(at),
        "gpus": move.gpus,
        "rule": tell(RULES[move.rule]),
        "word": move.rule,
        "line": move.line.says(),
        "hours": move.lost_gpu_s / 3600,
    }
    if move.other is None:
        return say(
            "{at}: its {gpus:,} GPUs were taken: {rule} ({word}; {line}); {hours:.3g} GPU-hours of work lost",
            **told,
        )
    return say(
        "{at}: its {gpus:,} GPUs went to job {job} of {queue}: {rule} ({word}; {line}); "
        "{hours:.3g} GPU-hours of work lost",
        job=move.other,
        queue=move.other_queue,
        **told,
    )


def took_text(move: Move, at: str) -> Said:
    """A preemption as the preemptor tells it; `at`: local time."""
    return say(
        "{at}: it took {gpus:,} GPUs from job {job} of {queue}: {rule} ({word}; {line}); "
        "that one lost {hours:.3g} GPU-hours of work",
        at=spoken_day(at),
        gpus=move.gpus,
        job=move.other,
        queue=move.other_queue,
        rule=tell(RULES[move.rule]),
        word=move.rule,
        line=move.line.says(),
        hours=move.lost_gpu_s / 3600,
    )


def move_json(move: Move) -> dict[str, Any]:
    """A preemption as JSON values."""
    at = move.line.at or None
    return {**move._asdict(), "words": RULES[move.rule], "line": {"path": move.line.path, "at": at}}


def quota_json(then: QuotaThen) -> dict[str, Any]:
    """The numbers of a moment as JSON values."""
    cohorts = [cohort._asdict() for cohort in then.cohorts]
    return {**asdict(then), "cohorts": cohorts}
