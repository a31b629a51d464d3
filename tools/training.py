"""Fit the constants of the model of training, once for all published runs and once without each source.

    python -m tools.training [DATA]       DATA: a folder with training_measured.csv; else the shipped table

Writes the values in src/gpufleet/catalog/training_constants.csv and training_left_out.csv. What is fitted:
the logarithm of predicted over measured step time of dense models, drawn to the priors. Every source counts
like at most ten runs, so that one with many small runs does not decide; a run that is off by more than 30 %
counts like one that is off by 30 %. Runs of models with experts are never fitted, nor those that divide
weights with the software of 2021 (ZeRO-3 in FP16): its communication reached a small part of the network,
which says nothing of today's. Both are judged all the same.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.catalog.curves import training_constants
from gpufleet.catalog.rows import FOLDER
from gpufleet.models.machine import Constants
from gpufleet.models.predict import predict
from gpufleet.models.runs import Run, read_folder, shipped

_MOST = 10.0
_NOISE = 0.08
"""Of the logarithm of a step time that even the right constants would not explain."""
_FAR = 0.3
_ROUNDS = 3
_AT_MOST_1 = {
    "tp_exposed",
    "cp_exposed",
    "ep_exposed",
    "pp_exposed",
    "contention",
    "cast",
    "grouped",
    "gemm_sustained",
}


def main() -> None:
    """Fit and write."""
    read = read_folder(Path(sys.argv[1])) if len(sys.argv) > 1 else shipped()
    runs = [run for run in read.runs if run.step_s is not None and not run.moe and not _first_zero3(run)]
    sources = sorted({run.source for run in runs})
    slopes, start = _slopes(runs)
    found = {source: _fitted(runs, slopes, start, source) for source in ["", *sources]}
    _write_values(found[""])
    _write_left_out({source: found[source] for source in sources}, found[""])
    for source, values in found.items():
        print(f"{source or 'all':20}", " ".join(f"{n} {v:.3g}" for n, v in values._asdict().items()))


def _first_zero3(run: Run) -> bool:
    return bool(run.layout["zero"] == "fsdp") and run.layout["attention"] == "unfused"


def _priors() -> tuple[Floats, Floats]:
    table = training_constants()
    rows = [table[name] for name in Constants._fields]
    return np.log([row.prior for row in rows]), np.array([row.prior_spread for row in rows])


def _constants(x: Floats) -> Constants:
    values = [min(float(np.exp(v)), 1.0) if name in _AT_MOST_1 else float(np.exp(v))
              for name, v in zip(Constants._fields, x, strict=True)]  # fmt: skip
    return Constants(*values)


def _residuals(runs: list[Run], x: Floats) -> Floats:
    constants = _constants(x)
    measured = np.array([run.step_s for run in runs], dtype=np.float64)
    return np.log(predict(runs, lambda _: constants).step_s / measured)


def _slopes(runs: list[Run]) -> tuple[Floats, Floats]:
    """Derivatives at the priors, of every run by every constant."""
    start, _ = _priors()
    at = _residuals(runs, start)
    moved = [(_residuals(runs, start - 0.02 * step) - at) / -0.02 for step in np.eye(start.size)]
    return np.stack(moved, axis=1), at


def _fitted(runs: list[Run], slopes: Floats, start: Floats, without: str) -> Constants:
    """Gauss and Newton with the derivatives at the priors; residuals anew in each round."""
    prior, spread = _priors()
    used = np.array([run.source != without for run in runs])
    weight = np.where(used, _weights(runs), 0.0)
    x, at = prior.copy(), start
    for number in range(_ROUNDS):
        if number:
            at = _residuals(runs, x)
        near = weight * np.minimum(1.0, _FAR / np.maximum(np.abs(at), 1e-9))
        normal = slopes.T @ (near[:, None] * slopes) / _NOISE**2 + np.diag(spread**-2.0)
        pull = slopes.T @ (near * at) / _NOISE**2 + (x - prior) / spread**2
        x = x - np.linalg.solve(normal, pull)
    return _constants(x)


def _weights(runs: list[Run]) -> Floats:
    """A configuration counts once, a source at most as ten."""
    repeats: dict[str, int] = {}
    for run in runs:
        repeats[run.configuration] = repeats.get(run.configuration, 0) + 1
    alone = np.array([1.0 / repeats[run.configuration] for run in runs])
    total: dict[str, float] = {}
    for run, each in zip(runs, alone, strict=True):
        total[run.source] = total.get(run.source, 0.0) + each
    return np.array(
        [each * min(1.0, _MOST / total[run.source]) for run, each in zip(runs, alone, strict=True)]
    )


def _write_values(values: Constants) -> None:
    path = FOLDER / "training_constants.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["value"] = f"{getattr(values, row['id']):.4g}"
    _write(path, rows)


def _write_left_out(found: dict[str, Constants], everything: Constants) -> None:
    rows = [{"id": f"{source}/{name}", "source_id": source, "constant": name, "value": f"{value:.4g}"}
            for source, values in found.items()
            for name, value in values._asdict().items()]  # fmt: skip
    _write(FOLDER / "training_left_out.csv", rows)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
