"""Training workloads as phases: how many jobs, on how many GPUs, for how long, one phase after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from gpufleet.base.errors import Finding, GpufleetError, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.catalog import ModelRow, models, systems
from gpufleet.models.architecture import Architecture
from gpufleet.models.architectures import architecture_of
from gpufleet.models.campaign import Trouble, goodput, published_rate
from gpufleet.models.config_file import read_config
from gpufleet.models.finish import Finish
from gpufleet.plan.training import MOST_GPUS, PRE_TRAINING, SEQ_LEN, TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload
from gpufleet.world.forecasts import Asked, Forecast, batch_for, finished, forecast

if TYPE_CHECKING:
    from gpufleet.plan import Plan

explain_codes(
    """
P172 a training that cannot be done by its date
More GPUs do not help for ever: a batch has only so many sequences, and what is exchanged grows. The soonest
end and its GPUs are named.
    big: {kind: training, model: llama-3.1-405b, tokens: 15T, at: 2027-01-01, by: 2027-01-15, ...}

P174 a product on which a training cannot run
The model does not fit into the memory of so many of these GPUs, or they do not compute in its precision.
They are no option for its jobs.
    big: {kind: training, model: llama-3.1-405b, gpus: 64, products: [GB200, H100], ...}   # H100: too small
"""
)

RESTART_S: Final = round(Trouble().restart_s)
"""Work that each return after a failure adds, where nothing is said."""
_OF_WHOLE_MODEL: Final = ("continued", "post_training")
"""Phases that train the model itself; ablations train smaller ones, evaluation trains none."""


@dataclass(frozen=True)
class PlannedPhase:
    """Like jobs of a training, and when they are predicted to run."""

    name: str  # ablations, pre-training, continued, post-training or evaluation
    jobs: int
    gpus: int  # of each
    work_s: int  # of each, at speed 1: without failures, with the writing of checkpoints
    start_s: int  # predicted, seconds from the plan's start
    end_s: int  # predicted, with failures
    failures: float  # predicted

    @property
    def names(self) -> list[str]:
        """Names of its jobs.

        >>> PlannedPhase("ablations", 2, 64, 60, 0, 60, 0.0).names
        ['ablations-1', 'ablations-2']
        """
        return [self.name] if self.jobs == 1 else [f"{self.name}-{i + 1}" for i in range(self.jobs)]


@dataclass(frozen=True)
class Planned:
    """A training workload as it is predicted. The first forecast is of speed 1."""

    workload: TrainingWorkload  # with the speeds of its products, its checkpoints and restarts
    model: Architecture
    gpus: int  # of the pre-training
    forecasts: dict[str, Forecast]  # by product
    phases: tuple[PlannedPhase, ...]
    goodput: float
    steps_share: float  # of its work: training steps; the rest are checkpoints and waiting for the slowest
    findings: tuple[Finding, ...]  # warnings about products on which it cannot run


class _Terms(NamedTuple):
    """What a training loses time to."""

    rate: float  # failures per GPU-hour
    interval_s: float
    checkpoint_s: float
    restart_s: float

    def longer(self, gpus: int) -> float:
        """How many times its work a job on so many GPUs takes, with failures; expected."""
        between_s = np.array(3600.0 / (self.rate * gpus))
        good = goodput(np.array(self.checkpoint_s), np.array(self.interval_s), between_s, self.restart_s)
        return float(self.interval_s / (self.interval_s + self.checkpoint_s) / good)


def trainings(plan: Plan) -> Iterator[TrainingWorkload]:
    """The training workloads of a plan."""
    return (each for each in plan.workloads.values() if isinstance(each, TrainingWorkload))


def planned(plan: Plan, workload: TrainingWorkload) -> Planned:
    """Predict a training: layouts and speeds by product, phases with their dates.

    Raises: GpufleetError M010 to M012 if it runs on none of its products, P172 if it cannot be done by its
            date, C0xx for the model's file.
    """
    try:
        return _planned(plan, workload)
    except GpufleetError as refused:
        placed = (replace(each, at=each.at or workload.line) for each in refused.findings)
        raise GpufleetError(*placed) from refused


def _planned(plan: Plan, workload: TrainingWorkload) -> Planned:
    model = _model(workload)
    gpus = workload.gpus or _fewest_by(plan, workload, model)
    by_product = {product: _asked(plan, workload, model, product, gpus) for product, _ in workload.products}
    forecasts, findings = _forecasts(plan, workload, by_product, gpus)
    first = by_product[next(iter(forecasts))]
    _check_small_phases(plan, workload, first, gpus)
    done = finished(first, gpus, workload.tokens, _trouble(plan, workload))
    terms = _terms(plan, workload, done)
    phases = _phases(plan, workload, gpus, done, terms)
    best = next(iter(forecasts.values())).tokens_per_s
    speeds = tuple((name, round(one.tokens_per_s / best, 4)) for name, one in forecasts.items())
    work_s = next(phase.work_s for phase in phases if phase.name == PRE_TRAINING)
    return Planned(
        workload=workload.model_copy(
            update={
                "products": speeds,
                "gpus": gpus,
                "checkpoint_s": max(1, round(terms.interval_s + terms.checkpoint_s)),
                "restart_s": round(terms.restart_s),
            }
        ),
        model=model,
        gpus=gpus,
        forecasts=forecasts,
        phases=phases,
        goodput=done.goodput,
        steps_share=done.ideal_s / work_s,
        findings=tuple(findings),
    )


# --- what is trained, on what -------------------------------------------------------------------------------


def _model(workload: TrainingWorkload) -> Architecture:
    if isinstance(workload.model, Path):
        return read_config(workload.model)
    return architecture_of(_published(workload.model))


@cache
def _published(model: str) -> ModelRow:
    """The row of a model: reading the whole table takes as long as a forecast."""
    return models()[model]


def _asked(plan: Plan, workload: TrainingWorkload, model: Architecture, product: str, gpus: int) -> Asked:
    """What is asked of a product: with a batch that suits so many GPUs."""
    seq_len = workload.sequence or min(SEQ_LEN, _context(workload) or SEQ_LEN)
    batch = batch_for(workload.batch, seq_len, gpus)
    return Asked(model, _machine(plan, product), seq_len, batch, workload.precision)


def _context(workload: TrainingWorkload) -> int | None:
    """The longest sequence of a model of the catalogue; None: not known."""
    return None if isinstance(workload.model, Path) else _published(workload.model).context


def _machine(plan: Plan, product: str) -> str:
    """The system in which the plan buys a product, if the catalogue knows it; else the product."""
    bought = (lot.system for lot in plan.deliveries if plan.systems[lot.system].product == product)
    known = systems()
    return next((name for name in bought if name in known), product)


def _forecasts(
    plan: Plan, workload: TrainingWorkload, by_product: dict[str, Asked], gpus: int
) -> tuple[dict[str, Forecast], list[Finding]]:
    """The best layout on each product, and warnings about those on which there is none.

    Raises: GpufleetError with the reasons, if there is none on any.
    """
    forecasts: dict[str, Forecast] = {}
    refused: list[Finding] = []
    at = plan.line(f"workloads.{workload.name}.products")
    for product, asked in by_product.items():
        try:
            forecasts[product] = forecast(asked, gpus)
        except GpufleetError as error:
            refused += [replace(each, at=at) for each in error.findings]
    if not forecasts:
        raise GpufleetError(*refused)
    warnings = [
        finding(
            "P174",
            say("{name}: {says}", name=workload.name, says=each.says),
            each.fix,
            at,
            severity="warning",
        )
        for each in refused
    ]
    return forecasts, warnings


def _check_small_phases(plan: Plan, workload: TrainingWorkload, first: Asked, gpus: int) -> None:
    """Refuse phases that train the whole model on fewer GPUs than hold it. Raises: GpufleetError M010."""
    for key, phase, _ in workload.phases.each():
        if key in _OF_WHOLE_MODEL and phase.gpus is not None and phase.gpus < gpus:
            try:
                forecast(first, phase.gpus)
            except GpufleetError as refused:
                at = plan.line(f"workloads.{workload.name}.phases.{key}.gpus")
                raise GpufleetError(*(replace(each, at=at) for each in refused.findings)) from refused


# --- how long -----------------------------------------------------------------------------------------------


def _trouble(plan: Plan, workload: TrainingWorkload) -> Trouble:
    """What goes wrong: at the plan's rate of failures, else at the published one."""
    rate = published_rate() if plan.failures is None else 1.0 / plan.failures.gpu_hours_between
    said = workload.model_fields_set
    restart_s = float(workload.restart_s) if "restart_s" in said else Trouble().restart_s
    interval_s = float(workload.checkpoint_s) if workload.checkpoint_s else None
    return Trouble(failures_per_gpu_h=rate, restart_s=restart_s, interval_s=interval_s)


