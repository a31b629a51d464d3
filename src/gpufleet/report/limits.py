"""The fixed box "What this does not know": limits of the model, and how much of the input is assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gpufleet.report.sources import is_input
from gpufleet.report.words import plural

if TYPE_CHECKING:
    from gpufleet.results.run import Run

PERIOD: Final = (
    "GPUs online, in use and without power, and their shares, are counted from the plan's start to its end, "
    "or to the run's end if that is earlier; jobs and waits over the whole run."
)
"""The time that the figures cover."""

MODEL: Final = (
    "Whole GPUs only: CPU, memory, storage and shared GPUs are not modelled.",
    "Network and placement do not change how fast a job runs; a job runs on one site and one product, "
    "at the speed that the plan states for it.",
    "Failures, repairs and maintenance do not happen. GPUs leave only where the plan retires them.",
    "Power limits how many GPUs are online, by rated power × PUE. Power really drawn, energy, cooling "
    "and cost are not modelled.",
    "Jobs come when the trace or plan says, however long others wait; nobody gives up.",
    "Run times are those of the trace or plan. They are not known to be right for other hardware than the "
    "trace's.",
    "The scheduler follows the stated policy exactly and decides in no time.",
)
"""What the simulation leaves out, whatever the plan says."""

TRUST_WORDS: Final = (
    ("stated", "stated by a source"),
    ("estimate", "estimated"),
    ("assumption", "assumed"),
    ("bare", "not said"),
    ("default", "defaults of the program"),
)


def box(run: Run) -> tuple[str, ...]:
    """What stands in the box: first what has no source, the time that counts, what the model leaves out."""
    return (assumed(run), PERIOD, *MODEL)


def assumed(run: Run) -> str:
    """How many of the plan's values have no source, and how far all of them are trusted."""
    found = [entry for entry in run.ledger["entries"] if is_input(entry)]
    if not found:
        return "Where the plan's values come from is not known."
    trust = Counter(_trust(entry) for entry in found)
    parts = [f"{n:,} {words}" for key, words in TRUST_WORDS if (n := trust[key])]
    bare = sum(not entry["source"] and entry["formula"] != "default" for entry in found)
    return (
        f"{bare:,} of {plural(len(found), 'value')} of the plan {'has' if bare == 1 else 'have'} no source; "
        f"by trust: {', '.join(parts)}."
    )


def _trust(entry: Mapping[str, Any]) -> str:
    if entry["trust"]:
        return str(entry["trust"])
    if entry["source"]:
        return "stated"
    return "default" if entry["formula"] == "default" else "bare"
