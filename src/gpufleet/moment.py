"""What a plan or a run would answer to one more job at a moment: may it start, where, who gives way.

Everything up to that moment is simulated with the job in it, by the engine that runs plans; so the answer is
what the run would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.arrays import Ints
from gpufleet.base.say import Said, say, tell
from gpufleet.crowd import Crowd
from gpufleet.plan.asked_job import AskedJob, Known
from gpufleet.plan.limits import limits_in_lock, limits_on
from gpufleet.plan.power import kinds_of
from gpufleet.results import folder
from gpufleet.results.columns import MEANINGS, RULES, WORDS
from gpufleet.results.explain_power import kinds_in
from gpufleet.results.explain_sharing import QuotaThen, quota_json, quotas_now
from gpufleet.results.limits_now import LimitNow, limits_now
from gpufleet.results.moments import when
from gpufleet.results.power_now import Grid, PowerNow, power_now
from gpufleet.results.rooms_now import RoomThen, rooms_now
from gpufleet.trial import faults_told, try_own
from gpufleet.world.layout import REFUSALS, REFUSED, RUNNING

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.results.run import Run
    from gpufleet.world.arrivals import Arrivals
    from gpufleet.world.layout import World
    from gpufleet.world.names import Names

SCHEMA = "gpufleet.admit-job/1"
Called = Callable[[list[int]], dict[int, str]]


@dataclass(frozen=True)
class Scene:
    """A world with all that comes, and what its names are."""

    world: World
    arrivals: Arrivals
    names: Names
    known: Known
    called: Called  # what jobs are called, by number
    grid: Grid  # of its sites
    kinds: tuple[str, ...]  # of work; empty without a section `power`

    @classmethod
    def of_plan(cls, plan: Plan) -> Scene:
        """The scene of a plan; its traces are read. Raises: GpufleetError T0xx, P126, P127."""
        from gpufleet.world.build import build

        if plan.policy.own_order or plan.policy.own_placement:
            try_own(plan)
        built = build(plan)
        known = Known(
            ZoneInfo(plan.time_zone), plan.start, plan.jobs_end, list(plan.queues), built.names.products,
            plan.priorities, plan.shares, partial(limits_on, plan),
            tuple(kinds_of(plan)) if plan.power is not None else (),
        )  # fmt: skip

        def called(numbers: list[int]) -> dict[int, str]:
            found, first = {}, 0
            for batch in built.demand.batches():
                last = first + len(batch.jobs.gpus)
                for number in (n for n in numbers if first <= n < last):
                    row = batch.table.row(number - first, named=True)
                    found[number] = _called(built.names.workloads[row["workload"]], row["name"], number)
                first = last
                if first > max(numbers, default=-1):
                    break
            return found

        grid = {name: (site.pue, site.overhead_w) for name, site in plan.sites.items()}
        kinds = tuple(kinds_of(plan)) if plan.power is not None else ()
        return cls(built.world, built.demand.arrivals, built.names, known, called, grid, kinds)

    @classmethod
    def of_run(cls, run: Run) -> Scene:
        """The scene of a run, from its folder alone."""
        import polars as pl

        from gpufleet.world.save import load_world

        world, arrivals, names = load_world(run.path / folder.WORLD)
        end = run.start + timedelta(seconds=run.end_s)
        priorities = run.plan.get("priorities", {})
        known = Known(
            ZoneInfo(run.time_zone), run.start, end, names.queues, names.products, priorities,
            world.shared is not None, partial(limits_in_lock, run.plan), kinds_in(run.plan),
        )  # fmt: skip

        def called(numbers: list[int]) -> dict[int, str]:
            rows = run.scan_jobs().filter(pl.col("job").is_in(numbers)).select("job", "workload", "name")
            found = rows.collect(engine="streaming").iter_rows()
            return {number: _called(workload, name, number) for number, workload, name in found}

        grid = {name: (site["pue"], site["overhead_w"]) for name, site in run.plan["sites"].items()}
        return cls(world, arrivals, names, known, called, grid, kinds_in(run.plan))

    def local(self, t_s: int) -> datetime:
        """Local time of a second."""
        return (self.known.start + timedelta(seconds=t_s)).astimezone(self.known.zone)


def _called(workload: str, name: str | None, number: int) -> str:
    return f"{workload}/{name or f'#{number}'}"


class GivesWay(NamedTuple):
    """A running job that would be pushed out."""

    job: int
    called: str
    queue: str
    gpus: int
    rule: str  # Kueue's word
    lost_gpu_h: float
    cell: int  # where it ran

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        told = {name: value for name, value in self._asdict().items() if name != "cell"}
        return {**told, "words": tell(RULES[self.rule])}


@dataclass(frozen=True)
class JobAnswer:
    """What would become of a job. `print` it, or take `to_json`."""

    job: AskedJob
    at: datetime  # local
    starts: bool  # all of it
    started: int  # how many of its tasks start
    ever: bool
    refusal: str | None  # of REFUSALS, if it does not start
    site: str | None  # of the first that starts
    product: str | None
    victims: tuple[GivesWay, ...]
    limits: tuple[LimitNow, ...]  # of its user, project or array, as it comes
    quotas: tuple[QuotaThen, ...]  # when it comes, before anything is decided
    rooms: tuple[RoomThen, ...]  # with those who would give way where they are
    power: tuple[PowerNow, ...] = ()  # of its sites, with it where it starts

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values, schema ``gpufleet.admit-job/1``."""
        job = self.job
        return {
            "schema": SCHEMA,
            "at": self.at.isoformat(),
            "job": {
                "queue": job.queue,
                "gpus": job.gpus,
                "priority": job.priority,
                "tasks": job.tasks,
                "user": job.user,
                "project": job.project,
            },
            "starts": self.starts,
            "started": self.started,
            "ever": self.ever,
            "refusal": self.refusal,
            "words": None if self.refusal is None else tell(WORDS[self.refusal]),
            "site": self.site,
            "product": self.product,
            "preempts": [each.to_json() for each in self.victims],
            "quotas": [quota_json(each) for each in self.quotas],
            "limits": [each._asdict() for each in self.limits],
            "rooms": [each._asdict() for each in self.rooms],
            "power": [each._asdict() for each in self.power],
        }

    def text(self) -> str:
        """The answer for people: yes, not now, or never; why; who gives way; the numbers."""
        lines: list[str] = [self._answer()]
        lines += [f"  {self._victim(each)}" for each in self.victims]
        if not self.starts:
            lines += [f"  {each.text(self.job.queue)}" for each in self.rooms]
        if self.refusal == "power":
            lines += [f"  {each.text()}" for each in self.power]
        lines += [f"  {each.text()}" for each in self.limits]
        return "\n".join([*lines, *(f"  {each.text()}" for each in self.quotas)])

    __str__ = text

    def _answer(self) -> Said:
        told = {"gpus": self.job.gpus, "queue": self.job.queue, "at": when(self.at.replace(tzinfo=None))}
        if self.job.tasks > 1 and self.started:
            return self._answer_of_array(told)
        if self.starts:
            place = {"product": self.product, "site": self.site}
            if not self.victims:
                return say("yes: {gpus:,} GPUs of {queue} start {at} on {product} at {site}", **told, **place)
            return say(
                "yes: {gpus:,} GPUs of {queue} start {at} on {product} at {site}; {n:,} job gives way",
                "yes: {gpus:,} GPUs of {queue} start {at} on {product} at {site}; {n:,} jobs give way",
                n=len(self.victims),
                **told,
                **place,
            )
        why = MEANINGS[self.refusal or "no_free"]
        if self.ever:
            return say("not now: {gpus:,} GPUs of {queue} wait at {at}: {why}", **told, why=tell(why))
        return say("never: {gpus:,} GPUs of {queue} can never run: {why}", **told, why=tell(why))

    def _answer_of_array(self, told: dict[str, Any]) -> Said:
        """Some of an array start."""
        told = {**told, "started": self.started, "tasks": self.job.tasks}
        if self.starts:
            return say("yes: all {tasks:,} jobs of {gpus:,} GPUs of {queue} start {at}", **told)
        return say(
            "in part: {started:,} of {tasks:,} jobs of {gpus:,} GPUs of {queue} start {at}; the others wait: "
            "{why}",
            why=tell(MEANINGS[self.refusal or "no_free"]),
            **told,
        )

    def _victim(self, each: GivesWay) -> Said:
        return say(
            "job {number} ({name}) of {queue} gives {gpus:,} GPUs: {rule} ({word}); "
            "{hours:.3g} GPU-hours of work lost",
            number=each.job,
            name=each.called,
            queue=each.queue,
            gpus=each.gpus,
            rule=tell(RULES[each.rule]),
            word=each.rule,
            hours=each.lost_gpu_h,
        )


