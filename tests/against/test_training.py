"""The model of training against published runs, with constants that were fitted without the source.

The form of the model was chosen with all sources in view; only its constants are blind to the source that
they are judged on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gpufleet.models.architecture import Architecture
from gpufleet.models.campaign import Trouble, campaign
from gpufleet.models.layout import Layouts
from gpufleet.models.machine import Constants, machine
from gpufleet.models.training import step
from gpufleet.validator import TARGETS_PCT, Validation, kind, validate_training


@pytest.fixture(scope="module")
def done() -> Validation:
    return validate_training()


@pytest.mark.parametrize("group", sorted(TARGETS_PCT))
def test_a_group_is_within_its_target(done: Validation, group: str) -> None:
    errors = done.by(kind)[group]
    assert errors.mape_pct <= TARGETS_PCT[group]


def test_dense_runs_with_known_layout_are_not_biased(done: Validation) -> None:
    assert abs(done.by(kind)["dense_known"].bias_pct) <= 4.0


def test_every_published_memory_is_within_a_tenth(done: Validation) -> None:
    rows = [number for number, run in enumerate(done.runs) if run.memory_gib is not None]
    assert len(rows) == 8
    assert np.abs(done.errors_pct[rows]).max() <= 10.0


def test_the_largest_errors_are_those_that_the_docs_explain(done: Validation) -> None:
    worst = [done.runs[row].id for row in np.argsort(-np.abs(done.errors_pct))[:3]]
    page = (Path(__file__).parents[2] / "docs/explanation/training.md").read_text(encoding="utf-8")
    assert all(f"`{run_id}`" in page for run_id in worst), worst


def test_the_published_run_of_54_days_has_its_goodput() -> None:
    got = campaign(np.array([10.0]), np.array([16e6]), np.array([16384]), 15e12, 405e9, Trouble())
    assert 0.90 <= float(got.goodput[0]) <= 0.93


def test_a_constant_share_of_the_peak_is_much_worse(done: Validation) -> None:
    """What the model is worth: the same runs with one share of the peak for all, the best that there is."""
    rows = [n for n, run in enumerate(done.runs) if run.step_s is not None and not run.moe]
    flops, peak = [], []
    for n in rows:
        run = done.runs[n]
        layout = run.layout
        flops.append(
            layout["global_batch"] * layout["seq_len"] * run.model.flops_per_token(layout["seq_len"])
        )
        at = machine(run.product)
        peak.append(float(at.peak_flops[Layouts.of(dtype=layout["dtype"]).dtype[0]]) * _gpus(layout))
    measured = np.array([done.runs[n].step_s for n in rows])
    share = np.array(flops) / np.array(peak) / measured
    constant = np.abs(share / np.median(share) - 1).mean()
    ours = np.abs(done.errors_pct[rows]).mean() / 100
    assert constant > 3 * ours


def _gpus(layout: dict[str, int]) -> int:
    return layout["tp"] * layout["pp"] * layout["dp"] * layout["cp"]


@pytest.fixture(scope="module")
def sweep(shared: Path) -> pl.DataFrame:
    """1,440 layouts of one A100 node, with constants that no run of that source had a part in."""
    table = pl.read_csv(shared / "data/perf/a100_single_node_layouts.csv").with_row_index()
    at = machine("A100-SXM4-80GB", constants=Constants.without("vtrain-single"))
    took = np.zeros(len(table))
    for (hidden, layers, heads), part in table.group_by("hidden", "layers", "heads"):
        model = Architecture(
            name="gpt",
            layers=layers,
            hidden=hidden,
            heads=heads,
            ffn=4 * hidden,
            vocab=51200,
            gated=False,
            tied=True,
            positions=1024,
            bias=True,
        )
        columns = {name: part[name].to_list() for name in ("tp", "pp", "dp", "micro_batch", "global_batch")}
        wish = Layouts.of(
            **columns,
            seq_len=1024,
            zero="none",
            recompute="full",
            attention="unfused",
            overlap=0,
            sequence_parallel=0,
        )
        took[part["index"].to_numpy()] = step(model, wish, at).step_s
    measured = pl.col("step_time_ms") * 1e-3
    return table.with_columns(measured=measured, predicted=pl.Series(took))


def test_single_node_sweep(sweep: pl.DataFrame) -> None:
    errors = (sweep["predicted"] / sweep["measured"] - 1).to_numpy()
    assert len(errors) == 1440
    assert np.abs(errors).mean() <= 0.09
    assert abs(errors.mean()) <= 0.03


def _lost(sweep: pl.DataFrame, *chosen_for: str) -> pl.Series:
    """By how much the layout that is predicted fastest is slower than the measured best, each choice."""
    groups = sweep.group_by("hidden", "layers", "heads", *chosen_for)
    chosen = pl.col("measured").sort_by("predicted").first()
    return groups.agg(lost=chosen / pl.col("measured").min() - 1)["lost"]


@pytest.mark.parametrize(
    ("chosen_for", "choices", "at_most"),
    [(("global_batch", "n_gpus"), 144, 0.031), (("global_batch",), 56, 0.047), ((), 8, 0.02)],
)
def test_the_layout_that_is_chosen_is_near_the_best(
    sweep: pl.DataFrame, chosen_for: tuple[str, ...], choices: int, at_most: float
) -> None:
    lost = _lost(sweep, *chosen_for)
    assert len(lost) == choices
    assert float(lost.median()) <= 0.02
    assert lost.mean() <= at_most


def test_the_sweep_has_one_time_of_a_layer_for_each_width_tp_and_micro_batch(sweep: pl.DataFrame) -> None:
    """What no smooth model can follow: times are exact sums of a layer's, which jumps between neighbours."""
    alone = sweep.filter((pl.col("pp") == 1) & (pl.col("dp") == 1) & (pl.col("micro_batch") <= 4))
    layer_s = {}
    for (hidden, tp, micro_batch), part in alone.group_by("hidden", "tp", "micro_batch"):
        runs = (part["global_batch"] / micro_batch).to_numpy()
        layers, took = part["layers"].to_numpy(), part["measured"].to_numpy()
        sums = np.stack([runs * layers, runs, layers, np.ones_like(runs)], axis=1)
        found = np.linalg.lstsq(sums, took, rcond=None)[0]
        assert sums @ found == pytest.approx(took, rel=1e-5)
        layer_s[hidden, tp, micro_batch] = found[0]
    assert layer_s[2048, 4, 2] < layer_s[2048, 4, 1]  # twice the work, and faster
    assert layer_s[1024, 8, 4] < 0.8 * layer_s[1024, 8, 1]
