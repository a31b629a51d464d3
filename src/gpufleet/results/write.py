"""Writes what a run folder holds beside the jobs, when the engine is done."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpufleet import __version__
from gpufleet.base.errors import Finding
from gpufleet.base.language import speaking
from gpufleet.base.say import tell, to_data
from gpufleet.plan.power import kinds_of
from gpufleet.results import folder
from gpufleet.results.answer import answer
from gpufleet.results.chain import write_chain
from gpufleet.results.facts import Facts, Seen
from gpufleet.results.fragmentation import write_fragmentation
from gpufleet.results.ledger import ledger_of
from gpufleet.results.licences import write_licences
from gpufleet.results.lock import place, write_lock
from gpufleet.results.measures import measured
from gpufleet.results.money.write import write_money
from gpufleet.results.over_cap import over_caps
from gpufleet.results.power import drawn_of, write_power
from gpufleet.results.preemptions import Preempted, write_preemptions
from gpufleet.results.quota_ledger import write_quotas
from gpufleet.results.reserved import reserved_of
from gpufleet.results.run import Run
from gpufleet.results.supply import write_supply
from gpufleet.results.timeline import write_timeline

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.world.build import Built
    from gpufleet.world.layout import Tallies

MEASURES_SCHEMA: Final = "gpufleet.measures/1"
ENVIRONMENT_SCHEMA: Final = "gpufleet.environment/1"
_TEXTS: Final = ("title", "says", "fix")
_LIBRARIES: Final = ("numpy", "numba", "polars", "pyarrow", "pydantic", "altair")


@speaking("en")
def write_results(
    path: Path,
    plan: Plan,
    built: Built,
    tallies: Tallies,
    end_s: int,
    findings: Sequence[Finding] = (),
    preempted: Preempted | None = None,
) -> Run:
    """Write all that follows from a run and its plan; jobs.parquet must be there.

    Args: path: the folder of `gpufleet.results.folder.new_run`; end_s: when the run ended (`Result.end_s`);
          findings: warnings that the reader of the results should see;
          preempted: of a run with shared quotas.
    """
    write_lock(path / folder.LOCK, plan)
    write_timeline(path / folder.TIMELINE, built.world, built.names, tallies, end_s)
    write_fragmentation(path / folder.FRAGMENTATION, built.world, built.names, tallies, end_s)
    if plan.power is not None:
        write_power(path / folder.POWER, plan, built.world, tallies, end_s)
    clock = built.world.clock
    run = Run(path)
    write_money(run, plan, built.fleet, end_s)
    findings = [*findings, *(over_caps(plan, run.power) if plan.power is not None else ())]
    write_supply(path / folder.SUPPLY, path / folder.SHORTAGE, plan, built.names, run.plan)
    write_chain(path / folder.CHAIN, plan, run.plan)
    write_licences(path / folder.LICENCES, plan)
    if preempted is not None:
        rows = write_preemptions(path / folder.PREEMPTIONS, run, preempted)
        write_quotas(path / folder.QUOTAS, built.world, built.names, tallies, end_s, rows)
    reserved = reserved_of(built.world, list(plan.reservations), tallies, end_s)
    drawn = drawn_of(plan, built.world, kinds_of(plan), tallies) if plan.power else ()
    seen = Seen(
        clock.grid_s, end_s, bool(clock.finish), built.demand.intakes, built.shortages, reserved, drawn
    )
    facts = Facts(run, seen)
    measures = measured(facts)
    root = Path(plan.root).resolve()
    says, notes = answer(facts, measures), [*plan.notes, *built.notes]
    content = {
        "schema": MEASURES_SCHEMA,
        "answer": says,
        "measures": measures,
        "findings": [_finding(found, root) for found in findings],
        "notes": [tell(note) for note in notes],
        "said": {
            "answer": to_data(says),
            "findings": [{key: to_data(getattr(found, key)) for key in _TEXTS} for found in findings],
            "notes": [to_data(note) for note in notes],
        },
        "clock": {
            "end_s": clock.end_s,
            "ended_s": end_s,
            "counted_s": facts.until_s,
            "grid_s": clock.grid_s,
            "finish": bool(clock.finish),
        },
    }
    folder.write_json(path / folder.MEASURES, content)
    folder.write_json(path / folder.LEDGER, ledger_of(run.plan, measures))
    return run


def _finding(found: Finding, root: Path) -> dict[str, Any]:
    """A finding as JSON values, its file relative to the plan."""
    return {
        "code": found.code,
        "severity": found.severity,
        **{key: tell(getattr(found, key)) for key in _TEXTS},
        "at": None if found.at is None else place(found.at, root),
    }


def write_environment(
    path: Path, *, started: datetime, seconds: dict[str, float], command: Sequence[str] | None = None
) -> None:
    """Write environment.json: versions, machine, command and times. It differs from run to run.

    Args: started: aware; seconds: how long each step took; command: default ``sys.argv``.
    """
    from importlib.metadata import version

    value = {
        "schema": ENVIRONMENT_SCHEMA,
        "versions": {"gpufleet": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "command": list(sys.argv if command is None else command),
        "folder": os.getcwd(),
        "started": started.astimezone(UTC).isoformat(),
        "written": datetime.now(UTC).isoformat(),
        "seconds": seconds,
    }
    folder.write_json(path / folder.ENVIRONMENT, value)
