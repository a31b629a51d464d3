"""Why a lot is not online: its dates, what holds it, and the line of the plan behind that."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "world"))

from staircases import BY_HAND

from gpufleet.base.errors import GpufleetError
from gpufleet.cli import main
from gpufleet.plan.load import load_plan
from gpufleet.results.explain_lot import LotExplanation
from gpufleet.results.run import Run
from gpufleet.study import simulate


@pytest.fixture(scope="module")
def stairs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("stairs")
    (folder / "plan.yaml").write_text(BY_HAND)
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


def lot(run: Run, word: str) -> LotExplanation:
    found = run.why(word)
    assert isinstance(found, LotExplanation)
    return found


def test_power_holds_a_lot_in_part(stairs: Run) -> None:
    assert lot(stairs, "b").text().splitlines() == [
        "lot b: all 20 GPUs are online from 2026-06-10; 20 GPUs without power from 2026-03-10 "
        "(sites.hill.power at plan.yaml:9)",
        "  20 new at hill, for x; plan.yaml:22",
        "  ordered as of 2026-02-15; counts toward big, small",
        "",
        "              ordered: the plan does not say when",
        "  2026-03-10  delivered (2026-02-10 to 2026-05-10)  plan.yaml:26",
        "  2026-04-15  12 GPUs powered, 12 online",
        "  2026-06-10  20 GPUs powered, 20 online",
        "",
        "  20 GPUs without power from 2026-03-10, until 2026-04-15: sites.hill.power at plan.yaml:9",
        "  8 GPUs without power from 2026-04-15, until 2026-06-10: sites.hill.power at plan.yaml:9",
    ]


def test_a_retirement_takes_a_part(stairs: Run) -> None:
    lines = lot(stairs, "a").text().splitlines()
    assert lines[0] == (
        "lot a: 16 of 32 GPUs are online at the plan's end; 16 GPUs retired on 2026-06-10 "
        "(retirements.0 at plan.yaml:31)"
    )
    assert "  2025-12-01  ordered  plan.yaml:21" in lines
    assert (
        "  24 GPUs have arrived by 2026-02-15, not the 32 that were planned; the run counts with all 32, as "
        "the plan says"
    ) in lines
    assert lines[-1] == "  16 GPUs retired on 2026-06-10: retirements.0 at plan.yaml:31"


def test_a_lot_without_a_name_goes_by_its_path(stairs: Run) -> None:
    lines = lot(stairs, "deliveries.#3").text().splitlines()
    assert lines[0] == "lot #3: all 12 GPUs are online from 2026-05-31 23:00"
    assert lines[2] == "  only pledged as of 2026-02-15; counts toward no promise"


def test_a_lot_that_never_has_power(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND.replace("value: 60 kW", "value: 41 kW"))
    run = simulate(
        load_plan(tmp_path / "plan.yaml", sets=["retirements.0.at=2026-06-30 23:59:59"]), out=tmp_path / "run"
    )
    data = lot(run, "b").to_json()
    assert data["in_service"] == [{"at": "2026-06-30 23:59", "powered_gpus": 12, "online_gpus": 12}]
    run = simulate(load_plan(tmp_path / "plan.yaml", sets=["sites.hill.power=20 kW"]), out=tmp_path / "run")
    assert (
        lot(run, "b")
        .text()
        .startswith("lot b: none of its 20 GPUs comes online by the plan's end; 20 GPUs without")
    )
    assert [(h["gpus"], h["until"]) for h in lot(run, "b").to_json()["held"]][-1] == (20, None)


def test_power_that_falls(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND.replace("value: 60 kW", "value: 25 kW"))
    run = simulate(load_plan(tmp_path / "plan.yaml", sets=["deliveries.b.to=sea"]), out=tmp_path / "run")
    held = lot(run, "a").to_json()["held"]
    assert [(h["step"], h["gpus"], h["from"], h["path"]) for h in held] == [
        ("not_online", 16, "2026-04-15", "sites.hill.power"),
        ("retired", 16, "2026-06-10", "retirements.0"),
    ]


def test_as_json(stairs: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["why", str(stairs.path), "b", "--json"])
    assert not done.value.code
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "gpufleet.why-lot/1"
    assert (data["lot"], data["gpus"], data["status"], data["at"]) == ("b", 20, "ordered", "plan.yaml:22")
    assert data["delivered"] == {
        "on": "2026-03-10",
        "range": ["2026-02-10", "2026-05-10"],
        "at": "plan.yaml:26",
    }
    assert data["ordered"] == {"on": None, "at": None}
    assert data["held"][0] == {
        "step": "not_powered", "gpus": 20, "from": "2026-03-10", "until": "2026-04-15",
        "path": "sites.hill.power", "at": "plan.yaml:9",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "code", "fix"),
    [
        ("deliveries.c", "R008", "known: #3, a, b"),
        ("c", "R006", "name a job by its number, or a lot, promise or tenant, such as `a`, `big`, `x`"),
        (
            "#3",
            "R006",
            "name a job by its number, or a lot, promise or tenant, such as `a`, `big`, `x`",
        ),  # always a job's number
    ],
)
def test_no_such_lot(stairs: Run, word: str, code: str, fix: str) -> None:
    with pytest.raises(GpufleetError) as error:
        stairs.why(word)
    assert (error.value.findings[0].code, error.value.findings[0].fix) == (code, fix)


def test_a_name_of_a_lot_and_of_a_job_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND.replace("  one: {kind", "  b: {kind"))
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert run.jobs["name"].to_list() == ["b"]
    with pytest.raises(GpufleetError) as error:
        run.why("b")
    assert error.value.findings[0].code == "R007"
    assert error.value.findings[0].fix == "write `deliveries.b`, or `#0` for the job"
    assert lot(run, "deliveries.b").name == "b"


def test_a_lot_is_suggested_for_a_word_that_is_nearly_its_name(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND.replace("name: b\n", "name: second-hall\n"))
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    with pytest.raises(GpufleetError) as error:
        run.why("second-hal")
    assert error.value.findings[0].fix == "did you mean `second-hall`?"


def test_a_lot_is_followed_to_the_plans_end_though_jobs_stop_before(stairs: Run, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND)
    run = simulate(load_plan(tmp_path / "plan.yaml", sets=["jobs_until=2026-03-01"]), out=tmp_path / "run")
    assert lot(run, "b").to_json() == lot(stairs, "b").to_json()
    for name in ("supply", "shortage"):
        assert getattr(run, name).equals(getattr(stairs, name))
    assert run.answer.partition(";")[0] == stairs.answer.partition(";")[0]


def test_a_lot_after_the_plans_end_is_not_there_and_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(BY_HAND)
    run = simulate(
        load_plan(tmp_path / "plan.yaml", sets=["deliveries.b.at=2031-03-10"]), out=tmp_path / "run"
    )
    found = lot(run, "b")
    assert (
        found.text()
        .splitlines()[0]
        .startswith("lot b: its 20 GPUs come on 2031-03-10, after the plan's end, 20")
    )
    assert "without power" not in found.text()
    assert found.to_json()["beyond_the_plan"] is True
    last = run.supply.filter(lot="b", step="delivered").sort("month")
    assert last["gpus"].to_list() == [0] * last.height
