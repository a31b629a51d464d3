"""Reservations that keep a job from starting: which, for whom, from when to when, and on how many GPUs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.results.blame import Blame, line, reservations_off
from gpufleet.results.moments import spoken_day

if TYPE_CHECKING:
    from gpufleet.results.blame import Wish
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run


class KeptOff(NamedTuple):
    """A reservation that is not for a job, in the time that it waited."""

    name: str
    gpus: int
    of_gpus: int  # in service there when it begins
    site: str
    holders: tuple[str, ...]
    from_: str  # local time
    to: str
    limit_s: int  # of the job; 0 = none
    line: Blame

    def text(self) -> Said:
        """Which it is, with its numbers and its line."""
        told = {
            "gpus": self.gpus, "of": self.of_gpus, "site": self.site, "name": self.name,
            "begins": spoken_day(self.from_), "ends": spoken_day(self.to), "holders": list(self.holders),
            "line": self.line.says(),
        }  # fmt: skip
        if self.limit_s:
            return say(
                "{gpus:,} of {of:,} GPUs at {site} are kept for {name} ({holders:, }) from {begins} to "
                "{ends}; this job's limit of {limit} must not run into it ({line})",
                **told,
                limit=format_duration(self.limit_s),
            )
        return say(
            "{gpus:,} of {of:,} GPUs at {site} are kept for {name} ({holders:, }) from {begins} to {ends}; "
            "what this job is estimated to take must not run into it ({line})",
            **told,
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "reservation": self.name,
            "gpus": self.gpus,
            "of_gpus": self.of_gpus,
            "site": self.site,
            "for": list(self.holders),
            "from": self.from_,
            "to": self.to,
            "at": self.line.at or None,
        }


def kept_off(run: Run, row: Row, wish: Wish) -> tuple[KeptOff, ...]:
    """The reservations that kept GPUs from a job; none if it never waited for that."""
    if not row["root_reservation_s"]:
        return ()
    rows = run.measures_json["measures"]
    gpus, of = (
        {each["by"]["reservation"]: int(each["value"]) for each in rows if each["name"] == name}
        for name in ("reserved_gpus", "reserved_of_gpus")
    )
    found = []
    for name in reservations_off(run.plan, wish):
        declared = run.plan["reservations"][name]
        begins, ends = (_local(run, declared[key]) for key in ("from_", "to"))
        found.append(
            KeptOff(
                name, gpus[name], of[name], declared["site"], tuple(declared["holders"]), begins, ends,
                row["limit_s"], line(run.plan, f"reservations.{name}"),
            )
        )  # fmt: skip
    return tuple(found)


def _local(run: Run, moment: str) -> str:
    """A moment of the lock in the plan's time zone."""
    return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo(run.time_zone)):%Y-%m-%d %H:%M}"
