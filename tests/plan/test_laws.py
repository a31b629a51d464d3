"""Laws of reading: nothing but GpufleetError comes out, and an override equals an edited file."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan
from gpufleet.plan.tree import parse_yaml, to_data, walk

Load = Callable[..., Plan]
RELAXED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

WORDS = st.sampled_from(
    ["", "~", "x", "2026-01-08", "2026-02", "2026-Q1", "2026", "-1", "0", "3 d", "10 MW", "1e9", "26만",
     "true", "lab", "research", "B200", "A100", "DGX B200", "own-node", "fifo", "srtf", "none", "easy",
     "jobs.csv", "nodes", "a.b", "#1"]
)  # fmt: skip
SCALARS = st.one_of(
    WORDS, st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(), st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("value"), inner, max_size=3),
    max_leaves=6,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] + [place for key, value in items for place in places(value, (*path, key))]


def put(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    data[place[0]] = put(data[place[0]], place[1:], value)
    return data


def load_or_findings(folder: Path, text: str) -> Plan | None:
    """The plan, or None if it has findings; anything else is a fault."""
    path = folder / "plan.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return load_plan(path)
    except GpufleetError as error:
        shown(error)
    return None


def shown(error: GpufleetError) -> None:
    assert error.findings
    assert all(found.text() for found in error.findings)


@RELAXED
@given(text=st.text(max_size=200))
def test_any_text_is_a_plan_or_findings(folder: Path, text: str) -> None:
    load_or_findings(folder, text)


@RELAXED
@given(text=st.text(alphabet="ab:-{}[]&*!|>\"'#?,% \n\t0", max_size=80))
def test_any_punctuation_is_a_plan_or_findings(folder: Path, text: str) -> None:
    load_or_findings(folder, text)


@settings(RELAXED, max_examples=300)
@given(data=st.data())
def test_a_plan_with_anything_anywhere_is_a_plan_or_findings(
    folder: Path, full: str, data: st.DataObject
) -> None:
    tree = to_data(parse_yaml(full, "plan.yaml"))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(tree)))
        tree = put(tree, place, copy.deepcopy(data.draw(VALUES)))
    load_or_findings(folder, yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))


@RELAXED
@given(path=st.text(max_size=20) | st.just("policy.order"), value=st.text(max_size=20))
def test_any_set_is_applied_or_a_finding(load: Load, small: str, path: str, value: str) -> None:
    try:
        load(small, [f"{path}={value}"])
    except GpufleetError as error:
        shown(error)


def without_places(plan: Plan) -> dict[str, Any]:
    """A plan as data, without where its values were written."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            written = ("line", "origins", "warnings", "overrides")
            return {key: strip(item) for key, item in value.items() if key not in written}
        return [strip(item) for item in value] if isinstance(value, list | tuple) else value

    stripped = strip(plan.model_dump())
    assert isinstance(stripped, dict)
    return stripped


CHANGES = {
    "policy.order": ["sjf", "priority"],
    "policy.backfill": ["easy", "{kind: conservative, depth: 5}"],
    "deliveries.lot-1.gpus": ["32", "60", "{value: 40, range: [30, 50], trust: estimate}"],
    "deliveries.0.at": ["2026-01-06", "2026-01-07 12:00"],
    "sites.lab.power": ["300 kW", "[{from: 2026-01-05, value: 100 kW}]"],
    "tenants.research.quota.B200": ["8", "0"],
    "workloads.big.duration": ["90 min"],
    "time_zone": ["Asia/Seoul"],
    "tenants.extra": ["{}"],
}


@RELAXED
@given(data=st.data(), paths=st.sets(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4))
def test_an_override_equals_the_edited_file(
    load: Load, small: str, data: st.DataObject, paths: set[str]
) -> None:
    edited = to_data(parse_yaml(small, "plan.yaml"))
    sets = []
    for path in sorted(paths):
        value = data.draw(st.sampled_from(CHANGES[path]))
        sets.append(f"{path}={value}")
        *parents, last = path.replace("lot-1", "0").split(".")
        part = edited
        for key in parents:
            part = part[int(key)] if key.isdecimal() else part[key]
        part[last] = to_data(parse_yaml(value, "value"))
    overridden = load(small, sets)
    by_hand = load(yaml.safe_dump(edited, sort_keys=False))
    assert without_places(overridden) == without_places(by_hand)
    assert [w.says for w in overridden.warnings] == [w.says for w in by_hand.warnings]
    for path in paths:
        assert str(overridden.line(path.replace("deliveries.0", "deliveries.lot-1"))) == f"--set {path}"


def test_every_value_knows_its_line_and_column(load: Load, full: str) -> None:
    plan = load(full)
    lines = full.splitlines()
    for path, origin in plan.origins.items():
        if origin.text:
            at = origin.at
            assert lines[at.line - 1][at.column - 1 :].lstrip("\"'").startswith(origin.text), path


def test_every_declared_value_has_a_place(load: Load, full: str) -> None:
    plan = load(full)
    for path, _ in walk(parse_yaml(full, "plan.yaml")):
        assert not path or plan.line(path) is not None
