"""What cannot be meant: each is an error with its code, file, line and a fix."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError, explanations
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]

# Line of SMALL that is replaced, what stands there instead, what is found.
CASES = [
    ("unknown key", "  order: fifo", "  ordr: fifo", ["P006 plan.yaml:15"]),
    ("unknown section", "policy:", "polcy:", ["P006 plan.yaml:14"]),
    ("missing unit", "power: 200 kW", "power: 200", ["P009 plan.yaml:6"]),
    ("wrong unit", "power: 200 kW", "power: 200 h", ["P009 plan.yaml:6"]),
    ("negative power", "power: 200 kW", "power: -200 kW", ["P011 plan.yaml:6"]),
    ("a duration without unit", "duration: 3 d", "duration: 259200", ["P009 plan.yaml:13"]),
    ("a duration of zero", "duration: 3 d", "duration: 0 s", ["P011 plan.yaml:13"]),
    ("part of a second", "duration: 3 d", "duration: 1.5 s", ["P011 plan.yaml:13"]),
    ("negative GPUs", "gpus: 64", "gpus: -64", ["P010 plan.yaml:8"]),
    ("no GPUs", "gpus: 64", "gpus: 0", ["P010 plan.yaml:8"]),
    ("fractional GPUs", "gpus: 64", "gpus: 12.5", ["P010 plan.yaml:8"]),
    ("GPUs in words", "gpus: 64", "gpus: 26만", ["P010 plan.yaml:8"]),
    ("GPUs with separators", "gpus: 64", "gpus: '50,000'", ["P010 plan.yaml:8"]),
    ("GPUs and nodes", "gpus: 64", "gpus: 64, nodes: 8", ["P023 plan.yaml:8"]),
    ("neither GPUs nor nodes", "gpus: 64, ", "", ["P023 plan.yaml:8"]),
    ("delivery before the start", "at: 2026-01-05}", "at: 2025-03-01}", ["P013 plan.yaml:8"]),
    ("campaign after the end", "at: 2026-01-08}", "at: 2026-01-19}", ["P013 plan.yaml:13"]),
    ("not a date", "at: 2026-01-08}", "at: soon}", ["P012 plan.yaml:13"]),
    ("a day that is not", "at: 2026-01-08}", "at: 2026-02-30}", ["P012 plan.yaml:13"]),
    ("a quarter without a range", "at: 2026-01-05}", "at: 2026-Q1}", ["P012 plan.yaml:8"]),
    ("a year without a range", "at: 2026-01-05}", "at: 2026}", ["P012 plan.yaml:8"]),
    ("range upside down", "gpus: 64", "gpus: {value: 64, range: [70, 60]}", ["P014 plan.yaml:8"]),
    ("value outside its range", "gpus: 64", "gpus: {value: 64, range: [1, 2]}", ["P014 plan.yaml:8"]),
    ("a range of one", "gpus: 64", "gpus: {value: 64, range: [64]}", ["P014 plan.yaml:8"]),
    ("a range of a word", "order: fifo", "order: {value: fifo, range: [a, b]}", ["P008 plan.yaml:15"]),
    ("unknown key of a long value", "gpus: 64", "gpus: {value: 64, sauce: a}", ["P006 plan.yaml:8"]),
    ("unknown source", "gpus: 64", "gpus: {value: 64, source: a}", ["P016 plan.yaml:8"]),
    ("unknown trust", "gpus: 64", "gpus: {value: 64, trust: maybe}", ["P015 plan.yaml:8"]),
    ("unknown site", "to: lab", "to: lob", ["P016 plan.yaml:8"]),
    ("unknown system", "system: DGX B200", "system: DGX B20", ["C001 plan.yaml:8"]),
    ("unknown product", "{B200: 32}", "{B20: 32}", ["C001 plan.yaml:10"]),
    ("ambiguous product", "{B200: 32}", "{A100: 32}", ["C002 plan.yaml:10"]),
    ("unknown queue", "queue: research", "queue: reserch", ["P016 plan.yaml:13"]),
    ("unknown owner", "gpus: 64", "gpus: 64, for: nobody", ["P016 plan.yaml:8"]),
    ("unknown time zone", "end:", "time_zone: Asia/Soul\nend:", ["P016 plan.yaml:4"]),
    ("two tenants with one name", "  vision: {}", "  research: {}", ["P005 plan.yaml:11"]),
    ("two queues with one name", "  vision: {}", "  vision: {queues: {research: {}}}", ["P020 plan.yaml:11"]),
    ("two quotas for one product", "{B200: 32}", "{B200: 32, B200-SXM: 8}", ["P020 plan.yaml:10"]),
    ("a quota beside queues", "  vision: {}", "  vision: {queues: {a: {}}, quota: {B200: 1}}",
     ["P023 plan.yaml:11"]),
    ("no queues", "  vision: {}", "  vision: {queues: {}}", ["P008 plan.yaml:11"]),
    ("tenants as a list", "  vision: {}", "  vision: [a]", ["P008 plan.yaml:11"]),
    ("missing key", "pue: 1.3", "title: x", ["P007 plan.yaml:6"]),
    ("PUE below 1", "pue: 1.3", "pue: 0.9", ["P021 plan.yaml:6"]),
    ("end before start", "end: 2026-01-19", "end: 2026-01-01", ["P022 plan.yaml:4"]),
    ("another version", "gpufleet: 1", "gpufleet: 2", ["P042 plan.yaml:1"]),
    ("unknown word", "order: fifo", "order: shortest", ["P015 plan.yaml:15"]),
    ("depth below 1", "order: fifo", "backfill: {kind: easy, depth: 0}", ["P010 plan.yaml:15"]),
    ("depth without backfill", "order: fifo", "backfill: {kind: none, depth: 5}", ["P024 plan.yaml:15"]),
    ("window with easy", "order: fifo", "backfill: {kind: easy, window: 1 h}", ["P024 plan.yaml:15"]),
    ("srtf with backfill", "order: fifo", "order: srtf\n  backfill: easy", ["P023 plan.yaml:16"]),
    ("sjf without estimate", "order: fifo", "order: sjf\n  estimate: none", ["P023 plan.yaml:16"]),
    ("overhead without srtf", "order: fifo", "restart_overhead: 30 s", ["P024 plan.yaml:15"]),
    ("select without srtf", "order: fifo", "select: count", ["P024 plan.yaml:15"]),
    ("estimate without use", "order: fifo", "estimate: {factor: 2}", ["P024 plan.yaml:15"]),
    ("a speed of zero", "at: 2026-01-08", "products: {B200: 0}, at: 2026-01-08", ["P011 plan.yaml:13"]),
    ("no kind", "kind: campaign, ", "", ["P007 plan.yaml:13"]),
    ("unknown file", "policy:", "files: {a: no.csv}\npolicy:", ["P025 plan.yaml:14"]),
    ("not YAML", "  vision: {}", "  vision: {", ["P001 plan.yaml:13"]),
    ("a tag", "  vision: {}", "  vision: !!python/object:os.system {}", ["P004 plan.yaml:11"]),
    ("a merge key", "  vision: {}", "  vision: {<<: {}}", ["P004 plan.yaml:11"]),
    ("unknown scenario below", "policy:", "scenarios: {a: {with: [b]}}\npolicy:", ["P016 plan.yaml:14"]),
    ("power steps in disorder", "power: 200 kW",
     "power: [{from: 2026-01-09, value: 1 MW}, {from: 2026-01-07, value: 2 MW}]", ["P014 plan.yaml:6"]),
    ("overhead bands in disorder", "order: fifo",
     "order: srtf\n  restart_overhead: [{gpus_up_to: 8, add: 1 s}, {gpus_up_to: 4, add: 2 s}]",
     ["P014 plan.yaml:16"]),
    ("a name of the catalogue", "policy:",
     "systems: {DGX H100: {product: H100, gpus_per_node: 8}}\npolicy:", ["P020 plan.yaml:14"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "instead", "found"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_one_mistake_is_found_where_it_is(
    codes: Codes, small: str, line: str, instead: str, found: list[str]
) -> None:
    assert line in small
    assert codes(small.replace(line, instead)) == found


def test_all_mistakes_are_found_at_once(codes: Codes, small: str) -> None:
    text = small.replace("gpus: 64", "gpus: -1").replace("200 kW", "200").replace("order", "ordr")
    assert codes(text) == ["P009 plan.yaml:6", "P010 plan.yaml:8", "P006 plan.yaml:15"]


def test_findings_are_in_the_order_of_the_file_and_said_once(codes: Codes, small: str) -> None:
    found = codes(small.replace("2026-01-05\n", "2026-13-05\n").replace("end: 2026-01-19", "end: x"))
    assert found == ["P012 plan.yaml:3", "P012 plan.yaml:4"]


def test_every_code_that_is_found_is_explained() -> None:
    for code in {found.split()[0] for case in CASES for found in case[3]}:
        assert explanations[code].why
        assert explanations[code].example


def test_a_suggestion_for_an_unknown_key(load: Callable[..., object], small: str) -> None:
    with pytest.raises(GpufleetError, match="did you mean `backfill`"):
        load(small.replace("order: fifo", "backfil: easy"))


@pytest.mark.parametrize(("content", "code"), [
    (b"", "P008"), (b"- a\n", "P008"), (b"a\n", "P008"), (b"\xff\xfe\x00a", "P002"), (b"\x00" * 100, "P001"),
    (b"a: 1\n---\nb: 2\n", "P004"), (b"[" * 5000, "P004"), (b"{a: " * 5000, "P004"), (b"\xc3", "P002"),
])  # fmt: skip
def test_files_that_are_no_plan(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(GpufleetError) as error:
        load_plan(path)
    assert [found.code for found in error.value.findings] == [code]


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(GpufleetError, match="aliases unfold to more than 20,000 values"):
        load_plan(path)


def test_depth_by_aliases_is_refused(tmp_path: Path) -> None:
    deep = "[" * 15 + "x" + "]" * 15
    lines = [f"a0: &a0 {deep}"] + [f"a{i}: &a{i} {deep.replace('x', f'*a{i - 1}')}" for i in range(1, 100)]
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(GpufleetError, match="nested more than 40 deep"):
        load_plan(path)


def test_a_long_chain_of_scenarios_is_refused(codes: Codes, small: str) -> None:
    chain = "".join(f"  s{i}: {{with: [s{i + 1}]}}\n" for i in range(300))
    found = codes(small + "scenarios:\n" + chain + "  s300: {set: {policy.order: sjf}}\n")
    assert found[0].startswith("P031")


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "rubbish.yaml"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    began = time.perf_counter()
    with pytest.raises(GpufleetError, match="200 MB; a plan file is at most 2 MB"):
        load_plan(path)
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("name", ["no/such/plan.yaml", "plan.yml", "", "\0", "a" * 5000])
def test_a_path_that_is_no_plan(tmp_path: Path, name: str) -> None:
    with pytest.raises(GpufleetError) as error:
        load_plan(f"{tmp_path}/{name}")
    assert [found.code for found in error.value.findings] == ["P002"]


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("nowhere/plan.yaml", "look at the path, or write a new plan with `gpufleet new`"),
        ("zzz", "look at the path, or write a new plan with `gpufleet new`"),
        ("my-pln.yaml", "did you mean `my-plan.yaml`?"),
    ],
)
def test_a_path_that_is_not_there_has_a_way_out(tmp_path: Path, path: str, fix: str) -> None:
    (tmp_path / "my-plan.yaml").touch()
    with pytest.raises(GpufleetError) as error:
        load_plan(tmp_path / path)
    assert error.value.findings[0].fix == fix


@pytest.mark.parametrize(
    ("word", "fix"), [("fifoo", "did you mean `fifo`?"), ("by-hand", "write one of these words")]
)
def test_the_fix_of_a_wrong_word_does_not_repeat_the_choices(
    load: Load, small: str, word: str, fix: str
) -> None:
    with pytest.raises(GpufleetError) as error:
        load(small.replace("order: fifo", f"order: {word}"))
    (found,) = error.value.findings
    assert found.says.startswith(f"`{word}` is not one of fifo, ")
    assert found.fix == fix


def test_a_device_is_not_read() -> None:
    with pytest.raises(GpufleetError, match="P002"):
        load_plan("/dev/zero")


def test_a_folder_is_merged_and_each_key_stands_once(folder: Path, small: str) -> None:
    head, policy = small.split("policy:\n")
    (folder / "plan.yaml").write_text(head)
    (folder / "policy.yaml").write_text("policy:\n" + policy)
    plan = load_plan(folder)
    assert str(plan.policy.line) == "policy.yaml:1"
    (folder / "more.yaml").write_text("policy:\n  order: sjf\n")
    with pytest.raises(GpufleetError, match=r"`policy` stands here and in more\.yaml:1"):
        load_plan(folder)


def test_a_folder_of_plans_is_no_plan(tmp_path: Path, small: str) -> None:
    for name in ("b.yaml", "a.yaml"):
        (tmp_path / name).write_text(small)
    with pytest.raises(GpufleetError) as error:
        load_plan(tmp_path)
    (found,) = error.value.findings
    assert found.code == "P002"
    assert "no plan.yaml" in found.says
    assert str(tmp_path / "a.yaml") in found.fix


def test_a_folder_where_a_file_is_wanted(load: Load, small: str, folder: Path) -> None:
    (folder / "logs").mkdir()
    with pytest.raises(GpufleetError, match="is a folder; a file is wanted"):
        load(small + "files: {trace: logs}\n")


def test_a_plan_tells_what_it_is_in_a_few_lines(load: Load, small: str) -> None:
    text = repr(load(small))
    assert text.startswith("plan small: 2026-01-05 to 2026-01-19, 64 GPUs at 1 site")
    assert len(text.splitlines()) == 6
    assert len(text) < 500
