"""Starter plans: text for people to edit. What a plan cannot know is a guess, and is marked as one."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gpufleet.traces.summary import TraceSummary
    from gpufleet.traces.trace import Trace

GPUS_PER_NODE: Final = 8
NOBODY: Final = "everyone"
"""Tenant of jobs that name no queue."""

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS: Final = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

_STARTER: Final = """\
# A gpufleet plan. Check it with `gpufleet check`, simulate it with `gpufleet run`.
# Every value here is an example: replace it by yours. Any value may carry where it comes from:
#   gpus: {value: 64, range: [48, 64], source: order-2026, trust: stated}
gpufleet: 1                     # version of the plan language
name: NAME
start: 2026-01-05               # dates are in time_zone
end: 2026-01-19
time_zone: UTC
after_end: finish               # jobs that came before the end run on; `stop`: the run stops there

sites:
  lab: {power: 200 kW, pue: 1.3}          # grid connection; leave power out for no limit

deliveries:                     # systems: `gpufleet catalog systems`, or your own under `systems:`
  - {name: lot-1, to: lab, system: DGX B200, gpus: 64, at: 2026-01-05, status: delivered}

tenants:                        # a quota is the most GPUs that a queue holds at once
  research: {quota: {B200: 48}}
  product: {}

workloads:
  # a campaign is one large job; a trace is a log of jobs that were run:
  #   history: {kind: trace, file: jobs.csv}          (formats: `gpufleet new --help`)
  pretraining: {kind: campaign, queue: research, gpus: 48, duration: 5 d, at: 2026-01-06}
  finetuning: {kind: campaign, queue: research, gpus: 16, duration: 12 h, at: 2026-01-07}
  evaluation: {kind: campaign, queue: product, gpus: 32, duration: 1 d, at: 2026-01-07}

policy:
  order: fifo                   # fifo, priority, sjf, srtf
  strict: true                  # a job that cannot start holds those behind it
  backfill: easy                # none, easy, conservative
  placement: best-fit           # consolidate, best-fit, spread, domain-first

scenarios:                      # gpufleet run PLAN --scenario no-backfill
  no-backfill: {title: strict order only, set: {policy.backfill: none}}
"""

_FROM_TRACE: Final = """\
# A gpufleet plan made from {file}:
# {jobs:,} jobs in {queues}; {gpu_hours:,.0f} GPU-hours.
# What the trace does not say is marked "guess": replace it by what you know.
gpufleet: 1
name: {name}
start: {start}               # {start_why}
end: {end}                 # the day after the last submission
time_zone: UTC                  # guess: times in the trace without a zone are read as UTC
after_end: finish               # jobs that came before the end run to their end

files:
  trace: {path}

sites:
  site: {{}}                      # guess: one site, no power limit; else e.g. {{power: 200 kW, pue: 1.3}}

systems:                        # guess: nodes of {per_node} GPUs; `gpufleet catalog systems` has real ones
  node: {{product: this-gpu, gpus_per_node: {per_node}, nodes_per_domain: 1}}

deliveries:                     # guess: the most GPUs in use at once ({peak:,}), in whole nodes{starts}
  - name: fleet
    to: site
    system: node
    gpus: {{value: {fleet}, trust: assumption}}
    at: {start}
    status: online

tenants:                        # guess: each queue of the trace is a tenant, without a quota
{tenants}
workloads:
  history: {{kind: trace, file: trace, format: {format}{default}}}

policy:                         # guess: the trace does not say how the jobs were scheduled
  order: fifo
  backfill: {{kind: easy, depth: 1000}}     # waiting jobs per queue that may overtake; left out: 100
  placement: best-fit
{over_limit}"""

_NO_STARTS: Final = """
  # {share} of the jobs have no recorded start. They are counted as if none had waited, here and
  # below: where jobs queued, the real fleet was smaller. Write its size if you know it."""

_OVER_LIMIT: Final = """\
  over_limit: run-on            # guess: {jobs} longer than the time limit; `kill` ends such jobs at it
"""


def starter_plan(name: str, trace: Path | None, format: str, folder: Path) -> str:
    """The text of a starter plan.

    Args:   trace: a job log to take queues, dates and the size of the fleet from; format: of it, or auto.
            folder: where the plan will lie; it names the trace relative to that.
    Raises: GpufleetError T0xx if the trace cannot be used.

    >>> print(starter_plan("lab", None, "auto", Path()).splitlines()[4])
    name: lab
    """
    if trace is None:
        return _STARTER.replace("name: NAME", f"name: {_key(name)}")
    from gpufleet.traces.read import read_trace
    from gpufleet.traces.summary import summarise

    read = read_trace(trace, format)
    return _from_trace(name, read, summarise(read), os.path.relpath(trace, folder))


def _from_trace(name: str, trace: Trace, found: TraceSummary, path: str) -> str:
    """The text of a plan around a trace."""
    fleet = -(-max(found.peak_gpus, found.largest_gpus) // GPUS_PER_NODE) * GPUS_PER_NODE
    dated = "the day of the first submission" if trace.dated else "guess: the trace has no dates"
    nameless = any(queue.name is None for queue in found.queues)
    return _FROM_TRACE.format(
        file=trace.path.name,
        jobs=found.jobs,
        queues=f"{len(found.queues)} queue{'' if len(found.queues) == 1 else 's'}",
        gpu_hours=found.gpu_hours,
        name=_key(name),
        start=_day(found.first_submit),
        start_why=dated,
        end=_day(found.last_submit + timedelta(days=1)),
        path=json.dumps(path, ensure_ascii=False),
        per_node=GPUS_PER_NODE,
        peak=found.peak_gpus,
        fleet=fleet,
        tenants=_tenants(found),
        format=trace.format,
        default=f", queue: {{default: {NOBODY}}}" if nameless else "",
        starts=_starts(found.recorded_share),
        over_limit=_OVER_LIMIT.format(jobs=_ran(found.over_limit)) if found.over_limit else "",
    )


def _starts(recorded_share: float) -> str:
    """What the size of the fleet rests on where the trace does not say when jobs started.

    >>> _starts(1.0), _starts(0.9999).splitlines()[1][:16]
    ('', '  # Under 1 % of')
    """
    if recorded_share >= 1:
        return ""
    missing = round(100 * (1 - recorded_share))
    return _NO_STARTS.format(share=f"{missing} %" if missing else "Under 1 %")


def _ran(jobs: int) -> str:
    """So many jobs ran.

    >>> _ran(1), _ran(1200)
    ('1 job ran', '1,200 jobs ran')
    """
    return f"{jobs:,} job{'' if jobs == 1 else 's'} ran"


def _tenants(found: TraceSummary) -> str:
    """One line for each queue, with what it used."""
    lines = []
    for queue in found.queues:
        key = NOBODY if queue.name is None else _key(queue.name)
        used = (
            f"{queue.jobs:,} jobs, {queue.gpu_hours:,.0f} GPU-hours, at most {queue.peak_gpus:,} GPUs at once"
        )
        lines.append(f"  {key}: {{}}".ljust(32) + f"# {used}\n")
    return "".join(lines)


def _key(name: str) -> str:
    """A name as YAML: quoted where it could be read as something else.

    >>> _key("research"), _key("7f04ca"), _key("no")
    ('research', '"7f04ca"', '"no"')
    """
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