def _terms(plan: Plan, workload: TrainingWorkload, done: Finish) -> _Terms:
    trouble = _trouble(plan, workload)
    assert trouble.failures_per_gpu_h is not None
    return _Terms(trouble.failures_per_gpu_h, done.interval_s, done.checkpoint_s, trouble.restart_s)


def _phases(
    plan: Plan, workload: TrainingWorkload, gpus: int, done: Finish, terms: _Terms
) -> tuple[PlannedPhase, ...]:
    """The phases in their order. Each is predicted to begin when the one before is predicted to end."""
    slow = 1.0 + Trouble().straggler_share
    work_s = done.ideal_s * slow * (terms.interval_s + terms.checkpoint_s) / terms.interval_s
    parts = list(workload.phases.each())
    whole = work_s * gpus / (1.0 - sum(share for _, _, share in parts))
    rows = [
        (key, phase.jobs, phase.gpus or gpus, share * whole / phase.jobs / (phase.gpus or gpus))
        for key, phase, share in parts
    ]
    rows.insert(sum(key == "ablations" for key, *_ in rows), (PRE_TRAINING, 1, gpus, work_s))
    found: list[PlannedPhase] = []
    t_s = begin_s(plan, workload)
    for key, jobs, each, job_s in rows:
        at_once = max(1, gpus // each)
        lasts_s = max(1, round(-(-jobs // at_once) * job_s * terms.longer(each)))
        failures = terms.rate * each * jobs * job_s * terms.longer(each) / 3600
        found.append(
            PlannedPhase(
                key.replace("_", "-"), jobs, each, max(1, round(job_s)), t_s, t_s + lasts_s, failures
            )
        )
        t_s += lasts_s
    return tuple(found)


def begin_s(plan: Plan, workload: TrainingWorkload | CampaignWorkload) -> int:
    """When a training or campaign can begin, s from the plan's start: what it comes after is to have ended.

    Only of trainings and campaigns is known when they are to end.
    """
    ends = [
        _planned_end_s(plan, other)
        for other in (plan.workloads[after.workload] for after in workload.after)
        if isinstance(other, TrainingWorkload | CampaignWorkload)
    ]
    return max([0, plan.seconds(workload.at), *ends])


def _planned_end_s(plan: Plan, workload: TrainingWorkload | CampaignWorkload) -> int:
    if isinstance(workload, TrainingWorkload):
        return planned(plan, workload).phases[-1].end_s
    return begin_s(plan, workload) + campaign_lasts_s(workload)


def campaign_lasts_s(workload: CampaignWorkload) -> int:
    """How long a campaign takes on the product that it prefers, if it never waits."""
    speed = workload.products[0][1] if workload.products else 1.0
    rounds = -(-workload.tasks // (workload.at_once or workload.tasks))
    return rounds * max(1, round(workload.duration_s / speed))


def _fewest_by(plan: Plan, workload: TrainingWorkload, model: Architecture) -> int:
    """The fewest GPUs with which all is predicted to be done by the date, to a sixteenth of a power of two.

    Raises: GpufleetError P172 if none are, M012 for the number type.
    """
    assert workload.by is not None
    limit_s, first_s = plan.seconds(workload.by), begin_s(plan, workload)
    product = workload.products[0][0]
    soonest: tuple[int, int] | None = None  # when all is done, s from the plan's start, and GPUs
    most = 16
    while most <= MOST_GPUS:
        end_s = _end_with(plan, workload, _asked(plan, workload, model, product, most), most)
        if end_s is not None and end_s <= limit_s:
            break
        soonest = soonest if end_s is None else min(soonest or (end_s, most), (end_s, most))
        if soonest and most > 4 * soonest[1]:
            raise GpufleetError(_too_late(plan, workload, soonest))
        most *= 2
    else:
        raise GpufleetError(_too_late(plan, workload, soonest))
    assert end_s is not None
    linear = most * (end_s - first_s) / max(limit_s - first_s, 1)
    for gpus in range(most // 2, most, max(most // 16, 1)):
        if gpus >= linear:
            asked = _asked(plan, workload, model, product, gpus)
            end_s = _end_with(plan, workload, asked, gpus)
            if end_s is not None and end_s <= limit_s and forecast(asked, gpus).gpus == gpus:
                return gpus
    return most


def _end_with(plan: Plan, workload: TrainingWorkload, asked: Asked, gpus: int) -> int | None:
    """When all phases are predicted to end, s from the plan's start; None: too few GPUs to hold it."""
    try:
        done = finished(asked, gpus, workload.tokens, _trouble(plan, workload))
    except GpufleetError as error:
        if error.findings[0].code == "M010":
            return None
        raise
    return _phases(plan, workload, gpus, done, _terms(plan, workload, done))[-1].end_s


def _too_late(plan: Plan, workload: TrainingWorkload, soonest: tuple[int, int] | None) -> Finding:
    at = plan.line(f"workloads.{workload.name}.by")
    fix = say("take a later date, fewer tokens or a larger batch, or another product")
    assert workload.by is not None
    product, by = workload.products[0][0], plan.local(workload.by).date()
    words = {"name": workload.name, "product": product, "by": by}
    if soonest is None:
        says = say("{name} fits on no number of {product}, not by {by} nor later", **words)
        return finding("P172", says, fix, at)
    says = say(
        "{name} cannot be done by {by}: at best on {end}, with {gpus:,} {product}; more are not faster",
        **words,
        end=plan.local(soonest[0]).date(),
        gpus=soonest[1],
    )
    return finding("P172", says, fix, at)
