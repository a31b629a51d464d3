"""What the model of training says of published runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.models.architecture import Architecture
from gpufleet.models.held import memory
from gpufleet.models.layout import Layouts
from gpufleet.models.machine import Constants, Machine, machine
from gpufleet.models.runs import Run, grouped
from gpufleet.models.training import MEMORY_USABLE, step


class Predicted(NamedTuple):
    """Of each run. Shape (n_runs,)."""

    step_s: Floats
    memory_gib: Floats  # weights, gradients, optimizer and activations, as papers count
    recompute_pct: Ints  # of the layers; where it was not published, by the rule


def predict(runs: Sequence[Run], constants: Callable[[str], Constants]) -> Predicted:
    """Predict runs, all of one model and machine at once.

    Args: constants: those for the runs of a source, by its name; so that none was fitted on it.
    """
    step_s, gib = np.zeros(len(runs)), np.zeros(len(runs))
    percent = np.zeros(len(runs), dtype=np.int64)
    for first, rows in grouped(runs):
        at = machine_of(first, constants(first.source))
        layouts = layouts_of(first.model, [runs[row] for row in rows], at)
        got = step(first.model, layouts, at)
        parts = got.memory
        step_s[rows] = got.step_s
        gib[rows] = (parts.weights + parts.gradients + parts.optimizer + parts.activations) / 2**30
        percent[rows] = np.where(layouts.recompute == 2, layouts.recompute_pct, 0)
    return Predicted(step_s, gib, percent)


def machine_of(run: Run, constants: Constants) -> Machine:
    """The machine of a run: domains and network as published, else as in the catalogue."""
    at = machine(run.product, fabric_gbps=run.fabric_gbps or None, constants=constants)
    return replace(at, domain=run.domain)


def layouts_of(model: Architecture, runs: Sequence[Run], at: Machine) -> Layouts:
    """Layouts of runs of one model and machine; what is computed again by the rule where it is not known."""
    columns = {name: [run.layout[name] for run in runs] for name in runs[0].layout}
    columns["recompute"] = [each or "none" for each in columns["recompute"]]
    layouts = Layouts.of(**columns)
    unknown = np.array([not run.complete for run in runs])
    return least_recompute(model, layouts, at, unknown) if unknown.any() else layouts


def least_recompute(model: Architecture, layouts: Layouts, at: Machine, where: Floats) -> Layouts:
    """As few layers are computed again as memory allows: the rule where nothing was published.

    Memory falls in proportion to the layers, so the share follows from none and all of them.

    >>> tiny = Architecture(name="x", layers=4, hidden=64, heads=1, ffn=256, vocab=10)
    >>> roomy = Layouts.of(micro_batch=1, global_batch=1, seq_len=16)
    >>> least_recompute(tiny, roomy, machine("H100"), np.array([True])).recompute_pct.tolist()
    [0]
    """
    full = np.where(where, 2, layouts.recompute)

    def needed(percent: int) -> Floats:
        share = np.full_like(layouts.tp, percent)
        return memory(model, layouts._replace(recompute=full, recompute_pct=share)).total

    nothing, everything = needed(0), needed(100)
    over = (nothing - MEMORY_USABLE * at.memory_bytes) / np.maximum(nothing - everything, 1.0)
    percent = np.ceil(100 * np.clip(over, 0.0, 1.0)).astype(np.int64)
    return layouts._replace(recompute=full, recompute_pct=np.where(where, percent, layouts.recompute_pct))
