"""Why a training ended when it did: its phases, planned and simulated, and where the days between went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.base.wide import left
from gpufleet.results.blame import line
from gpufleet.results.campaigns import Campaign, campaigns_of, phase_of, whole
from gpufleet.results.explain_days import Days, days_of, summed
from gpufleet.results.moments import spoken_day

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.why-training/1"


@dataclass(frozen=True)
class TrainingExplanation:
    """Why a training ended when it did. `print` it, or take `to_json`."""

    name: str
    model: str
    tokens: float
    whole: Campaign
    phases: tuple[Campaign, ...]
    last: tuple[Row, ...]  # of each phase that began, the job that ended last, or is not done
    days: tuple[Days, ...]  # of these
    total: Days | None  # their sum; None: no phase began
    by: datetime | None  # when it is to be done, of one whose GPUs follow from that
    at: str  # file:line
    start: datetime
    zone: str

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why-training/1``."""
        return {
            "schema": SCHEMA,
            "training": self.name,
            "at": self.at or None,
            "model": self.model,
            "tokens": self.tokens,
            "planned": {"start_s": self.whole.planned_start_s, "end_s": self.whole.planned_end_s},
            "simulated": {"start_s": self.whole.start_s, "end_s": self.whole.end_s},
            "late_s": self.whole.late_s,
            "by": self.by.isoformat() if self.by else None,
            "phases": [
                {**each._asdict(), "products": list(each.products), "late_s": each.late_s}
                for each in self.phases
            ],
            "last_jobs": [
                {"job": row["job"], "phase": phase_of(row["name"]), "days": days.to_json()}
                for row, days in zip(self.last, self.days, strict=True)
            ],
            "days": self.total.to_json() if self.total else None,
            "time_zone": self.zone,
        }

    def text(self) -> str:
        """The explanation for people: the answer, where the days went, the phases."""
        days = self.total.lines() if self.total else []
        return "\n".join([self._answer(), self._what(), *self._by(), *days, "", *self._phases()])

    __str__ = text
    __repr__ = text

    def _answer(self) -> Said:
        told = {"name": self.name, "planned": self._day(self.whole.planned_end_s)}
        late_s = self.whole.late_s
        if self.whole.start_s is None:
            return say("{name} has not started by the end of the run; planned end: {planned}", **told)
        if late_s is None or self.whole.end_s is None:
            return say("{name} is not done by the end of the run; planned end: {planned}", **told)
        told |= {"end": self._day(self.whole.end_s), "time": format_duration(abs(late_s))}
        if not late_s:
            return say("{name} was done on {end}, as planned", **told)
        if late_s > 0:
            return say("{name} was done on {end}, {time} later than planned ({planned})", **told)
        return say("{name} was done on {end}, {time} earlier than planned ({planned})", **told)

    def _what(self) -> str:
        what = say(
            "{model}, {tokens:.3g} trillion tokens, {gpus:,} GPUs ({place})",
            model=self.model,
            tokens=self.tokens / 1e12,
            gpus=self.whole.gpus,
            place=self.at,
        )
        return f"  {what}"

    def _by(self) -> Iterator[str]:
        """Its date, and whether it kept it."""
        if self.by is None:
            return
        limit_s = int((self.by - self.start).total_seconds())
        told = {"day": self._day(limit_s), "gpus": self.whole.gpus}
        end_s = self.whole.end_s if self.whole.late_s is not None else None
        if end_s is None:
            says = say("wanted by {day}: {gpus:,} GPUs follow from that", **told)
        elif end_s > limit_s:
            time = format_duration(end_s - limit_s)
            says = say("wanted by {day}: {gpus:,} GPUs follow from that; {time} too late", time=time, **told)
        else:
            says = say("wanted by {day}: {gpus:,} GPUs follow from that; in time", **told)
        yield f"  {says}"

    def _phases(self) -> Iterator[str]:
        yield f"  {say('phases, each by its job that ended last')}"
        known = {phase_of(row["name"]): (row, days) for row, days in zip(self.last, self.days, strict=True)}
        for each in self.phases:
            phase = each.name.rpartition("/")[2]
            yield f"  {left(phase, 14)}  {self._phase(each, *known.get(phase, (None, None)))}"

    def _phase(self, each: Campaign, row: Row | None, days: Days | None) -> Said:
        if row is None or days is None:
            return say("not begun; planned {day}", day=self._day(each.planned_start_s))
        told = {
            "gpus": f"{each.jobs:,} x {each.gpus:,}",
            "time": format_duration(days.whole_s),
            "planned": format_duration(each.planned_end_s - each.planned_start_s),
            "wait": format_duration(days.queue_s + days.again_s),
            "job": row["job"],
        }
        if not days.done:
            return say("{gpus} GPUs, not done after {time} (planned {planned}; job {job})", **told)
        return say("{gpus} GPUs, {time} (planned {planned}), of these {wait} waiting; job {job}", **told)

    def _day(self, t_s: int) -> str:
        moment = (self.start + timedelta(seconds=t_s)).astimezone(ZoneInfo(self.zone))
        return spoken_day(f"{moment:%Y-%m-%d}")


def why_training(run: Run, name: str) -> TrainingExplanation:
    """Explain when a training was done.

    Phases follow each other without a gap: jobs of one are eligible when the last job of the one before has
    ended. So the time from when the first phase was eligible to the end is the sum, over the phases, of what
    the job that ended last took.
    """
    phases = tuple(each for each in campaigns_of(run) if each.workload == name)
    jobs = run.scan_jobs().filter(pl.col("workload") == name).collect(engine="streaming").to_dicts()
    last = tuple(_last(jobs, [each.name.rpartition("/")[2] for each in phases]))
    days = tuple(found for row in last if (found := days_of(run, row)) is not None)
    path = f"workloads.{name}"
    return TrainingExplanation(
        name=name,
        model=run.plan["trainings"][name]["model"],
        tokens=run.plan["workloads"][name]["tokens"],
        whole=whole(phases)[0],
        phases=phases,
        last=last,
        days=days,
        total=summed(days) if days else None,
        by=datetime.fromisoformat(by) if (by := run.plan["workloads"][name].get("by")) else None,
        at=line(run.plan, path).at,
        start=run.start,
        zone=run.time_zone,
    )


def _last(jobs: Sequence[Row], phases: Sequence[str]) -> Iterator[Row]:
    """Of each phase that began, the job that ended last; of one that is not done, the first that is not."""
    for phase in phases:
        mine = [row for row in jobs if phase_of(row["name"]) == phase and row["eligible_s"] is not None]
        if mine:
            open_ = [row for row in mine if row["end_s"] is None]
            yield open_[0] if open_ else max(mine, key=lambda row: row["end_s"])
