from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.catalog.profile_values import line_of
from gpufleet.catalog.profiles import load_profile, profile_names, profiles
from gpufleet.catalog.rows import FOLDER

GOOD: dict[str, Any] = {
    "schema": "gpufleet.profile/1",
    "name": "lab",
    "title": "A lab",
    "source": "by hand",
    "license": "none",
    "made_by": "by hand",
    "trust": "assumption",
    "jobs": 4,
    "weeks": 2,
    "time_zone": "local",
    "arrivals": {"hour_of_week": [1] * 168, "day_cv": 0.3, "hour_cv": 0},
    "sizes": [
        {
            "gpus": 1,
            "share": 0.75,
            "run_s": {"p": [0, 0.5, 1], "s": [10, 20, 50]},
            "mean_run_s": 25,
            "limit": None,
        },
        {
            "gpus": 8,
            "share": 0.25,
            "run_s": {"p": [0, 1], "s": [100, 100]},
            "mean_run_s": 100,
            "limit": {"share": 0.5, "p": [0, 1], "over_run": [1, 3]},
        },
    ],
    "users": {"count": 2, "p": [0, 0.5, 1], "share": [0, 0.9, 1]},
    "queues": {"a": 0.5, "b": 0.5},
    "end_states": {},
    "mean_gpus": 2.75,
    "mean_run_s": 43.75,
    "mean_gpu_s": 218.75,
}

Save = Callable[[Any], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def to_file(content: Any) -> Path:
        path = tmp_path / "lab.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    return to_file


def changed(*keys: str | int, to: Any) -> dict[str, Any]:
    """GOOD with one value changed; without it if ``to`` is Ellipsis."""
    made = copy.deepcopy(GOOD)
    inner: Any = made
    for key in keys[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return made


def refused(path: Path | str) -> tuple[Finding, ...]:
    with pytest.raises(GpufleetError) as caught:
        load_profile(path)
    return caught.value.findings


def test_a_file_is_read_and_written_as_it_was(save: Save) -> None:
    made = load_profile(save(GOOD))
    assert json.loads(made.text()) == GOOD
    assert load_profile(save(made.text())) == made
    assert [size.run_s.mean_s for size in made.sizes] == [25.0, 100.0]


def test_what_is_not_known_may_be_null(save: Save) -> None:
    made = load_profile(save(changed("users", to=None)))
    assert made.users is None
    assert json.loads(made.text())["users"] is None


@pytest.mark.parametrize("name", ["philly", "helios", "acme-seren", "acme-kalos"])
def test_shipped_profiles_are_whole(name: str) -> None:
    made = load_profile(name)
    assert name in profile_names()
    assert made.name == name
    assert made.text() == (FOLDER / "profiles" / f"{name}.json").read_text(encoding="utf-8")
    assert profiles()[name].mean_gpus == made.mean_gpus


@pytest.mark.parametrize(
    ("keys", "to", "code", "says"),
    [
        (("jobs",), 0, "C014", "`jobs`: it was made from 0 jobs"),
        (("jobs",), 1, "C014", "`jobs`: it was made from 1 job"),
        (("jobs",), 2.5, "C012", "`jobs`: it is 2.5"),
        (("jobs",), True, "C012", "`jobs`: it is true"),
        (("name",), ..., "C012", "`name` is missing"),
        (("title",), " ", "C012", '`title`: it is " "'),
        (("trust",), "certain", "C012", '`trust`: it is "certain"'),
        (("weeks",), 0, "C012", "`weeks`: it is 0"),
        (("arrivals",), [], "C012", "`arrivals`: it is []"),
        (("arrivals", "hour_of_week"), [1] * 167, "C013", "it has 167 weights"),
        (("arrivals", "hour_of_week"), [2] * 168, "C013", "the mean of the weights is 2, not 1"),
        (("arrivals", "hour_of_week"), ["x"] * 168, "C012", "`arrivals.hour_of_week`: it is"),
        (("arrivals", "day_cv"), -0.1, "C012", "`arrivals.day_cv`: it is -0.1"),
        (("sizes",), [], "C012", "`sizes`: it is []"),
        (("sizes", 1, "gpus"), 0, "C012", "`sizes[1].gpus`: it is 0"),
        (("sizes", 1, "gpus"), 1, "C013", "`sizes[1].gpus`: 1 GPUs come after 1"),
        (("sizes", 1, "share"), 0.35, "C013", "`sizes`: the shares sum to 1.1, not 1"),
        (("sizes", 0, "run_s", "p"), [0, 0, 1], "C013", "`sizes[0].run_s.p`: value 1 = 0 comes after 0"),
        (("sizes", 0, "run_s", "p"), [0, 0.5, 0.9], "C013", "p goes from 0 to 0.9, not from 0 to 1"),
        (("sizes", 0, "run_s", "p"), [0, 1], "C013", "3 values of s at 2 of p"),
        (("sizes", 0, "run_s", "s"), [10, 5, 50], "C013", "`sizes[0].run_s.s`: value 1 = 5 comes after 10"),
        (("sizes", 0, "run_s", "s"), [10, 20, 1e12], "C013", "its largest value is 1e+12"),
        (("sizes", 0, "run_s", "s"), [], "C012", "`sizes[0].run_s.s`: it is []"),
        (("sizes", 0, "mean_run_s"), 26, "C013", "its quantiles have a mean of 25 s, mean_run_s is 26 s"),
        (("sizes", 1, "limit", "share"), 0, "C012", "`sizes[1].limit.share`: it is 0"),
        (("sizes", 1, "limit"), ..., "C012", "`sizes[1].limit` is missing"),
        (("users", "share"), [0, 0.9, 0.95], "C013", "the shares go from 0 to 0.95, not from 0 to 1"),
        (("users", "count"), 0, "C012", "`users.count`: it is 0"),
        (("queues", "a"), 0.6, "C013", "`queues`: the shares sum to 1.1, not 1"),
        (("queues", "a"), "much", "C012", '`queues.a`: it is "much"'),
        (("mean_gpus",), 3, "C013", "`mean_gpus`: it is 3; the sizes make 2.75"),
        (("mean_gpu_s",), 200, "C013", "`mean_gpu_s`: it is 200; the sizes make 218.75"),
        (("colour",), "red", "C012", "`colour` is not known"),
    ],
)
def test_what_is_wrong_is_found(
    save: Save, keys: tuple[str | int, ...], to: Any, code: str, says: str
) -> None:
    path = save(changed(*keys, to=to))
    found = refused(path)
    assert [(each.code, says in each.says) for each in found] == [(code, True)], [each.says for each in found]
    assert all(each.fix for each in found)
    at = found[0].at
    assert at is not None
    assert at.file == str(path)
    word = re.match(r"`(?:.*[.\]])?(\w+)`", found[0].says)
    assert word is not None
    line = path.read_text().splitlines()[at.line - 1]
    assert f'"{word[1]}"' in line or (to is ... and (at.line == 1 or line.strip() == "{"))


def test_the_line_is_that_of_the_key(save: Save) -> None:
    path = save(changed("sizes", 1, "run_s", "s", to=[100, 99]))
    (found,) = refused(path)
    assert found.at is not None
    lines = path.read_text().splitlines()
    assert lines[found.at.line - 1].strip() == '"s": ['
    assert lines[found.at.line].strip() == "100,"


def test_everything_is_found_at_once(save: Save) -> None:
    made = changed("jobs", to=1)
    made["sizes"][0]["share"] = "all"
    made["wat"] = made["sizes"][1].pop("limit")
    assert sorted(each.code for each in refused(save(made))) == ["C012", "C012", "C012", "C014"]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "C011", "it cannot be read as JSON: Expecting value"),
        ("{", "C011", "it cannot be read as JSON"),
        ('{"a": 1, "a": 2}', "C011", "`a` comes twice"),
        ("[" * 100_000, "C011", "it cannot be read as JSON"),
        ('{"schema": "\\ud800"}', "C011", "it cannot be read as JSON"),
        ("[]", "C011", "its `schema` is 'list', not gpufleet.profile/1"),
        ('{"schema": "gpufleet.profile/2"}', "C011", "its `schema` is 'gpufleet.profile/2'"),
    ],
)
def test_files_that_are_no_profile(save: Save, text: str, code: str, says: str) -> None:
    (found,) = refused(save(text))
    assert found.code == code
    assert says in found.says


