"""The model of training against published runs: errors by group, and each prediction."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.base.say import say, tell
from gpufleet.catalog.curves import left_out
from gpufleet.listing import aligned
from gpufleet.models.compare import Errors, by_group, errors_pct
from gpufleet.models.machine import Constants
from gpufleet.models.predict import Predicted, predict
from gpufleet.models.runs import Run, Runs, read_folder, reasons, shipped

DENSE_KNOWN: Final = "dense_known"
DENSE_RULE: Final = "dense_rule"
MOE: Final = "moe"
MEMORY: Final = "memory"
_KINDS: Final = {
    DENSE_KNOWN: say("dense, recomputation published"),
    DENSE_RULE: say("dense, recomputation by rule"),
    MOE: say("mixture of experts, never fitted"),
    MEMORY: say("memory"),
}
TARGETS_PCT: Final = {DENSE_KNOWN: 10.0, DENSE_RULE: 15.0, MOE: 20.0, MEMORY: 10.0}
"""Mean absolute error that the model is held to, per group."""


class Validation(NamedTuple):
    """What was predicted and how far off it is. Arrays have shape (n_runs,)."""

    read: Runs
    predicted: Predicted
    errors_pct: Floats  # of step time; of memory for runs that published that

    @property
    def runs(self) -> Sequence[Run]:
        """The runs that were predicted."""
        return self.read.runs

    @property
    def rows(self) -> int:
        """All rows that were read."""
        return len(self.runs) + sum(self.read.left_out.values())

    def by(self, key: Callable[[Run], Hashable | None]) -> dict[Hashable, Errors]:
        """Errors by group; runs whose key is None are left out."""
        return by_group(self.runs, self.errors_pct, key)

    def text(self) -> str:
        """Tables for people."""
        return "\n".join(_lines(self))

    def to_json(self) -> dict[str, Any]:
        """Groups, rows and what was left out, as JSON values."""
        return {
            "groups": {
                str(name): {**errors._asdict(), "target_mape_pct": TARGETS_PCT[str(name)]}
                for name, errors in self.by(kind).items()
            },
            "sources": _nested(self.by(lambda run: (kind(run), run.source))),
            "products": _nested(self.by(lambda run: (kind(run), run.product))),
            "left_out": dict(reasons(self.read.left_out)),
            "notes": dict(self.read.notes),
            "rows": [_row(self, number) for number in range(len(self.runs))],
        }


def validate_training(folder: Path | None = None) -> Validation:
    """Predict every published run, each with constants that were fitted without its source.

    Args:    folder: of tables with the columns of the shipped one; None: the shipped one.
    Raises:  GpufleetError M001 to M003 for tables that cannot be used.

    >>> done = validate_training()
    >>> sorted(done.by(kind))
    ['dense_known', 'dense_rule', 'memory', 'moe']
    """
    read = shipped() if folder is None else read_folder(folder)
    predicted = predict(read.runs, Constants.without)
    measured = np.array([run.step_s or run.memory_gib or np.nan for run in read.runs])
    by_memory = np.array([run.step_s is None for run in read.runs], dtype=bool)
    said = np.where(by_memory, predicted.memory_gib, predicted.step_s)
    return Validation(read, predicted, errors_pct(said, measured))


def kind(run: Run) -> str:
    """The group that a run is judged in."""
    if run.step_s is None:
        return MEMORY
    if run.moe:
        return MOE
    return DENSE_KNOWN if run.complete else DENSE_RULE


def scatter_rows(done: Validation) -> list[dict[str, Any]]:
    """Of each run that published a speed: tokens per second and GPU, measured and predicted; for a chart."""
    rows = []
    for number, run in enumerate(done.runs):
        if run.step_s is None:
            continue
        layout = run.layout
        per_gpu = layout["global_batch"] * layout["seq_len"] / _gpus(run)
        rows.append(
            {
                "measured": per_gpu / run.step_s,
                "predicted": per_gpu / float(done.predicted.step_s[number]),
                "group": tell(_KINDS[kind(run)]),
                "text": f"{run.id}: {run.model.name}, {run.product}",
            }
        )
    return rows


def _gpus(run: Run) -> int:
    layout = run.layout
    return int(layout["tp"] * layout["pp"] * layout["dp"] * layout["cp"])


def _lines(done: Validation) -> Iterator[str]:
    left = done.rows - len(done.runs)
    yield str(say("{n:,} published runs predicted, {left:,} rows left out", n=len(done.runs), left=left))
    yield str(say("errors are of step time, per configuration; above 0: predicted too slow"))
    yield ""
    yield from _table(say("group"), {tell(_KINDS[str(k)]): e for k, e in done.by(kind).items()},
                      {tell(_KINDS[name]): target for name, target in TARGETS_PCT.items()})  # fmt: skip
    yield ""
    yield from _table(say("source"), _named(done.by(lambda run: (kind(run), _source(run)))))
    if any(run.source not in left_out() for run in done.runs):
        yield str(say("* no constant was fitted on any run of this source"))
    yield ""
    yield from _table(say("product"), _named(done.by(lambda run: (kind(run), run.product))))
    yield ""
    for reason, count in reasons(done.read.left_out):
        yield str(
            say("left out: {n:,} row: {reason}", "left out: {n:,} rows: {reason}", n=count, reason=reason)
        )
    for note, count in reasons(done.read.notes):
        yield str(say("note: {note} ({count:,})", note=note, count=count))


def _source(run: Run) -> str:
    """A source; those that no constant was ever fitted on are marked."""
    return run.source if run.source in left_out() else f"{run.source} *"


def _named(groups: Mapping[Hashable, Errors]) -> dict[str, Errors]:
    """Groups of pairs (kind, name) as names of two parts."""
    named = {}
    for key, errors in groups.items():
        first, second = key if isinstance(key, tuple) else (key, "")
        named[f"{tell(_KINDS[str(first)])}: {second}"] = errors
    return named


def _table(
    title: str, groups: Mapping[str, Errors], targets: Mapping[str, float] | None = None
) -> Iterator[str]:
    head = [
        title,
        say("rows"),
        say("configurations"),
        "MAPE",
        say("median"),
        say("bias"),
        say("worst"),
        say("which"),
    ]
    if targets:
        head.append(say("target"))
    lines = [[str(cell) for cell in head]]
    for name, e in groups.items():
        cells = [
            str(name),
            f"{e.rows:,}",
            f"{e.configurations:,}",
            f"{e.mape_pct:.1f} %",
            f"{e.median_pct:.1f} %",
            f"{e.bias_pct:+.1f} %",
            f"{e.worst_pct:+.1f} %",
            e.worst_id,
        ]
        lines.append([*cells, f"{targets[name]:.0f} %"] if targets else cells)
    return iter(aligned(lines, [False, *[True] * 6, False, *([True] if targets else [])]))


def _nested(groups: Mapping[Hashable, Errors]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for key, errors in groups.items():
        first, second = key if isinstance(key, tuple) else (key, "")
        nested.setdefault(str(first), {})[str(second)] = errors._asdict()
    return nested


def _row(done: Validation, number: int) -> dict[str, Any]:
    run = done.runs[number]
    predicted = done.predicted
    return {
        "id": run.id,
        "file": run.at.file,
        "line": run.at.line,
        "source": run.source,
        "fitted_source": run.source in left_out(),
        "group": kind(run),
        "model": run.model.name,
        "product": run.product,
        "gpus": _gpus(run),
        "layout": dict(run.layout),
        "recompute_pct": int(predicted.recompute_pct[number]),
        "measured_step_s": run.step_s,
        "predicted_step_s": float(predicted.step_s[number]),
        "measured_memory_gib": run.memory_gib,
        "predicted_memory_gib": float(predicted.memory_gib[number]),
        "error_pct": float(done.errors_pct[number]),
        "notes": list(run.notes),
    }
