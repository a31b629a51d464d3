"""Tables: rows of a CSV file as parts of a plan, found by their lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]

TABLES = """\
gpufleet: 1
name: tables
start: 2026-01-05
end: 2026-01-19
files: {nodes: nodes.csv}
sites: {hall: {}}
systems: {node: {product: own-gpu, gpus_per_node: 8}}
deliveries:
  table: nodes
  columns: {name: vc, for: vc, nodes: node num}
  each: {to: hall, system: node, at: 2026-01-05, status: online}
tenants: {table: nodes.csv, columns: {name: vc, quota.own-gpu: gpus}}
workloads: {big: {kind: campaign, queue: a, gpus: 16, duration: 1 d, at: 2026-01-06}}
"""


def test_a_table_is_what_one_would_write_by_hand(load: Load) -> None:
    plan = load(TABLES)
    assert [(d.name, d.tenant, d.nodes, d.gpus) for d in plan.deliveries] == [
        ("a", "a", 2, 16),
        ("b", "b", 3, 24),
    ]
    assert {q.name: q.quota for q in plan.queues.values()} == {"a": {"own-gpu": 16}, "b": {"own-gpu": 24}}
    assert plan.warnings == ()


def test_values_of_a_table_know_their_row(load: Load) -> None:
    plan = load(TABLES)
    assert str(plan.deliveries[1].line) == "nodes.csv:3"
    assert str(plan.line("deliveries.b.nodes")) == "nodes.csv:3"
    assert str(plan.line("deliveries.b.at")) == "plan.yaml:11"
    assert str(plan.line("tenants.b.quota.own-gpu")) == "nodes.csv:3"


def test_the_file_and_what_all_rows_share_can_be_set(load: Load, folder: Path) -> None:
    (folder / "half.csv").write_text("vc,node num,gpus\na,1,8\n")
    plan = load(TABLES.replace("table: nodes.csv", "table: nodes"), [f"files.nodes={folder}/half.csv"])
    assert [d.gpus for d in plan.deliveries] == [8]
    plan = load(TABLES, ["deliveries.each.at=2026-01-06"])
    assert f"{plan.local(plan.deliveries[1].at):%Y-%m-%d}" == "2026-01-06"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("vc,node num,gpus\na,2,16\nb,x,24\n", ["P010 nodes.csv:3"]),
        ("vc,node num,gpus\na,2,16\nb,-1,24\n", ["P010 nodes.csv:3"]),
        ("vc,node num,gpus\na,2,16\nb,,24\n", ["P023 nodes.csv:3"]),
        ("vc,node num,gpus\na,2,16\nb,3\n", ["P026 nodes.csv:3"]),
        ("vc,node num,gpus\na,2,16\na,3,24\n", ["P005 nodes.csv:3", "P020 nodes.csv:3"]),
        ("vc,nodes,gpus\na,2,16\n", ["P026 plan.yaml:10"]),
        ("vc,node num,gpus\na,2,x\n", ["P010 nodes.csv:2"]),
        ("", ["P026 nodes.csv"]),
        ('vc,node num,gpus\n"a,2,16\n', ["P026 nodes.csv"]),
    ],
)
def test_a_wrong_row_is_found_by_its_line(codes: Codes, folder: Path, rows: str, found: list[str]) -> None:
    (folder / "nodes.csv").write_text(rows)
    assert codes(TABLES) == found


@pytest.mark.parametrize(
    ("text", "instead", "found"),
    [
        ("columns: {name: vc, quota", "columns: {quota", "P007 plan.yaml:12"),
        ("table: nodes.csv", "table: no.csv", "P025 plan.yaml:12"),
        ("nodes: node num}", "node: node num}", "P006 plan.yaml:10"),
        ("each: {to: hall", "each: {too: x, to: hall", "P006 plan.yaml:11"),
        ("each: {to: hall, ", "each: {", "P007 plan.yaml:8"),
        ("each: {to: hall", "each: {to: hell", "P016 plan.yaml:11"),
        ("each: {to", "each: {for: a, to", "P026 plan.yaml:10"),
        ("table: nodes\n", "table: nodes\n  colums: {a: b}\n", "P006 plan.yaml:10"),
    ],
)
def test_a_wrong_table_is_found(codes: Codes, text: str, instead: str, found: str) -> None:
    assert text in TABLES
    assert set(codes(TABLES.replace(text, instead))) == {found}


def test_a_huge_table_is_refused_before_it_is_read(codes: Codes, folder: Path) -> None:
    with (folder / "nodes.csv").open("wb") as file:
        file.truncate(200_000_000)
    assert "P003 nodes.csv" in codes(TABLES)


def test_a_row_can_be_set_by_its_name(load: Load) -> None:
    sets = ["deliveries.b.nodes=5", "tenants.a.quota.own-gpu=8", "tenants.c={}"]
    plan = load(TABLES, sets)
    assert [(d.name, d.nodes) for d in plan.deliveries] == [("a", 2), ("b", 5)]
    assert {q.name: q.quota for q in plan.queues.values()} == {
        "a": {"own-gpu": 8},
        "b": {"own-gpu": 24},
        "c": {},
    }
    assert str(plan.line("deliveries.b.nodes")) == "--set deliveries.b.nodes"


def test_a_row_is_of_the_file_and_columns_that_are_meant(load: Load, folder: Path) -> None:
    (folder / "more.csv").write_text("vc,node num,gpus\na,1,8\nz,9,8\n")
    sets = ["deliveries.z.nodes=4", "tenants.z.title=Z", "deliveries.each.status=delivered"]
    plan = load(TABLES.replace("table: nodes.csv", "table: nodes"), [*sets, f"files.nodes={folder}/more.csv"])
    assert [(d.name, d.nodes, d.status) for d in plan.deliveries] == [
        ("a", 1, "delivered"),
        ("z", 4, "delivered"),
    ]


def test_a_scenario_sets_a_row(load: Load) -> None:
    text = TABLES + "scenarios: {more: {set: {deliveries.a.nodes: 4}}}\n"
    assert load(text, scenarios=["more"]).deliveries[0].gpus == 32


def test_a_row_that_is_not_there(codes: Codes) -> None:
    assert codes(TABLES, ["deliveries.x.nodes=5"]) == ["P030 --set deliveries.x.nodes"]
    assert codes(TABLES.replace("node num", "nodez"), ["deliveries.a.nodes=5"]) == ["P026 plan.yaml:10"]


def _csv_plan(tmp_path: Path, data: bytes) -> list[str]:
    (tmp_path / "d.csv").write_bytes(data)
    (tmp_path / "plan.yaml").write_text(
        "gpufleet: 1\nname: t\nstart: 2026-01-01\nend: 2027-01-01\nsites: {lab: {}}\ntenants: {a: {}}\n"
        "deliveries: d.csv\n"
    )
    with pytest.raises(GpufleetError) as error:
        load_plan(tmp_path)
    return [f"{found.code} {found.at} {found.says}" for found in error.value.findings]


def test_an_unknown_column_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    text = b"name,to,system,gpu,at,colour\nl1,lab,DGX B200,8,2026-02-01,red\nl2,lob,DGX B200,8,soon,red\n"
    assert _csv_plan(tmp_path, text) == [
        "P006 d.csv:1 `gpu` is not a key of deliveries",
        "P006 d.csv:1 `colour` is not a key of deliveries",
        "P012 d.csv:3 `soon` is not a date",
        "P016 d.csv:3 there is no site `lob`",
    ]


@pytest.mark.parametrize(
    ("encoding", "word", "seems"),
    [
        ("cp949", "네이버클라우드", "CP949"),
        ("cp932", "さくらインターネット株式会社", "Shift-JIS"),
        ("utf-16", "네이버클라우드", "UTF-16"),
    ],
)
def test_a_csv_in_another_encoding_is_one_finding_that_names_it(
    tmp_path: Path, encoding: str, word: str, seems: str
) -> None:
    text = f"name,to,system,gpus,at,operator\nl1,lab,DGX B200,8,2026-02-01,{word}\n"
    (found,) = _csv_plan(tmp_path, text.encode(encoding))
    assert found.startswith("P026 d.csv:")
    assert f"not UTF-8; it seems to be {seems}" in found


@pytest.mark.parametrize(("mark", "called"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_cells_that_are_separated_otherwise_are_one_finding(tmp_path: Path, mark: str, called: str) -> None:
    text = "name,to,system,gpus,at\nl1,lab,DGX B200,8,2026-02-01\n".replace(",", mark)
    assert _csv_plan(tmp_path, text.encode()) == [
        f"P026 d.csv:1 the cells are separated by {called}, not by commas"
    ]


def test_cohorts_may_be_a_table(load: Load, folder: Path) -> None:
    (folder / "cohorts.csv").write_text("name,in,quota.own-gpu\nnation,,8\nlab,nation,\n")
    text = TABLES.replace("tenants: {", "cohorts: cohorts.csv\ntenants: {each: {cohort: lab}, ")
    plan = load(text)
    assert [(c.name, c.parent, c.quota) for c in plan.cohorts.values()] == [
        ("nation", None, {"own-gpu": 8}),
        ("lab", "nation", {}),
    ]
    assert str(plan.cohorts["lab"].line) == "cohorts.csv:3"
    assert {queue.cohort for queue in plan.queues.values()} == {"lab"}
