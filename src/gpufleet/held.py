"""What held a job of a run at a moment: the run is simulated again, up to there.

The tables of a run sum how long each job waited for what, not when. The engine says it exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.moment import Scene
from gpufleet.plan.asked_job import read_moment
from gpufleet.results.columns import MEANINGS
from gpufleet.results.explain import STATE_WORDS
from gpufleet.results.find import called, find_job, row_of
from gpufleet.results.moments import when
from gpufleet.results.power_now import PowerNow, power_now
from gpufleet.world.layout import REFUSALS, RUNNING, STATES, WAITING, Jobs, Outcomes

if TYPE_CHECKING:
    from gpufleet.results.run import Run
    from gpufleet.world.arrivals import Arrivals


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
    power: tuple[PowerNow, ...] = ()  # of its sites, where it waits for power

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values, schema ``gpufleet.held/1``."""
        power = [each._asdict() for each in self.power]
        told = {**self.__dict__, "power": power}
        return {**told, "at": self.at.isoformat(), "schema": "gpufleet.held/1"}

    def text(self) -> str:
        """The answer for people."""
        told = {"number": self.job, "name": self.called, "at": when(self.at.replace(tzinfo=None))}
        if self.state == "to come":
            return say("job {number} ({name}) has not come yet at {at}", **told)
        if self.state == "running":
            place = {"product": self.product, "site": self.site}
            return say("job {number} ({name}) runs at {at} on {product} at {site}", **told, **place)
        if self.state == "waiting":
            return "\n".join([self._waits(told), *self._behind()])
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

    def _behind(self) -> Iterator[Said]:
        if self.behind is not None and self.refusal in ("order", "reservation"):
            yield say("  it stands behind job {number}", number=self.behind)
        yield from (say("  {text}", text=each.text()) for each in self.power)


def held_at(run: Run, job: int | str, moment: str) -> Held:
    """What held a job at a moment of its run, such as "2026-01-06 10:00" in the plan's time zone.

    Raises: GpufleetError R006 or R007 as `Run.why`; P012 or P022 for what is no moment of the plan.
    """
    from gpufleet.engine import run as engine

    row = find_job(run, job)
    scene = Scene.of_run(run)
    t_s = read_moment(moment, scene.known)
    clock = scene.world.clock._replace(end_s=t_s + 1, finish=0)
    found = _Found(row["job"])
    summary = engine.run(scene.world._replace(clock=clock), _until(scene.arrivals, t_s), found.take)
    held = _told(run, scene, found, t_s)
    if held.refusal != "power":
        return held
    world, cls = scene.world, _class_of(scene.arrivals, found.job)
    return replace(held, power=power_now(world, scene.names, cls, row["gpus"], summary.power, scene.grid))


def _class_of(arrivals: Arrivals, job: int) -> int:
    """The class of a job."""
    first = 0
    for batch in arrivals.batches():
        if job < first + len(batch.gpus):
            return int(batch.cls[job - first])
        first += len(batch.gpus)
    raise AssertionError(job)


def _until(arrivals: Arrivals, t_s: int) -> Iterator[Jobs]:
    """The jobs up to a second; later ones are not made."""
    for batch in arrivals.batches():
        kept = int(np.searchsorted(batch.submit_s, t_s, side="right"))
        yield Jobs._make(column[:kept] for column in batch)
        if kept < len(batch.gpus):
            return


class _Found:
    """One job among the outcomes."""

    def __init__(self, job: int) -> None:
        self.job = job
        self.row: dict[str, int] = {}

    def take(self, outcomes: Outcomes) -> None:
        names = ("state", "cell", "last_refusal", "behind", "wait_s")
        for at in np.flatnonzero(outcomes.id == self.job).tolist():
            self.row = {name: int(getattr(outcomes, name)[at]) for name in names}


def _told(run: Run, scene: Scene, found: _Found, t_s: int) -> Held:
    row, world = found.row, scene.world
    name = called(row_of(run, found.job))
    if not row:
        return Held(found.job, name, scene.local(t_s), "to come", None, None, 0, None, None)
    runs, refused = row["state"] == RUNNING, STATES[row["state"]] in ("waiting", "refused")
    return Held(
        job=found.job,
        called=name,
        at=scene.local(t_s),
        state=STATES[row["state"]],
        refusal=REFUSALS[row["last_refusal"]] if refused else None,
        behind=row["behind"] if row["state"] == WAITING and row["behind"] >= 0 else None,
        waited_s=row["wait_s"] - (row["state"] == WAITING),  # the second itself is not over
        product=scene.names.products[world.cells.product[row["cell"]]] if runs else None,
        site=scene.names.sites[world.cells.site[row["cell"]]] if runs else None,
    )
