"""The report in three languages: the same numbers in the same places, and no English left but names."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.base.language import LANGUAGES, speaking
from gpufleet.base.say import Said
from gpufleet.report.html import render_html
from gpufleet.report.text import summary
from gpufleet.results.run import Run

POWERS = {"만": 4, "억": 8, "조": 12, "万": 4, "億": 8, "兆": 12}
NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)([만억조万億兆]?)")
OTHERS = [tag for tag in LANGUAGES if tag != "en"]


class Cells(HTMLParser):
    """Cells of all tables, as (text, bare value), by table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[tuple[str, str | None]]] = {}
        self.numbers: list[str] = []
        self.language = ""
        self._cell, self._number = False, False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "html":
            self.language = known["lang"] or ""
        if tag == "table":
            self.tables[known["id"] or ""] = []
        if tag == "td":
            self._cell = True
            self._all.append(("", known.get("data-v")))
        if tag == "span" and known.get("class") == "value":
            self._number = True
            self.numbers.append("")

    @property
    def _all(self) -> list[tuple[str, str | None]]:
        return self.tables[list(self.tables)[-1]]

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = False
        if tag == "span":
            self._number = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            text, value = self._all[-1]
            self._all[-1] = (text + data, value)
        if self._number:
            self.numbers[-1] += data


def values(text: str) -> list[float]:
    """Numbers of a text, in the order of their size: sentences put them elsewhere."""
    found = [(float(n.replace(",", "")), POWERS.get(unit, 0)) for n, unit in NUMBER.findall(text)]
    return sorted(round(n * 10**power, 6) for n, power in found)


@pytest.fixture(scope="module")
def pages(report_of: Any) -> dict[str, Cells]:
    """The page of the common case in each language."""
    run = report_of("three tenants").run
    return {language: Cells(render_html(run, language)) for language in LANGUAGES}


def test_the_page_says_its_language(pages: dict[str, Cells]) -> None:
    assert {tag: page.language for tag, page in pages.items()} == {tag: tag for tag in LANGUAGES}


@pytest.mark.parametrize("language", OTHERS)
def test_tables_hold_the_same_numbers(pages: dict[str, Cells], language: str) -> None:
    english, other = pages["en"], pages[language]
    assert list(english.tables) == list(other.tables)
    counted = 0
    for name, cells in english.tables.items():
        assert [bare for _, bare in cells] == [bare for _, bare in other.tables[name]], name
        for (text, bare), (translated, _) in zip(cells, other.tables[name], strict=True):
            if bare:
                counted += 1
                assert values(translated) == values(text), (name, text, translated)
    assert counted > 1_000


@pytest.mark.parametrize("language", OTHERS)
def test_headline_numbers_are_the_same(pages: dict[str, Cells], language: str) -> None:
    english, other = pages["en"].numbers, pages[language].numbers
    assert len(english) == len(other) >= 4
    for text, translated in zip(english, other, strict=True):
        assert values(translated) == pytest.approx(values(text)), (text, translated)


@pytest.mark.parametrize("language", OTHERS)
def test_charts_draw_the_same_data(report_of: Any, language: str) -> None:
    def drawn(html: str) -> list[list[float]]:
        found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', html, re.DOTALL)
        assert found is not None
        return [_numbers(spec) for spec in json.loads(found[1]).values()]

    run = report_of("three tenants").run
    english = drawn(render_html(run, "en"))
    assert sum(map(len, english)) > 1_000
    assert drawn(render_html(run, language)) == english


def _numbers(spec: Any) -> list[float]:
    """Every number in the data of a chart."""
    if isinstance(spec, dict):
        rows = [row for key, data in spec.items() if key in ("datasets", "values") for row in _rows(data)]
        inner = [n for key, value in spec.items() if key != "datasets" for n in _numbers(value)]
        return sorted([v for row in rows for v in row.values() if isinstance(v, int | float)] + inner)
    return [n for value in spec for n in _numbers(value)] if isinstance(spec, list) else []


def _rows(data: Any) -> list[Any]:
    rows = [row for each in data.values() for row in each] if isinstance(data, dict) else data
    return [row for row in rows if isinstance(row, dict)]


@pytest.mark.parametrize("language", OTHERS)
def test_summary_has_the_same_numbers(each: Any, language: str) -> None:
    with speaking(language):
        other = summary(each.run)
    said = {round(value, 6) for value in values(summary(each.run))}
    in_words = {1.0, 10.0}  # "one in ten" is written in figures in Japanese
    assert {value for value in values(other) if value not in said} <= in_words


@pytest.mark.parametrize("language", LANGUAGES)
def test_same_language_gives_same_bytes(three: Any, language: str) -> None:
    with speaking("ja"):
        first = render_html(Run(three.run.path), language)
    same = first == render_html(Run(three.run.path), language)
    assert same


def test_another_language_is_refused(three: Any) -> None:
    with pytest.raises(GpufleetError) as caught:
        render_html(three.run, "fr")
    assert caught.value.findings[0].code == "U020"


def test_the_stored_answer_is_said_again(tmp_path: Any, three: Any) -> None:
    measures = three.run.measures_json
    run = Run(three.run.path)
    data = {"say": "{n:,} job", "many": "{n:,} jobs", "with": {"n": 2}}
    run.measures_json = {**measures, "answer": "2 jobs", "said": {"answer": data}}
    assert run.answer == "2 jobs"
    assert isinstance(run.answer, Said)
    with speaking("ko"):
        assert run.answer == "작업 2건"
    for broken in ({"say": "{n.x}", "with": {"n": 2}}, {"say": "{m}", "with": {"n": 2}}, {"with": {}}, "x"):
        run.measures_json = {**measures, "answer": "2 jobs", "said": {"answer": broken}}
        with speaking("ko"):
            assert run.answer == "2 jobs"


def test_streams_are_in_the_language(three: Any) -> None:
    from gpufleet.report.text import print_summary

    out = io.StringIO()
    with speaking("ko"):
        print_summary(three.run, out)
    assert "작업" in out.getvalue()
