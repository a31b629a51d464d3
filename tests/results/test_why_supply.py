"""Why a promise is not kept and what a tenant gets, against the staircase worked out by hand."""

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
from gpufleet.results.explain_supply import SupplyExplanation
from gpufleet.results.run import Run
from gpufleet.study import simulate


@pytest.fixture(scope="module")
def stairs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulated(tmp_path_factory.mktemp("stairs"), BY_HAND)


def simulated(folder: Path, text: str, *sets: str) -> Run:
    (folder / "plan.yaml").write_text(text)
    return simulate(load_plan(folder / "plan.yaml", sets=sets), out=folder / "run")


def asked(run: Run, word: str) -> SupplyExplanation:
    found = run.why(word)
    assert isinstance(found, SupplyExplanation)
    return found


def test_a_promise_with_its_lots_and_what_is_short(stairs: Run) -> None:
    assert asked(stairs, "big").text().splitlines() == [
        "promise big: 44 of 100 GPUs are online on 2026-05-31; largest shortage: 48 have no order "
        "(x, plan.yaml:16)",
        "  100 GPUs for x; plan.yaml:16",
        "  between 90 and 110 GPUs",
        "  made on 2026-01-10; falls due from 2026-02-01 to 2026-05-31",
        "  trust: not said",
        "",
        "  a: 32 old at hill, delivered 2026-01-20; on the day 32 are ordered, 32 powered, 32 online; "
        "plan.yaml:20",
        "  b: 20 new at hill, delivered 2026-03-10; on the day 20 are ordered, 12 powered, 12 online; "
        "plan.yaml:22",
        "",
        "  big: 48 have no order (x, plan.yaml:16)",
        "  b: 8 have no power at hill (x, plan.yaml:9)",
    ]


def test_more_than_was_promised_is_not_counted(stairs: Run) -> None:
    small = asked(stairs, "promises.small")
    assert small.text().startswith("promise small: 10 of 10 GPUs are online on 2026-04-30 (low 0, high 10);")
    assert (small.promises[0].online_gpus, small.promises[0].online_high_gpus) == (12, 12)


def test_a_tenants_promises_stand_side_by_side(stairs: Run) -> None:
    text = asked(stairs, "tenants.x").text().splitlines()
    assert text[:4] == [
        "tenant x: 36 of the 52 GPUs of its own lots are online on 2026-06-30; largest shortage: 48 have no "
        "order (x, plan.yaml:16)",
        "  promises stand side by side; they are never added up",
        "  big: 100 GPUs due by 2026-05-31, 36 online; plan.yaml:16",
        "  small: 10 GPUs due by 2026-04-01, 20 online; plan.yaml:18",
    ]
    assert text[-1] == "  a: 16 are out of service at hill (x, plan.yaml:31)"


def test_a_lot_of_two_promises_is_short_once(tmp_path: Path) -> None:
    run = simulated(tmp_path, BY_HAND, "sites.hill.power=20 kW")
    short = [(each.lot, each.step, each.gpus) for each in asked(run, "x").short]
    assert short == [(None, "not_ordered", 48), ("b", "not_powered", 20), ("a", "not_online", 16)]


def test_a_tenant_without_a_promise(stairs: Run) -> None:
    told = asked(stairs, "y")
    assert told.text().splitlines() == [
        "tenant y: 12 of the 12 GPUs of its own lots are online on 2026-06-30",
        "",
        "  #3: 12 old at sea, delivered 2026-05-31; on the day 12 are ordered, 12 powered, 12 online; "
        "plan.yaml:29",
    ]
    assert not told.promises


def test_a_tenant_that_gets_nothing(tmp_path: Path) -> None:
    run = simulated(tmp_path, BY_HAND.replace("tenants: {x: {}, y: {}}", "tenants: {x: {}, y: {}, z: {}}"))
    assert asked(run, "z").text().splitlines() == [
        "tenant z: the plan has no lot of its own",
        "",
        "  no lot is for it",
    ]


