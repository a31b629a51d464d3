"""The page: one file, the same bytes each time, every number with its table, nothing from the network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gpufleet.report.figures import Figure
from gpufleet.report.html import render_html, vega_bundle, whole, write_html
from gpufleet.results.run import Run

MOST_BYTES = 3_000_000


def test_page_is_one_small_file(each: Any) -> None:
    assert each.path.stat().st_size <= MOST_BYTES


def test_same_run_gives_same_bytes(three: Any) -> None:
    same = render_html(Run(three.run.path)) == three.html
    assert same  # no comparison of a megabyte in words


def test_nothing_is_asked_of_the_network(each: Any) -> None:
    seen = each.seen
    for tag, attrs in seen.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attrs.get(name)
            assert value is None or value.startswith("#"), (tag, name, value)
    policy = next(m["content"] for m in seen.all("meta") if m.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_scripts_are_ours_alone(each: Any) -> None:
    seen = each.seen
    assert len(seen.scripts) == 3  # data, library, page
    same = seen.scripts[1] == vega_bundle()
    assert same  # no comparison of a megabyte in words


def test_every_chart_has_its_table(each: Any) -> None:
    page, seen = each.page, each.seen
    tables = {attrs["id"] for attrs in seen.all("table")}
    charts = {attrs["data-spec"] for attrs in seen.all("div") if "data-spec" in attrs}
    assert charts == {id_ for f in page.figures for id_ in f.specs}
    assert {f"table-{f.id}" for f in page.figures} <= tables
    assert charts == set(json.loads(seen.scripts[0]))
    assert len(seen.all("caption")) == len(tables)
    assert len([a for a in seen.all("button") if a.get("class") == "csv"]) == len(tables)
    assert all(attrs["scope"] == "col" for attrs in seen.all("th"))


def test_every_link_has_its_target(each: Any) -> None:
    seen = each.seen
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in seen.all("a")} <= set(ids)


def test_patterns_are_all_there(each: Any) -> None:
    used = set(re.findall(r"url\(#([\w-]+)\)", each.html))
    assert used <= {str(attrs["id"]) for attrs in each.seen.all("pattern")}


def test_names_stay_text(report_of: Any) -> None:
    seen = report_of("hostile names").seen
    assert not seen.all("img")
    assert "<script>alert(1)</script>" in seen.text
    assert "{{ 7 * 7 }}" in seen.text
    assert "</title><script>alert(2)</script>" in seen.text
    assert {"ko", "ja"} <= {attrs.get("lang") for attrs in seen.all("bdi")}
    assert seen.all("html") == [{"lang": "en"}]


def test_box_stands_before_the_detail(three: Any) -> None:
    marks = ('class="answer"', 'class="numbers"', 'id="why"', 'id="limits"', 'id="detail"', 'id="sources"')
    order = [three.html.index(mark) for mark in marks]
    assert order == sorted(order)
    assert "of the plan have no source; by trust:" in three.seen.text


def test_headline_numbers_open_to_their_origin(three: Any) -> None:
    page = three.page
    entries = {entry.id: entry for entry in page.ledger}
    assert 3 <= len(page.numbers) <= 5
    for number in page.numbers:
        facts = {fact.term for fact in entries[number.entry].facts}
        assert {"formula", "made from", "line of the plan", "source", "trust"} <= facts
        assert number.assumed
    assert page.inputs is not None


def test_tables_hold_what_the_run_holds(three: Any) -> None:
    tables = {f.id: f.table for f in three.page.figures}
    waited = sum(row[1] for row in tables["waiting-by-tenant"].rows)
    assert waited == pytest.approx(three.run.measure("waiting_gpu_h"))
    by_time = sum(sum(row[1:]) for row in tables["waiting"].rows)
    timeline = three.run.timeline.filter(pl.col("kind") == "waiting").get_column("gpu_s").sum()
    assert by_time == pytest.approx(timeline / 3_600)
    assert sum(row[1] for row in tables["states"].rows) == three.run.jobs.height


def test_refused_jobs_name_cause_and_line(report_of: Any) -> None:
    run = report_of("hostile names").run
    part = next(part for part in report_of("hostile names").page.lists if part.id == "refused")
    assert part.table is not None
    assert sum(row[4] for row in part.table.rows) == run.measure("refused_jobs")
    assert all(row[3] == "own quota" and "plan.yaml:" in row[7] for row in part.table.rows)


def test_warnings_and_dropped_rows_are_listed(three: Any) -> None:
    text = three.seen.text
    assert "plan.yaml:12 · " in text
    assert "gpufleet explain P017" in text
    assert "15 of 615 trace rows not used" in text


def test_page_without_recorded_starts_compares_nothing(report_of: Any) -> None:
    assert _ids(report_of("nothing recorded").page.figures).isdisjoint({"compared"})
    assert "compared" in _ids(report_of("three tenants").page.figures)


def test_many_tenants_get_strips(report_of: Any) -> None:
    assert "in-use-each" in _ids(report_of("fifteen tenants").page.figures)


def _ids(figures: tuple[Figure, ...]) -> set[str]:
    return {figure.id for figure in figures}


def test_report_is_replaced_whole(three: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    assert write_html(three.run, target) == target
    before = target.read_bytes()

    def broken(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr("gpufleet.report.html.render_html", broken)
    with pytest.raises(OSError, match="disk full"):
        write_html(three.run, target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_quantities_do_not_break() -> None:
    assert str(whole("5 h 7 min")) == '<span class="whole">5 h 7 min</span>'
    assert str(whole("plan & <i>")) == "plan &amp; &lt;i&gt;"