def ask(scene: Scene, job: AskedJob, t_s: int) -> JobAnswer:
    """What would become of a job, or an array, that comes at a second, after all others that come then."""
    from gpufleet.engine import run as engine
    from gpufleet.world.joined import with_class

    kind = scene.kinds.index(job.power) if job.power is not None else 0
    world, cls, accounts = with_class(scene.world, scene.names, job, scene.known.limits_of(job), kind)
    clock = world.clock._replace(end_s=t_s + 1, finish=0)
    crowd = Crowd(job, cls, t_s)
    with faults_told(scene.names.queues):
        summary = engine.run(world._replace(clock=clock), crowd.batches(scene.arrivals), crowd.take)
    victims = _victims(scene, world, crowd, summary.preemptions)
    running = [each for each in crowd.mine.values() if each["state"] == RUNNING]
    others = [each for each in crowd.mine.values() if each["state"] != RUNNING]
    cell, running_now = running[0]["cell"] if running else None, crowd.holdings(world, crowd.number)
    return JobAnswer(
        job=job,
        at=scene.local(t_s),
        starts=not others,
        started=len(running),
        ever=not others or bool(running) or _ever(world, cls, job, others[0]),
        refusal=REFUSALS[others[0]["last_refusal"]] if others else None,
        site=None if cell is None else scene.names.sites[world.cells.site[cell]],
        product=None if cell is None else scene.names.products[world.cells.product[cell]],
        victims=victims,
        limits=limits_now(world, scene.names, cls, accounts, running_now, t_s),
        quotas=_quotas(scene, world, cls, crowd, victims),
        rooms=rooms_now(world, scene.names, cls, running_now, t_s),
        power=power_now(world, scene.names, cls, job.gpus, summary.power, scene.grid),
    )