def test_as_json(stairs: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for word in ("big", "y"):
        with pytest.raises(SystemExit) as done:
            main(["why", str(stairs.path), word, "--json"])
        assert not done.value.code
        found[word] = json.loads(capsys.readouterr().out)
    assert (found["big"]["schema"], found["big"]["on"]) == ("gpufleet.why-promise/1", "2026-05-31")
    assert found["big"]["promises"][0]["gpus_range"] == [90, 110]
    assert [(s["lot"], s["step"], s["gpus"]) for s in found["big"]["short"]] == [
        (None, "not_ordered", 48), ("b", "not_powered", 8)
    ]  # fmt: skip
    assert (found["y"]["schema"], found["y"]["tenant"]) == ("gpufleet.why-tenant/1", "y")
    assert found["y"]["lots"][0]["steps"] == dict.fromkeys(("ordered", "delivered", "powered", "online"), 12)


def test_source_and_trust_of_a_promise_are_told(tmp_path: Path) -> None:
    text = BY_HAND.replace("promises:\n", "sources: {paper: {title: A paper}}\npromises:\n")
    run = simulated(
        tmp_path, text.replace("small: {for: x,", "small: {for: x, by: Y, source: paper, trust: estimate,")
    )
    lines = asked(run, "small").text().splitlines()
    assert lines[1].startswith("  10 GPUs for x, promised by Y; plan.yaml:")
    assert lines[3:5] == ["  source: A paper", "  trust: estimate"]


@pytest.mark.parametrize(
    ("word", "fix"), [("promises.bigg", "did you mean `big`?"), ("tenants.q", "known: x, y")]
)
def test_no_such_part(stairs: Run, word: str, fix: str) -> None:
    with pytest.raises(GpufleetError) as error:
        stairs.why(word)
    assert (error.value.findings[0].code, error.value.findings[0].fix) == ("R008", fix)


def test_a_name_of_a_lot_and_of_a_promise_is_refused(tmp_path: Path) -> None:
    text = BY_HAND.replace("name: a,", "name: big,").replace("lot: a,", "lot: big,")
    run = simulated(tmp_path, text)
    with pytest.raises(GpufleetError) as error:
        run.why("big")
    found = error.value.findings[0]
    assert (found.code, found.says) == ("R007", "`big` means deliveries.big, promises.big")
    assert asked(run, "promises.big").name == "big"


def test_the_answer_says_when_jobs_end_and_counts_supply_to_the_plans_end(tmp_path: Path) -> None:
    run = simulated(tmp_path, BY_HAND, "jobs_until=2026-02-15")
    assert run.answer.startswith("44 of 100 promised GPUs are online on 2026-05-31; ")
    assert "; jobs simulated until 2026-02-15; " in run.answer
    assert "came online" not in run.answer
    assert "without power" not in run.answer


def test_power_is_counted_beyond_the_last_job(tmp_path: Path) -> None:
    start, end = BY_HAND.index("promises:"), BY_HAND.index("deliveries:")
    text = BY_HAND[:start] + BY_HAND[end:]
    text = text.replace(", counts_toward: big", "").replace("    counts_toward: [big, small]\n", "")
    power = "20 of 52 GPUs at hill were without power for a time; first limit: power at hill (plan.yaml:9)"
    run = simulated(tmp_path, text, "jobs_until=2026-02-15")
    assert f"; jobs simulated until 2026-02-15; {power}; " in run.answer
    whole = simulated(tmp_path, text)
    assert power in whole.answer
    assert "jobs simulated until" not in whole.answer


def test_sources_of_stairs(tmp_path: Path) -> None:
    text = BY_HAND.replace("promises:\n", "sources: {said: {title: S}, bought: {title: B}}\npromises:\n")
    text = text.replace("big: {for: x,", "big: {for: x, source: said, trust: stated,")
    text = text.replace("{name: a,", "{name: a, source: bought,")
    run = simulated(tmp_path, text)
    entries = {(e["name"], *sorted(e["by"].items())): e for e in run.ledger["entries"]}
    for by in ([("step", "online")], [("promise", "big"), ("step", "online")]):
        assert entries["supply_gpus", *by]["source"] == "bought"
    pledged = entries["supply_gpus", ("promise", "big"), ("step", "pledged")]
    assert (pledged["source"], pledged["trust"]) == ("said", "stated")
    assert entries["shortage_gpus", ("promise", "big")]["source"] == "said, bought"


def test_trust_is_the_weakest_and_none_where_one_value_has_none(tmp_path: Path) -> None:
    text = BY_HAND.replace("  - {to: sea, system", "  - {trust: stated, to: sea, system")
    run = simulated(tmp_path, text)
    trust = dict(run.supply.select("lot", "trust").drop_nulls("lot").unique().iter_rows())
    assert trust == {"a": "stated", "b": "assumption", "#3": "stated"}
    text = text.replace(
        "at: {value: 2026-03-10, range: [2026-02-10, 2026-05-10], trust: assumption}", "at: 2026-03-10"
    )
    run = simulated(tmp_path, text)
    assert dict(run.supply.select("lot", "trust").unique().iter_rows())["b"] is None


def test_a_promise_that_is_due_after_the_plans_end_keeps_its_date(tmp_path: Path) -> None:
    run = simulated(tmp_path, BY_HAND, "promises.big.until=2031-05-31")
    first = asked(run, "big").text().splitlines()[0]
    assert "the plan's last day; it is due by 2031-05-31, after the plan's end" in first
    assert "due by 2031-05-31, after the plan's end" in run.answer
