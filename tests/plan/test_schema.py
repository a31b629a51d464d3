"""The JSON Schema says what the loader does: nothing is accepted and ignored, and nothing works in secret."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.declared import Keyed, keys_of
from gpufleet.plan.load import read_tree
from gpufleet.plan.plan import Plan as PlanModel
from gpufleet.plan.schema import _parts_of, plan_schema
from gpufleet.plan.tree import parse_yaml, to_data

Load = Callable[..., Plan]
PLANS = sorted(path.name for path in (Path(__file__).parents[2] / "plans").iterdir() if path.is_dir())

# What the plan with every key cannot hold at the same time.
SRTF = "order: srtf\n  select: count\n  restart_overhead: [{gpus_up_to: 8, add: 40 s}, {add: 60 s}]\n"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", PLANS)
def test_the_shipped_plans_are_valid(validator: jsonschema.Draft202012Validator, name: str) -> None:
    tree = to_data(read_tree(Path(__file__).parents[2] / "plans" / name))
    assert [error.message for error in validator.iter_errors(tree)] == []


def keys_written(data: Any) -> Iterator[str]:
    """Every key that stands anywhere in a plan."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from keys_written(value)
    elif isinstance(data, list):
        for value in data:
            yield from keys_written(value)


def test_every_key_of_the_schema_is_accepted(
    load: Load,
    folder: Path,
    full: str,
    sharing: str,
    law: str,
    chain: str,
    money: str,
    small: str,
    validator: jsonschema.Draft202012Validator,
) -> None:
    (folder / "own.py").write_text("def f(job):\n    return 1\ndef g(place):\n    return 1\n")
    own = small.replace(
        "order: fifo", "order: {python: own.py:f}\n  placement: {python: own.py:g, take: node}"
    )
    srtf = small.replace("order: fifo\n", SRTF)
    table = small.replace("  vision: {}", "").replace("research: {quota: {B200: 32}}", "")
    table = table.replace(
        "tenants:\n", "tenants: {table: nodes.csv, columns: {name: vc}, each: {title: x}}\n"
    )
    table = table.replace("queue: research", "queue: a")
    written: set[str] = set()
    for text in (full, sharing, law, chain, money, srtf, table, own):
        load(text)
        data = to_data(parse_yaml(text, "plan.yaml"))
        assert [error.message for error in validator.iter_errors(data)] == []
        written |= set(keys_written(data))
    models: list[type[Keyed]] = [PlanModel, *_parts_of(PlanModel)]
    assert {key for model in models for key in keys_of(model)} - written == set()


def strip(value: Any) -> Any:
    """A plan as data, without lines and without what was written."""
    if isinstance(value, dict):
        return {
            key: strip(item) for key, item in value.items() if key not in ("line", "at", "data", "warnings")
        }
    if isinstance(value, list | tuple):
        return [strip(item) for item in value]
    return value


def what_it_means(load: Load, data: Any) -> Any:
    try:
        plan = load(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    except GpufleetError as error:
        return str(error)
    # Kept apart: the texts in `origins` would change with any value.
    marks = {path: (o.source, o.trust, o.range) for path, o in plan.origins.items()}
    kept = {path: mark for path, mark in marks.items() if any(mark)}
    return strip(plan.model_dump(exclude={"origins"})), kept


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def test_every_key_is_used(load: Load, full: str) -> None:
    """Without any one key the plan means something else, or cannot be read."""
    whole = to_data(parse_yaml(full, "plan.yaml"))
    meaning = what_it_means(load, whole)
    for path in list(leaves(whole)):
        without = copy.deepcopy(whole)
        part = without
        for key in path[:-1]:
            part = part[key]
        del part[path[-1]]
        assert what_it_means(load, without) != meaning, path


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("order: fifo", "ordr: fifo"),
        ("order: fifo", "order: lifo"),
        ("power: 200 kW", "power: 200"),
        ("gpus: 64", "gpus: -64"),
        ("gpus: 64", "gpus: 1.5"),
        ("gpus: 64", "gpus: 64, nodes: 8"),
        ("gpus: 64, ", ""),
        ("at: 2026-01-05}", "at: 2026-Q1}"),
        ("kind: campaign", "kind: campain"),
        ("gpus: 64", "gpus: {value: 64, sauce: a}"),
        ("pue: 1.3", "pue: 0.9"),
        ("gpufleet: 1", "gpufleet: 2"),
        ("  vision: {}", "  vision: []"),
        ("tenants:\n", "tenants: {table: x.csv, columns: {nam: y}}\nx:\n"),
    ],
)
def test_an_editor_sees_the_same_mistakes(
    validator: jsonschema.Draft202012Validator, small: str, line: str, instead: str
) -> None:
    assert line in small
    assert not validator.is_valid(to_data(parse_yaml(small.replace(line, instead), "plan.yaml")))
    assert validator.is_valid(to_data(parse_yaml(small, "plan.yaml")))
