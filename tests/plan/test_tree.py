"""Plain words, places and paths."""

from __future__ import annotations

import pytest

from gpufleet.base.errors import Place
from gpufleet.plan.tree import Leaf, Map, parse_yaml, plain, same, to_data, walk


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("010", 10), ("0x10", "0x10"), ("1_000", "1_000"),
        ("-3", -3), ("1.5e3", 1500.0), (".5", 0.5), (".nan", ".nan"), ("6214e9", 6214e9),
        ("True", True), ("null", None), ("2026-01-05", "2026-01-05"), ("9" * 50, "9" * 50),
    ],
)  # fmt: skip
def test_plain_words_follow_yaml_1_2(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_quoted_words_are_text_and_keys_are_text() -> None:
    tree = parse_yaml("103959: '5'\nno: \"true\"\n? 1.0\n: |\n  12\n", "p")
    assert to_data(tree) == {"103959": "5", "no": "true", "1.0": "12\n"}


def test_a_leaf_keeps_its_text_and_place() -> None:
    tree = parse_yaml("a:\n  b: [1, 6214e9]\n", "p.yaml")
    assert isinstance(tree, Map)
    leaf = dict(walk(tree))["a.b.1"]
    assert leaf == Leaf(6214e9, "6214e9", Place("p.yaml", 2, 10))
    assert tree.key_at["a"] == Place("p.yaml", 1, 1)


def test_text_that_is_not_in_a_file_has_no_line() -> None:
    assert str(parse_yaml("x", "--set a", first_line=0).at) == "--set a"


def test_aliases_are_what_they_stand_for() -> None:
    tree = parse_yaml("a: &x {b: 1}\nc: *x\n", "p")
    assert same(tree, parse_yaml("a: {b: 1}\nc: {b: 1}", "q"))


def test_list_items_are_named_by_name_or_number() -> None:
    assert [path for path, _ in walk(parse_yaml("a: [{name: x}, {b: 1}]", "p"))] == [
        "", "a", "a.x", "a.x.name", "a.1", "a.1.b",
    ]  # fmt: skip
