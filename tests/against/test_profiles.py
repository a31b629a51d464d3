"""Profiles against the logs and published sums that they are made of."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gpufleet.catalog.profiles import load_profile
from gpufleet.catalog.rows import FOLDER

ROOT = Path(__file__).resolve().parents[2]


@cache
def tool(name: str) -> ModuleType:
    """A script of tools/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def raw(shared: Path) -> Path:
    """The raw data, or the tests are skipped."""
    needed = ("philly-2017", "helios-2020-aggregates", "acme-2023")
    for name in needed:
        if not (shared / "data/traces" / name).is_dir():
            pytest.skip(f"needs third-party data: {shared}/data/traces/{name} is not there")
    return shared / "data"


@pytest.fixture(scope="module")
def measured(raw: Path) -> tuple[ModuleType, object]:
    """The tool and all its samples."""
    closeness = tool("closeness")
    return closeness, closeness.closeness(raw)


def test_the_shipped_files_are_what_the_raw_data_make(raw: Path) -> None:
    made = tool("profiles").all_profiles(raw)
    shipped = {file.stem: file.read_text(encoding="utf-8") for file in (FOLDER / "profiles").glob("*.json")}
    assert {name: profile.text() for name, profile in made.items()} == shipped


def test_fitted_profiles_have_the_published_sums(raw: Path) -> None:
    profiles = tool("profiles")
    for name, known in profiles.published_by_name(raw).items():
        made = load_profile(name)
        assert made.mean_gpus == pytest.approx(known.mean_gpus, rel=1e-3), name
        assert made.mean_run_s == pytest.approx(known.mean_run_s, rel=1e-3), name
        assert made.mean_gpu_s == pytest.approx(known.mean_gpu_s, rel=1e-3), name
        assert dict(made.end_states) == known.end_states
        assert made.sizes[0].share >= 0.5  # the published median is one GPU
        at = np.linspace(0, 1, 100_001)
        below = sum(
            each.share * np.interp(known.median_run_s, np.interp(at, each.run_s.p, each.run_s.s), at)
            for each in made.sizes
        )
        assert below == pytest.approx(0.5, abs=0.01), name


def test_the_page_shows_what_the_tool_makes(raw: Path) -> None:
    closeness = tool("closeness")
    page = closeness.PAGE.read_text(encoding="utf-8")
    assert closeness.filled(page, closeness.tables(raw)) == page


def test_generated_jobs_are_like_the_log(measured) -> None:
    _, found = measured
    source, like = found.source, found.like
    assert like.gpus.mean() == pytest.approx(source.gpus.mean(), rel=0.01)
    assert like.run_s.mean() == pytest.approx(source.run_s.mean(), rel=0.03)
    assert np.median(like.run_s) == pytest.approx(np.median(source.run_s), rel=0.02)
    assert like.gpu_h.mean() == pytest.approx(source.gpu_h.mean(), rel=0.04)
    theirs, ours = source.share_of_gpu_hours(), like.share_of_gpu_hours()
    assert theirs.keys() == ours.keys()
    assert max(abs(theirs[size] - ours[size]) for size in theirs) < 0.01


def test_generated_jobs_come_as_the_profile_says(measured) -> None:
    _, found = measured
    weights = found.like.hour_of_week()
    assert np.corrcoef(weights, found.weights)[0, 1] > 0.75
    assert np.abs(weights - found.weights).max() < 0.6


def test_run_times_of_one_size_pass_a_two_sample_test(measured) -> None:
    """Against the weeks that the profile is made of: within the 0.004 per knot that thinning may cost."""
    closeness, found = measured
    for size in (1, 2, 4, 8):
        log, like = (jobs.run_s[jobs.gpus == size] for jobs in (found.source, found.like))
        assert closeness.two_sample(log, like).distance < 0.04, size


def test_held_out_weeks_are_met_as_well_as_the_log_meets_itself(measured) -> None:
    closeness, found = measured
    for name, like, drift in closeness.held_out(found):
        if name.startswith("run time"):
            assert like.distance < drift.distance + 0.03, name
    known_to_fail = {name: like.p for name, like, _ in closeness.held_out(found) if "run time" not in name}
    assert all(p < 1e-4 for p in known_to_fail.values())  # the page says so


@pytest.mark.parametrize(
    ("a", "b", "distance", "p"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], 0.0, 1.0),
        ([1.0, 2.0], [3.0, 4.0], 1.0, 0.0971),  # x = (1 + 0.12 + 0.11) x 1; 2 (e^-2x^2 - e^-8x^2 + ...)
    ],
)
def test_the_two_sample_test_by_hand(a: list[float], b: list[float], distance: float, p: float) -> None:
    found = tool("closeness").two_sample(np.array(a), np.array(b))
    assert found.distance == distance
    assert found.p == pytest.approx(p, abs=1e-4)


def test_the_two_sample_test_keeps_its_promise() -> None:
    two_sample: Callable[..., object] = tool("closeness").two_sample
    random = np.random.default_rng(5)
    p = np.array([two_sample(random.normal(size=200), random.normal(size=300)).p for _ in range(400)])  # type: ignore[attr-defined]
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)
