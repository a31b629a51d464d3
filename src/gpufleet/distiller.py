"""What `gpufleet profile` does: a job log becomes a profile in a file, and a few lines say what was seen."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from gpufleet.base.say import say

if TYPE_CHECKING:
    from gpufleet.base.errors import Finding
    from gpufleet.catalog.profile import Profile
    from gpufleet.traces.trace import Trace

_SHOWN: Final = 8  # sizes that are printed


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; None where nothing was."""

    trace: Path
    format: str = "auto"
    name: str | None = None
    title: str | None = None
    source: str | None = None
    license: str | None = None
    from_: datetime | None = None  # without a zone: a date of the trace
    to: datetime | None = None
    time_zone: str | None = None

    @property
    def called(self) -> str:
        """The profile's name: as asked, else the trace's without its endings."""
        return self.name or self.trace.name.split(".")[0] or "profile"

    def command(self) -> str:
        """The command line that asks for this.

        >>> Wish(Path("/logs/jobs.csv"), name="lab").command()
        'gpufleet profile jobs.csv --name lab'
        """
        given = {
            "--format": None if self.format == "auto" else self.format,
            "--name": self.name,
            "--from": self.from_ and f"{self.from_:%Y-%m-%d}",
            "--to": self.to and f"{self.to:%Y-%m-%d}",
            "--time-zone": self.time_zone,
        }
        words = [word for option, value in given.items() if value for word in (option, value)]
        return shlex.join(["gpufleet", "profile", self.trace.name, *words])


@dataclass(frozen=True)
class Distilled:
    """A profile and what there is to say about how it was made."""

    profile: Profile
    trace: Trace
    findings: tuple[Finding, ...]

    def text(self) -> str:
        """A few lines for people: jobs, sizes, users, limits, ends."""
        return "\n".join(_seen(self.profile))

    def to_json(self) -> dict[str, Any]:
        """The main numbers as JSON values."""
        made = self.profile
        return {
            "name": made.name,
            "jobs": made.jobs,
            "weeks": made.weeks,
            "mean_gpus": made.mean_gpus,
            "mean_run_s": made.mean_run_s,
            "mean_gpu_s": made.mean_gpu_s,
            "gpu_hour_share": {str(gpus): share for gpus, share in _gpu_hour_shares(made).items()},
            "dropped": dict(self.trace.dropped),
            "notes": list(self.trace.notes),
        }


def distil_trace(wish: Wish) -> Distilled:
    """Read a trace and distil it.

    Raises: GpufleetError T001 to T012 (the trace cannot be used), T080 (too few jobs).
    """
    from gpufleet.traces.distil import About, distil
    from gpufleet.traces.read import read_trace

    zone = wish.time_zone or "UTC"
    trace = read_trace(
        wish.trace, wish.format, time_zone=zone, from_=_in_zone(wish.from_, zone), to=_in_zone(wish.to, zone)
    )
    about = About(
        name=wish.called,
        title=wish.title or str(say("distilled from {file}", file=wish.trace.name)),
        source=wish.source or wish.trace.name,
        license=wish.license or str(say("not stated")),
        made_by=str(say("distilled by `{command}`", command=wish.command())),
    )
    profile, found = distil(trace, about, wish.time_zone)
    return Distilled(profile, trace, (*trace.findings, *found))


def _in_zone(day: datetime | None, zone: str) -> datetime | None:
    """Midnight of a date. A zone that does not exist is found by the reader of the trace."""
    try:
        return None if day is None else day.replace(tzinfo=ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        return None


def _seen(made: Profile) -> list[str]:
    """What a profile holds, line by line."""
    lines = [
        say(
            "{n:,} job in {weeks:.3g} weeks", "{n:,} jobs in {weeks:.3g} weeks", n=made.jobs, weeks=made.weeks
        ),
        say(
            "mean of a job: {gpus:.3g} GPUs, {hours:.3g} hours, {gpu_hours:.3g} GPU-hours",
            gpus=made.mean_gpus,
            hours=made.mean_run_s / 3600,
            gpu_hours=made.mean_gpu_s / 3600,
        ),
        say("GPU-hours by size: {shares}", shares=_listed(_gpu_hour_shares(made))),
        say(
            "days stray by {day:.0f} %, hours by {hour:.0f} % from the pattern of the week",
            day=100 * made.arrivals.day_cv,
            hour=100 * made.arrivals.hour_cv,
        ),
    ]
    limited = sum(size.share * size.limit.share for size in made.sizes if size.limit)
    if limited:
        lines.append(say("{share:.0f} % of the jobs have a time limit", share=100 * limited))
    if made.users:
        lines.append(say("{n:,} user", "{n:,} users", n=made.users.count))
    if made.end_states:
        lines.append(say("ends: {shares}", shares=_listed(made.end_states)))
    return [str(line) for line in lines]


def _gpu_hour_shares(made: Profile) -> dict[int, float]:
    """Share of the GPU-hours by GPUs of a job."""
    work = {size.gpus: size.share * size.gpus * size.mean_run_s for size in made.sizes}
    total = sum(work.values())
    return {gpus: each / total for gpus, each in work.items()}


def _listed(shares: Mapping[Any, float]) -> str:
    """Shares for reading, the largest first.

    >>> _listed({1: 0.25, 8: 0.75})
    '8: 75 %, 1: 25 %'
    """
    largest = sorted(shares.items(), key=lambda item: -item[1])[:_SHOWN]
    return ", ".join(f"{name}: {share * 100:.3g} %" for name, share in largest)
