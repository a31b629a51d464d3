"""The fixed box "What this does not know": limits of the model, and how much of the input is assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpufleet.base.say import Said, say, tell
from gpufleet.report import measured
from gpufleet.report.sources import is_input

if TYPE_CHECKING:
    from gpufleet.results.run import Run

PERIOD: Final = say(
    "GPUs online, in use and without power, and their shares, are counted from the plan's start to its end, "
    "or to the run's end if that is earlier; jobs and waits over the whole run."
)
"""The time that the figures cover."""

MODEL: Final = (
    say("Whole GPUs only: CPU, memory, storage and shared GPUs are not modelled."),
    say(
        "Network and placement do not change how fast a job runs; a job runs on one site and one product, "
        "at the speed that the plan states for it."
    ),
    say(
        "Nodes fail, and are repaired, only where the plan has `failures`; there is no other maintenance. "
        "GPUs leave only where the plan retires them."
    ),
    say(
        "Power limits how many GPUs are online, by rated power × PUE. What is drawn, its caps and its energy "
        "count only where the plan has `power`; cooling and cost are not modelled."
    ),
    say("Jobs come when the trace or plan says, however long others wait; nobody gives up."),
    say(
        "Run times are those of the trace or plan. They are not known to be right for other hardware than "
        "the trace's."
    ),
    say("The scheduler follows the stated policy exactly and decides in no time."),
)
"""What the simulation leaves out, whatever the plan says."""

TRUST_WORDS: Final = (
    ("stated", say("{count:,} stated by a source")),
    ("estimate", say("{count:,} estimated")),
    ("assumption", say("{count:,} assumed")),
    ("bare", say("{count:,} not said")),
    ("default", say("{count:,} defaults of the program")),
)


def box(run: Run) -> tuple[str, ...]:
    """What stands in the box: first what has no source, the time that counts, what the model leaves out."""
    made = generated(run)
    return (assumed(run), *([made] if made else []), *(tell(limit) for limit in (PERIOD, *MODEL)))


def generated(run: Run) -> Said | None:
    """Which jobs nobody has submitted, and how large they are; None for a run of recorded jobs only."""
    asked = [w for w in run.plan["workloads"].values() if w.get("kind") == "profile"]
    jobs, held = measured.total(run, "jobs"), measured.total(run, "busy_gpu_h")
    if not asked or not jobs or held is None:
        return None
    files = (w["profile"]["name"] if isinstance(w["profile"], Mapping) else w["profile"] for w in asked)
    profiles = sorted({Path(file).stem for file in files})
    return say(
        "Jobs are made up, like those of {profiles:, }, larger or longer where the plan says so: a job held "
        "{hours:short} GPU-hours on average, over {jobs:,} jobs. Real users may send more and smaller ones.",
        profiles=profiles,
        hours=held / jobs,
        jobs=int(jobs),
    )


def assumed(run: Run) -> Said:
    """How many of the plan's values have no source, and how far all of them are trusted."""
    found = [entry for entry in run.ledger["entries"] if is_input(entry)]
    if not found:
        return say("Where the plan's values come from is not known.")
    trust = Counter(_trust(entry) for entry in found)
    parts = [say(template, count=trust[key]) for key, template in TRUST_WORDS if trust[key]]
    bare = sum(not entry["source"] and entry["formula"] != "default" for entry in found)
    return say(
        "{n:,} of {values:,} values of the plan has no source; by trust: {parts:, }.",
        "{n:,} of {values:,} values of the plan have no source; by trust: {parts:, }.",
        n=bare,
        values=len(found),
        parts=parts,
    )


def _trust(entry: Mapping[str, Any]) -> str:
    if entry["trust"]:
        return str(entry["trust"])
    if entry["source"]:
        return "stated"
    return "default" if entry["formula"] == "default" else "bare"
