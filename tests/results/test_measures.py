"""Measures: values that can be checked by hand, and the sentence they make."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import Small, Story, small

from gpufleet.results.explain import why
from gpufleet.results.facts import Facts, Seen, Waits, size_class
from gpufleet.results.measures import MEASURES, unpowered_gpu_h
from gpufleet.results.run import Run
from gpufleet.world.layout import KILLED, NOT_ONLINE, REFUSED, WAITING


def test_values_by_hand(run: Run) -> None:
    busy_gpu_h = (2 * 8 * 3600 + 4 * 1800 + 4 * 100) / 3600
    by_hand = {
        "online_gpu_h": 16 * 12 + 24 * 12,
        "busy_gpu_h": busy_gpu_h,
        "idle_gpu_h": 480 - busy_gpu_h,
        "utilisation": busy_gpu_h / 480,
        "jobs": 7,
        "refused_jobs": 2,
        "waiting_gpu_h": (8 * 3540 + 4 * 700 + 4 * 600 + 8 * 79200) / 3600,
        "wait_p50_s": 700,
        "wait_mean_s": (3540 + 700 + 600 + 79200) / 5,
        "bounded_slowdown": (1 + 7140 / 3600 + 2500 / 1800 + 700 / 100) / 4,
        "first_wait_recorded_p50_s": 0,
        "first_wait_simulated_p50_s": 600,
        "makespan_h": 2,
    }
    for name, value in by_hand.items():
        assert run.measure(name) == pytest.approx(value, rel=1e-4), name
    assert run.measure("jobs", state="refused") == 2
    assert run.measure("refused_jobs", cause="own_quota") == 1
    assert run.measure("waiting_gpu_h", cause="no_free", tenant="vision") == pytest.approx(177.4444444)
    assert run.measure("wait_p50_s", tenant="research") == 1770
    assert run.measure("busy_gpu_h", tenant="research") == 16
    assert run.measure("gpu_h_share", size="2-8") == 1
    assert run.measure("trace_rows", workload="history") == 6


def test_every_measure_says_what_it_is(run: Run) -> None:
    for m in MEASURES.values():
        assert m.unit
        assert m.formula
        assert m.doc
        assert m.needs
    assert run.measures_json["schema"] == "gpufleet.measures/1"
    assert set(run.measures_json["measures"][0]) == {"name", "unit", "value", "by", "formula"}
    frame = run.measures
    assert frame.height == len(run.measures_json["measures"])
    assert frame.columns[:3] == ["name", "unit", "value"]
    assert frame.filter(pl.col("name") == "jobs", pl.col("state") == "done")["value"].to_list() == [4.0]


def test_the_answer(run: Run) -> None:
    assert run.answer == (
        "Up to 24 GPUs at lab were 3.8 % busy 2026-01-05 to 2026-01-06; 4 of 7 jobs done, 2 can never run; "
        "half of the jobs waited at most 11 min 40 s, one in ten more than 13 h 35 min; "
        "first cause: no free GPUs (deliveries at plan.yaml:12)"
    )


def test_the_answer_when_nothing_waits(tmp_path: Path) -> None:
    run = small(tmp_path / "plan", [Story(run_s=60)] * 7).write(tmp_path / "run")
    assert run.answer.endswith("7 of 7 jobs done; nine in ten jobs did not wait")


def test_the_answer_when_nothing_is_there(tmp_path: Path) -> None:
    sets = [
        "sites.lab.power=1 W",
        "sites.lab.pue=1",
        "systems.box.node_power=3 kW",
    ]
    stories = [Story([(NOT_ONLINE, NOT_ONLINE, 60)], state=WAITING)] * 7
    stories[4] = Story(state=REFUSED, refusal=NOT_ONLINE)  # no power makes room for its 64 GPUs
    run = small(tmp_path / "plan", stories, sets).write(tmp_path / "run")
    assert run.measure("unpowered_gpu_h") == 480
    assert run.answer.startswith(
        "No GPU was online 2026-01-05 to 2026-01-06; 0 of 24 GPUs at lab came online; "
        "first limit: power at lab (--set sites.lab.power); 0 of 7 jobs done, 1 can never run"
    )
    assert run.answer.endswith(
        "first cause: not online (power at --set sites.lab.power, deliveries at plan.yaml:13)"
    )
    assert why(run, 0).causes[0].lines[0].path == "sites.lab.power"
    assert [b.path for b in why(run, 0).causes[0].lines[1:]] == ["deliveries.lot-2"]
    never = str(why(run, 4)).splitlines()[0]
    assert "deliveries.lot-2" in never
    assert "power" not in never
    assert run.measure("utilisation") is None


@pytest.mark.parametrize(
    ("power", "says"),
    [
        ("3 kW", "8 of 24 GPUs at lab came online; first limit: power at lab (--set sites.lab.power)"),
        (
            "[{from: 2026-01-05, value: 3 kW}, {from: 2026-01-05 18:00, value: 9 kW}]",
            "16 of 24 GPUs at lab were without power for a time; first limit: power at lab "
            "(--set sites.lab.power)",
        ),
        ("9 kW", ""),
    ],
)
def test_gpus_without_power_are_in_the_answer(tmp_path: Path, power: str, says: str) -> None:
    sets = [f"sites.lab.power={power}", "sites.lab.pue=1", "systems.box.node_power=3 kW"]
    run = small(tmp_path / "plan", [Story(run_s=60)] * 7, sets).write(tmp_path / "run")
    assert says in run.answer
    assert bool(run.measure("unpowered_gpu_h")) == bool(says) == ("first limit" in run.answer)


def test_killed_jobs_are_in_the_answer(tmp_path: Path) -> None:
    stories = [Story(run_s=60, state=KILLED)] * 4 + [Story(run_s=60)] * 2
    stories.append(Story(state=REFUSED, refusal=NOT_ONLINE))
    run = small(tmp_path / "plan", stories).write(tmp_path / "run")
    assert "; 2 of 7 jobs done, 4 killed at their limit, 1 can never run;" in run.answer


def test_measures_are_the_same_bytes_each_time(told: Small, run: Run, tmp_path: Path) -> None:
    again = told.write(tmp_path / "again")
    for file in run.path.iterdir():
        same = file.read_bytes() == (again.path / file.name).read_bytes()
        assert same or file.name == "environment.json"


@given(
    st.lists(st.integers(0, 10**7) | st.integers(0, 10**12), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.9, 0.99, 0.0, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_quantiles_are_those_of_the_waits(waits: list[int], share: float) -> None:
    series = pl.Series("wait_s", waits)
    found = Waits(series.to_numpy())
    assert found.quantile(share) == pytest.approx(series.quantile(share, "linear"), rel=1e-12, abs=1e-6)
    assert found.mean() == pytest.approx(series.mean())


def test_size_classes() -> None:
    frame = pl.DataFrame({"gpus": [1, 2, 8, 9, 64, 65, 512, 513]})
    assert frame.select(size_class())["size"].to_list() == [0, 1, 1, 2, 2, 3, 3, 4]


def test_gpus_without_power_count_until_they_have_it(run: Run) -> None:
    shortages = [SimpleNamespace(lot=0, from_s=-5, gpus=8), SimpleNamespace(lot=0, from_s=3600, gpus=0)]
    shortages.append(SimpleNamespace(lot=1, from_s=86400 - 1800, gpus=4))
    facts = Facts(run, Seen(60, 86400, False, shortages=shortages))  # type: ignore[arg-type]
    assert list(unpowered_gpu_h(facts)) == [
        ({"delivery": "lot-1"}, 8.0),
        ({"delivery": "lot-2"}, 2.0),
        ({}, 10.0),
    ]


def test_the_ledger_has_an_entry_for_each_number_with_its_lines(run: Run) -> None:
    entries = run.ledger["entries"]
    measures = [(e["name"], e["by"], e["value"]) for e in entries if "section" not in e]
    assert measures == [(m["name"], m["by"], m["value"]) for m in run.measures_json["measures"]]
    by_name = {e["name"]: e for e in entries}
    lot = by_name["deliveries.lot-2.gpus"]
    assert (lot["value"], lot["unit"], lot["plan_line"], lot["trust"]) == (
        8,
        "GPU",
        "plan.yaml:16",
        "estimate",
    )
    assert by_name["deliveries.lot-1.gpus"]["source"] == "paper"
    assert by_name["tenants.research.quota.P100-like"]["plan_line"] == "plan.yaml:20"
    assert by_name["policy.placement"]["formula"] == "default"
    online = by_name["online_gpu_h"]
    assert (online["plan_line"], online["source"], online["trust"]) == ("plan.yaml:12", "paper", None)
    assert all(e["formula"] and "unit" in e for e in entries)


def test_environment_says_what_made_the_run(run: Run) -> None:
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["versions"]["polars"] == pl.__version__
    assert environment["seconds"] == {"engine": 0.5}
    assert "environment.json" not in json.loads((run.path / "complete.json").read_text())["files"]