def _victims(scene: Scene, world: World, crowd: Crowd, preemptions: Ints) -> tuple[GivesWay, ...]:
    """Who gave way to the job."""
    from gpufleet.engine.sharing.state import REASONS

    events = preemptions[preemptions[:, 2] >= crowd.number]
    called = scene.called(events[:, 1].tolist())
    return tuple(
        GivesWay(
            job=victim,
            called=called[victim],
            queue=scene.names.queues[crowd.queue_of(world, victim)],
            gpus=gpus,
            rule=REASONS[why],
            lost_gpu_h=lost / 3600,
            cell=cell,
        )
        for _, victim, _, why, gpus, lost, _, cell in events.tolist()
    )


def _ever(world: World, cls: int, job: AskedJob, mine: dict[str, int]) -> bool:
    """Whether the job could ever run: what is refused for ever only because GPUs come later could."""
    from gpufleet.world.layout import LIMIT, TOPOLOGY
    from gpufleet.world.reach import most_for_class

    if mine["state"] == REFUSED and mine["last_refusal"] in (TOPOLOGY, LIMIT):
        return False
    return bool(most_for_class(world)[cls] >= job.gpus)


def _quotas(
    scene: Scene, world: World, cls: int, crowd: Crowd, victims: tuple[GivesWay, ...]
) -> tuple[QuotaThen, ...]:
    """What the queue could use before the job: its own GPUs are not counted, those of its victims are."""
    queues = scene.names.queues
    back = [(queues.index(each.queue), int(world.cells.product[each.cell]), each.gpus) for each in victims]
    running = crowd.holdings(world, crowd.number)
    now = [(int(world.classes.queue[each.cls]), each.product, each.gpus) for each in running]
    return quotas_now(world, scene.names, cls, [*now, *back], crowd.t_s)


def scene_of(path: Path) -> Scene:
    """The scene of a run folder, or else of a plan.

    Raises: GpufleetError of either.
    """
    from gpufleet.plan.load import load_plan
    from gpufleet.results.run import Run

    if (path / folder.MARK).exists():
        return Scene.of_run(Run.load(path))
    return Scene.of_plan(load_plan(path))
