"""The plans that are shipped, and the words that the plan shares with the engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import policy, supply
from gpufleet.plan.load import load_plan
from gpufleet.world import layout

PLANS = Path(__file__).parents[2] / "plans"


def test_one_cluster_is_sound_and_every_fact_has_a_source() -> None:
    plan = load_plan(PLANS / "one-cluster")
    assert plan.warnings == ()
    assert sum(delivery.gpus for delivery in plan.deliveries) == 64
    assert list(plan.queues) == ["llm", "vision", "robotics"]
    facts = ("sites.", "deliveries.", "tenants.", "workloads.")
    for path, origin in plan.origins.items():
        if path.startswith(facts) and origin.text and not path.endswith((".source", ".trust")):
            known = plan.origin(path) or plan.origin(path.rpartition(".")[0])
            while known and not known.source and "." in path:
                path = path.rpartition(".")[0]
                known = plan.origin(path)
            assert known, path
            assert known.source, path


def test_one_cluster_is_one_page() -> None:
    assert len((PLANS / "one-cluster" / "plan.yaml").read_text().splitlines()) <= 60


@pytest.mark.parametrize("scenario", ["no-backfill", "late-nodes"])
def test_the_scenarios_of_one_cluster_load_without_warnings(scenario: str) -> None:
    assert load_plan(PLANS / "one-cluster", scenarios=[scenario]).warnings == ()


def test_philly_quarter_is_the_reference(shared: Path) -> None:
    folder = shared / "data/traces/reference-helios-sim"
    files = [f"files.nodes={folder}/vc_nodes_quarter.csv"]
    files += [f"files.trace={folder}/philly_2017-10-01_2017-10-07_quarter88nodes_sjf.csv.gz"]
    plan = load_plan(PLANS / "philly-quarter", sets=files)
    assert plan.warnings == ()
    assert len(plan.tenants) == 11
    assert sum(delivery.gpus for delivery in plan.deliveries) == 704
    assert all(delivery.tenant == delivery.name for delivery in plan.deliveries)
    assert (plan.policy.order, plan.policy.strict, plan.policy.backfill) == ("fifo", True, "none")


def test_the_srtf_of_the_readme_loads(shared: Path) -> None:
    folder = shared / "data/traces/reference-helios-sim"
    sets = [
        f"files.nodes={folder}/vc_nodes_quarter.csv",
        f"files.trace={folder}/philly_2017-10-01_2017-10-07_quarter88nodes_fifo.csv.gz",
        "policy.order=srtf",
        "policy.select=count",
        "policy.strict=false",
        "policy.finish_lag=1 s",
        "policy.restart_overhead=[{gpus_up_to: 8, add: 40 s}, {add: 60 s}]",
    ]
    plan = load_plan(PLANS / "philly-quarter", sets=sets)
    assert plan.policy.restart_overhead == ((8, 40), (None, 60))
    assert plan.policy.finish_lag_s == 1


def test_without_the_data_philly_quarter_says_which_files_it_needs(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text((PLANS / "philly-quarter" / "plan.yaml").read_text())
    with pytest.raises(GpufleetError) as error:
        load_plan(tmp_path)
    assert {(found.code, str(found.at)) for found in error.value.findings} == {
        ("P025", "plan.yaml:12"),
        ("P025", "plan.yaml:13"),
    }


def test_the_words_of_the_plan_are_those_of_the_engine() -> None:
    for name in ("ORDERS", "BACKFILLS", "PLACEMENTS", "ESTIMATES", "OVER_LIMITS", "SELECTS"):
        assert getattr(policy, name) == getattr(layout, name)
    assert supply.MODES == ("drain", "kill")


def test_loading_a_plan_imports_nothing_heavy() -> None:
    code = (
        "import sys; from gpufleet.plan.load import load_plan; load_plan(sys.argv[1]);"
        "print(sorted({'numpy', 'polars', 'numba', 'pyarrow', 'altair'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(PLANS / "one-cluster")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
