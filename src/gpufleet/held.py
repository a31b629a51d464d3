"""What held a job of a run at a moment: the run is simulated again, up to there.

The tables of a run sum how long each job waited for what, not when. The engine says it exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.crowd import Past
from gpufleet.moment import Scene
from gpufleet.plan.asked_job import read_moment
from gpufleet.results.columns import MEANINGS
from gpufleet.results.explain import MOST_HOPS, STATE_WORDS
from gpufleet.results.explain_sharing import QuotaThen, quota_json, quotas_now
from gpufleet.results.find import called, find_job, row_of
from gpufleet.results.limits_now import LimitNow, limits_now
from gpufleet.results.moments import when
from gpufleet.results.power_now import PowerNow, power_now
from gpufleet.results.rooms_now import RoomThen, rooms_now
from gpufleet.trial import faults_told
from gpufleet.world.layout import REFUSALS, RUNNING, STATES, Outcomes

if TYPE_CHECKING:
    from gpufleet.results.run import Run

_BEHIND = ("order", "reservation")
"""Refusals of jobs that stand behind others."""


@dataclass(frozen=True)
class Numbers:
    """What a job that waits could have had at a moment."""

    job: int
    gpus: int  # that it wants
    queue: str
    rooms: tuple[RoomThen, ...]
    limits: tuple[LimitNow, ...]  # of its user, project or array
    quotas: tuple[QuotaThen, ...]  # where queues share
    power: tuple[PowerNow, ...]  # of the sites with a cap where it may run

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "job": self.job,
            "gpus": self.gpus,
            "queue": self.queue,
            "rooms": [each._asdict() for each in self.rooms],
            "limits": [each._asdict() for each in self.limits],
            "quotas": [quota_json(each) for each in self.quotas],
            "power": [each._asdict() for each in self.power],
        }

    def lines(self, refusal: str) -> Iterator[Said]:
        """The numbers in lines; of the limits those that have no room, if a limit refuses the job."""
        yield from (each.text(self.queue) for each in self.rooms)
        if refusal == "limit":
            yield from (each.text() for each in self.limits if each.refuses(self.gpus))
        if refusal == "power":
            yield from (each.text() for each in self.power)
        yield from (each.text() for each in self.quotas)


@dataclass(frozen=True)
class Root:
    """The job whose own refusal holds another one: the last of those that it stands behind."""

    job: int
    called: str
    refusal: str  # of REFUSALS


@dataclass(frozen=True)
class Held:
    """How a job stood at a moment. `print` it, or take `to_json`."""

    job: int
    called: str
    at: datetime  # local
    state: str  # of STATES, or "to come"
    refusal: str | None  # of REFUSALS, of one that waits or never runs
    behind: int | None  # job that it stood behind
    waited_s: int  # by then, over all attempts
    product: str | None  # of one that runs
    site: str | None
    root: Root | None = None  # who is refused, if it stands behind others
    numbers: Numbers | None = None  # of the moment, of the one that is refused

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values, schema ``gpufleet.held/1``."""
        return {
            **self.__dict__,
            "at": self.at.isoformat(),
            "root": self.root and self.root.__dict__,
            "numbers": self.numbers and self.numbers.to_json(),
            "schema": "gpufleet.held/1",
        }

    def text(self) -> str:
        """The answer for people."""
        told = {"number": self.job, "name": self.called, "at": when(self.at.replace(tzinfo=None))}
        if self.state == "to come":
            return say("job {number} ({name}) has not come yet at {at}", **told)
        if self.state == "running":
            place = {"product": self.product, "site": self.site}
            return say("job {number} ({name}) runs at {at} on {product} at {site}", **told, **place)
        if self.state == "waiting":
            return "\n".join([self._waits(told), *(f"  {each}" for each in self._numbers())])
        if self.state == "refused":
            why = tell(MEANINGS[self.refusal or "not_online"])
            return say("job {number} ({name}) can never run: {why}", **told, why=why)
        return say(
            "job {number} ({name}) has ended by {at}: {state}", **told, state=tell(STATE_WORDS[self.state])
        )

    __str__ = text

    def _waits(self, told: dict[str, Any]) -> Said:
        why = tell(MEANINGS[self.refusal or "between_passes"])
        if not self.waited_s:
            return say("job {number} ({name}) waits at {at}: {why}", **told, why=why)
        time = format_duration(self.waited_s)
        return say("job {number} ({name}) waits at {at}, {time} by then: {why}", **told, time=time, why=why)

    def _numbers(self) -> Iterator[Said]:
        """Whom it stands behind, and the numbers of the moment."""
        if self.behind is not None and self.refusal in _BEHIND:
            yield say("it stands behind job {number}", number=self.behind)
        if self.numbers is None:
            return
        if self.root is not None:
            yield say(
                "job {number} ({name}), which wants {gpus:,} GPUs, is refused: {why}",
                number=self.root.job,
                name=self.root.called,
                gpus=self.numbers.gpus,
                why=tell(MEANINGS[self.root.refusal]),
            )
        yield from self.numbers.lines(self.root.refusal if self.root else self.refusal or "")


