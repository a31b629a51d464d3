"""A training as JSON values; units are in the names."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

from gpufleet.models.sizing import DAY_S, Course, front
from gpufleet.report.training import end_of


def course_json(of: Course, start: date | None) -> dict[str, Any]:
    """One training: the answer, the best layout, the next best and why it lost."""
    found, row = of.options, of.row
    cost = of.cost
    return {
        "model": of.question.model.name,
        "params": of.question.model.params_total,
        "params_active": of.question.model.params_active,
        "architecture": dataclasses.asdict(of.question.model),
        "product": found.at.product,
        "system": found.at.name,
        "gpus": of.gpus,
        "gpus_allowed": found.search.gpus,
        "tokens": of.question.budget(),
        "steps": of.steps,
        "layouts_tried": found.tried,
        "best_by": of.question.by,
        "best": _row_json(of, row),
        "runner_up": None if of.runner_up is None else _row_json(of, of.runner_up),
        "why": None
        if of.loss is None
        else {"slower": of.loss.slower, "longer_s": dict(of.loss.longer), "shorter_s": dict(of.loss.shorter)},
        "days": {name: getattr(of.finish, f"{name}_s") / DAY_S for name in ("p10", "p50", "p90")},
        "done": None if start is None else end_of(of.finish.p50_s, start).isoformat(),
        "ideal_days": of.finish.ideal_s / DAY_S,
        "front": [_front_json(each) for each in front(of)] if of.question.front else None,
        "goodput": of.finish.goodput,
        "failures": of.finish.failures,
        "checkpoint_interval_s": of.finish.interval_s,
        "checkpoint_s": of.finish.checkpoint_s,
        "gpu_hours": of.gpu_hours,
        "energy_mwh": of.energy_mwh,
        "cost_usd": None if cost is None else cost.usd,
        "usd_per_gpu_h": None if cost is None else cost.usd_per_gpu_h,
        "price": None if cost is None or cost.price is None else cost.price.id,
    }


def _front_json(of: Course) -> dict[str, Any]:
    return {
        "gpus": of.gpus,
        "days": {name: getattr(of.finish, f"{name}_s") / DAY_S for name in ("p10", "p50", "p90")},
        "gpu_hours": of.gpu_hours,
        "energy_mwh": of.energy_mwh,
        "layout": of.options.layout(of.row),
    }


def _row_json(of: Course, row: int) -> dict[str, Any]:
    steps = of.options.steps
    return {
        "layout": of.options.layout(row),
        "gpus": int(of.options.layouts.gpus[row]),
        "step_s": float(steps.step_s[row]),
        "parts_s": of.options.parts_s(row),
        "recompute_s": float(steps.recompute_s[row]),
        "tokens_per_s_per_gpu": float(steps.tokens_per_s_per_gpu[row]),
        "tflops_per_gpu": float(steps.tflops[row]),
        "mfu": float(steps.mfu[row]),
        "memory_bytes": of.options.memory_bytes(row),
        "energy_j": None if of.energy_mwh is None else float(steps.energy_j[row]),
    }