def test_bytes_that_are_no_text_and_files_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe{}")
    assert refused(path)[0].code == "C011"
    path.write_bytes(b" " * (1 << 24) + b"{}")
    assert "a profile has at most 16,777,216" in refused(path)[0].says


def test_numbers_that_json_does_not_have(save: Save) -> None:
    text = json.dumps(GOOD).replace('"day_cv": 0.3', '"day_cv": NaN').replace('"weeks": 2', '"weeks": 1e999')
    assert [each.code for each in refused(save(text))] == ["C012", "C012"]


def test_a_name_that_is_not_there() -> None:
    (found,) = refused("phily")
    assert (found.code, found.fix) == ("C010", "did you mean `philly`?")
    (found,) = refused("no/such/file.json")
    assert found.code == "C010"


def test_a_folder_is_no_profile(tmp_path: Path) -> None:
    assert "is no file" in refused(tmp_path)[0].says


def test_a_line_that_cannot_be_told_is_0() -> None:
    assert line_of("{", ("a",)) == 0


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Keys of every value of a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, each in inner for path in paths(each, (*at, key)))]


PLAIN = st.text(st.characters(max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([path for path in paths(GOOD) if path]), ANYTHING)
def test_nothing_in_a_file_ends_in_anything_but_findings(
    tmp_path_factory: pytest.TempPathFactory, keys: tuple[str | int, ...], value: Any
) -> None:
    path = tmp_path_factory.mktemp("any") / "p.json"
    path.write_text(json.dumps(changed(*keys, to=value)))
    error = None
    try:
        made = load_profile(path)
    except GpufleetError as caught:
        error = caught
    if error is None:
        path.write_text(made.text())
        assert load_profile(path) == made
        return
    assert {each.code for each in error.findings} <= {"C011", "C012", "C013", "C014"}
    assert all(each.at and each.at.line for each in error.findings)