def held_at(run: Run, job: int | str, moment: str) -> Held:
    """What held a job at a moment of its run, such as "2026-01-06 10:00" in the plan's time zone, with the
    numbers of the moment if it waited.

    Raises: GpufleetError R006 or R007 as `Run.why`; P012 or P022 for what is no moment of the plan.
    """
    from gpufleet.engine import run as engine

    row = find_job(run, job)
    scene = Scene.of_run(run)
    t_s = read_moment(moment, scene.known)
    clock = scene.world.clock._replace(end_s=t_s + 1, finish=0)
    past = _Past(row["job"], t_s)
    with faults_told(scene.names.queues):
        summary = engine.run(scene.world._replace(clock=clock), past.batches(scene.arrivals), past.take)
    return _told(run, scene, past, summary.power)


class _Past(Past):
    """All jobs, and what became of one of them."""

    def __init__(self, job: int, t_s: int) -> None:
        super().__init__(t_s)
        self.job = job
        self.row: dict[str, int] = {}

    def take(self, outcomes: Outcomes) -> None:
        super().take(outcomes)
        names = ("state", "cell", "last_refusal", "behind", "wait_s")
        for at in np.flatnonzero(outcomes.id == self.job).tolist():
            self.row = {name: int(getattr(outcomes, name)[at]) for name in names}

    def root(self) -> int:
        """The job whose refusal is behind that of the job: itself, or one that it stands behind."""
        job, seen = self.job, {self.job}
        while len(seen) < MOST_HOPS and REFUSALS[self.waiting[job].refusal] in _BEHIND:
            behind = self.waiting[job].behind
            if behind in seen or behind not in self.waiting:
                break
            job = behind
            seen.add(job)
        return job


def _told(run: Run, scene: Scene, past: _Past, power: Ints) -> Held:
    row, world = past.row, scene.world
    name, at = called(row_of(run, past.job)), scene.local(past.t_s)
    if not row:
        return Held(past.job, name, at, "to come", None, None, 0, None, None)
    state, runs = STATES[row["state"]], row["state"] == RUNNING
    waits = state == "waiting"
    root = past.root() if waits else past.job
    return Held(
        job=past.job,
        called=name,
        at=at,
        state=state,
        refusal=REFUSALS[row["last_refusal"]] if state in ("waiting", "refused") else None,
        behind=row["behind"] if waits and row["behind"] >= 0 else None,
        waited_s=row["wait_s"] - waits,  # the second itself is not over
        product=scene.names.products[world.cells.product[row["cell"]]] if runs else None,
        site=scene.names.sites[world.cells.site[row["cell"]]] if runs else None,
        root=_root(run, past, root) if root != past.job else None,
        numbers=_numbers(scene, past, root, power) if waits else None,
    )


def _root(run: Run, past: _Past, job: int) -> Root:
    return Root(job, called(row_of(run, job)), REFUSALS[past.waiting[job].refusal])


def _numbers(scene: Scene, past: _Past, job: int, power: Ints) -> Numbers:
    """What a job that waits could have, when all that happened at the moment has happened."""
    world, names, t_s = scene.world, scene.names, past.t_s
    cls, running = past.cls_of(job), past.holdings(scene.world)
    now = [(int(world.classes.queue[each.cls]), each.product, each.gpus) for each in running]
    accounts = tuple(zip(names.account_kinds, names.accounts, names.account_paths, strict=True))
    return Numbers(
        job=job,
        gpus=past.gpus_of(job),
        queue=names.queues[past.queue_of(world, job)],
        rooms=rooms_now(world, names, cls, running, t_s),
        limits=limits_now(world, names, cls, accounts, running, t_s),
        quotas=quotas_now(world, names, cls, now, t_s),
        power=power_now(world, names, cls, past.gpus_of(job), power, scene.grid),
    )
