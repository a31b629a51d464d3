"""What export law says of the lots of a run: the table, why a lot, the page."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gpufleet.base.language import speaking
from gpufleet.plan.load import load_plan
from gpufleet.report.html import render_html
from gpufleet.report.licences import title
from gpufleet.results.explain_lot import LotExplanation
from gpufleet.results.run import Run
from gpufleet.study import simulate

PLAN = """\
gpufleet: 1
name: story
start: 2025-01-01
end: 2026-01-01
time_zone: Asia/Shanghai
sites: {cn: {country: CN}, kr: {country: KR}, open: {}}
systems: {box: {product: H20, gpus_per_node: 8}}
tenants: {a: {}}
deliveries:
  - {name: stopped, to: cn, system: box, gpus: 800, at: 2025-05-01}
  - {name: late, to: cn, system: box, gpus: 800, at: 2025-09-15}
  - {name: korea, to: kr, system: DGX B300, gpus: 800, at: 2025-05-01}
  - {name: nowhere, to: open, system: DGX B300, gpus: 8, at: 2025-01-01}
licences: {first: {to: CN, from: 2025-08-08, status: granted, revenue_share: 0.15}}
rules: {feared: {to: KR, from: 2025-11-01, until: 2025-12-01}}
workloads: {big: {kind: campaign, queue: a, gpus: 8, duration: 1 d, at: 2025-01-08}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("law")
    (folder / "plan.yaml").write_text(PLAN)
    return simulate(load_plan(folder / "plan.yaml"), out=folder / "run")


def rows(run: Run, lot: str, kind: str, *names: str) -> list[tuple[object, ...]]:
    frame = run.licences.filter((pl.col("lot") == lot) & (pl.col("kind") == kind))
    return frame.select(names).rows()


def test_verdicts_by_day(run: Run) -> None:
    assert rows(run, "stopped", "verdict", "from", "until", "authority", "policy", "held") == [
        ("2025-01-01", "2025-04-09", "us_export", "none", False),
        ("2025-04-09", "2025-07-14", "us_export", "banned_in_practice", True),
        ("2025-07-14", "2025-08-11", "us_export", "approval_expected", True),
        ("2025-08-11", None, "us_export", "licence_with_15pct_revenue_share", False),
        ("2025-01-01", "2025-09-15", "cn", "none", False),
        ("2025-09-15", None, "cn", "buyer_side_stop", True),
    ]


def test_numbers_against_thresholds(run: Run) -> None:
    near = rows(run, "stopped", "verdict", "near_input", "near_value", "near_by")
    assert near[0] == ("tpp", 2368.0, 32.0)  # 32 under 2,400
    assert near[1] == ("mem_bw_gbps", 4000.0, -3328.0)  # with 1,028 of I/O it must be under 672


def test_waits_and_shipments(run: Run) -> None:
    assert rows(run, "stopped", "wait", "from", "until", "place") == [
        ("2025-05-01", "2025-07-14", "plan.yaml:14"),
        ("2025-07-14", "2025-08-08", "plan.yaml:14"),
    ]
    assert rows(run, "stopped", "ships", "from", "gpus", "licences", "revenue_share") == [
        ("2025-08-08", 800, "first", 0.15)
    ]
    assert rows(run, "late", "ships", "gpus") == []
    assert rows(run, "late", "wait", "from", "until") == [("2025-09-15", None)]


def test_hypothetical_rules_are_marked(run: Run) -> None:
    names = ("from", "until", "policy", "rules", "hypothetical")
    found = rows(run, "korea", "verdict", *names)
    assert found == [
        ("2025-01-01", "2025-11-01", "none", "", False),
        ("2025-11-01", "2025-12-01", "banned_in_practice", "rules.feared", True),
        ("2025-12-01", None, "none", "", False),
    ]
    assert rows(run, "korea", "verdict", "citation", "place")[1] == (
        "rules.feared (plan.yaml:15, hypothetical)",
        "plan.yaml:15",
    )


def test_why_tells_it(run: Run) -> None:
    found = run.why("stopped")
    assert isinstance(found, LotExplanation)
    lines = found.text().splitlines()
    head = next(i for i, line in enumerate(lines) if "  export law (" in line)
    assert lines[head] == (
        "  export law (rules as they were read on 2026-06-10). This is engineering data, no legal advice."
    )
    assert lines[-1] == "    from 2025-08-08  800 GPUs: ships under first"
    data = found.to_json()["export_law"]
    assert data["rules_read_on"] == "2026-06-10"
    assert "no legal advice" in data["not_legal_advice"]
    assert json.loads(json.dumps(data)) == data
    nowhere = run.why("nowhere")
    assert isinstance(nowhere, LotExplanation)
    assert nowhere.to_json()["export_law"] is None
    assert "export law" not in nowhere.text()


def test_the_page_has_it(run: Run) -> None:
    page = render_html(run)
    assert "Export law: lots asked about: 3; waiting: 1; not shipped whole: 1" in page
    assert "no legal advice" in page
    assert "1 hypothetical rule of the plan" in page
    assert "rules.feared (plan.yaml:15, hypothetical)" in page
    assert "TPP 2,368 is 32 under" in page


def test_a_plan_without_countries_has_no_table(tmp_path: Path) -> None:
    text = PLAN.replace("{country: CN}", "{}").replace("{country: KR}", "{}")
    (tmp_path / "plan.yaml").write_text(text)
    run = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert not (run.path / "licences.parquet").exists()
    assert run.licences.is_empty()
    assert "Export law" not in render_html(run)


def test_the_table_is_the_same_in_every_language(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    with speaking("ko"):
        again = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert (again.path / "licences.parquet").read_bytes() == (run.path / "licences.parquet").read_bytes()


def test_a_lot_that_crosses_no_border_is_not_asked_about(tmp_path: Path) -> None:
    abroad = "  - {name: nowhere, to: open, system: DGX B300, gpus: 8, at: 2025-01-01}\n"
    home = "  - {name: home, to: cn, system: Atlas-800T-A3, gpus: 8, at: 2025-05-01}\n"
    (tmp_path / "plan.yaml").write_text(PLAN.replace(abroad, abroad + home))
    done = simulate(load_plan(tmp_path / "plan.yaml"), out=tmp_path / "run")
    assert rows(done, "home", "ships", "from", "gpus") == []
    assert rows(done, "home", "verdict", "lot") == []
    assert done.supply.filter(lot="home", step="online", month="2025-05")["gpus"].sum() == 8
    says = title(done)
    assert says is not None
    assert "lots asked about: 3;" in str(says)
    assert "lots asked about: 3;" in render_html(done, "en")


def test_the_summary_says_that_it_is_no_advice(run: Run) -> None:
    from gpufleet.report.text import summary

    said = " ".join(summary(run).split())
    assert "This is engineering data, no legal advice. Rules as they were read on 20" in said


def test_what_never_comes_has_no_date(run: Run) -> None:
    text = run.why("late").text()
    assert text.startswith("lot late: its 800 GPUs never come, as far as the plan says")
    assert "9000" not in text
