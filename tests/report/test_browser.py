"""The page as a browser shows it: no fault, no request, no sideways scrolling; tables sort and download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONTRASTS = """
(() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!c.endsWith(", 0)")) return c; } return "rgb(255, 255, 255)"; };
  const low = [];
  for (const e of document.querySelectorAll("main *, header *, footer *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const paint = e.namespaceURI.endsWith("svg") ? getComputedStyle(e).fill : getComputedStyle(e).color;
    const got = ratio(light(paint), light(behind(e)));
    if (got < 4.5) low.push(`${e.tagName} ${paint} ${got.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(low)];
})()
"""


def _open(tab: Any, path: Path, width: int, scheme: str = "light") -> None:
    tab.errors.clear()
    tab.requests.clear()
    tab.open(path, width, scheme=scheme)


@pytest.mark.parametrize("width", [390, 1440])
def test_page_fits_and_has_no_faults(tab: Any, each: Any, width: int) -> None:
    _open(tab, each.path, width)
    assert tab.evaluate(SIDEWAYS) <= 0
    assert tab.errors == []
    assert {url for url in tab.requests if not url.startswith("data:")} == {each.path.as_uri()}


def test_charts_are_drawn(tab: Any, three: Any) -> None:
    _open(tab, three.path, 1200)
    drawn = "[...document.querySelectorAll('.chart')].map((c) => c.querySelectorAll('svg path').length)"
    marks = tab.evaluate(drawn)
    assert len(marks) == sum(len(figure.specs) for figure in three.page.figures)
    assert min(marks) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(tab: Any, three: Any, scheme: str) -> None:
    _open(tab, three.path, 1200, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert tab.evaluate(CONTRASTS) == []


def test_print_is_light(tab: Any, three: Any) -> None:
    _open(tab, three.path, 1200, "dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(background) != "rgb(255, 255, 255)"
    tab.look("dark", "print")
    assert tab.evaluate(background) == "rgb(255, 255, 255)"


def test_hostile_names_run_nothing(tab: Any, report_of: Any) -> None:
    _open(tab, report_of("hostile names").path, 1200)
    assert tab.errors == []
    assert tab.evaluate("document.images.length") == 0


def test_tables_sort_by_bare_value(tab: Any, three: Any) -> None:
    _open(tab, three.path, 1200)
    column = (
        "[...document.querySelectorAll('#table-waits-by-tenant tbody tr')].map((r) => +r.cells[2].dataset.v)"
    )
    press = "document.querySelectorAll('#table-waits-by-tenant th button')[2].click()"
    tab.evaluate(press)
    up = tab.evaluate(column)
    assert up == sorted(up)
    tab.evaluate(press)
    assert tab.evaluate(column) == up[::-1]
    marked = "document.querySelectorAll('#table-waits-by-tenant th')[2].getAttribute('aria-sort')"
    assert tab.evaluate(marked) == "descending"


def test_csv_holds_bare_values(tab: Any, report_of: Any) -> None:
    _open(tab, report_of("hostile names").path, 1200)
    caught = """
    (async () => {
      const blobs = [];
      URL.createObjectURL = (blob) => { blobs.push(blob); return "#"; };
      document.querySelector("button[data-table='table-waits-by-tenant']").click();
      return await blobs[0].text();
    })()
    """
    lines = tab.evaluate(caught).split("\r\n")
    assert lines[0].lstrip("\ufeff") == "tenant,P50,P90,P99,mean"
    assert any(line.startswith('"서울 연구소 ""A&B"""') for line in lines)
    numbers = [float(v) for v in lines[1].split(",")[-4:]]
    assert numbers[0] <= numbers[1] <= numbers[2]


def test_number_opens_its_origin(tab: Any, three: Any) -> None:
    _open(tab, three.path, 1200)
    tab.evaluate("document.querySelector('.numbers a').click()")
    opened = (
        "new Promise((r) => setTimeout(() => r(document.querySelector('.ledger details[open]')?.id), 100))"
    )
    assert tab.evaluate(opened) == "number-utilisation"


def test_times_are_the_plans_wherever_it_is_read(tab: Any, three: Any) -> None:
    label = "document.querySelector('[data-spec=in-use] .role-axis-label text').textContent"
    seen = []
    for zone in ("UTC", "America/Los_Angeles", "Asia/Seoul"):
        tab.call("Emulation.setTimezoneOverride", timezoneId=zone)
        _open(tab, three.path, 1200)
        seen.append(tab.evaluate(label))
    tab.call("Emulation.setTimezoneOverride", timezoneId="")
    assert seen == ["5 Jan"] * 3


AXE = """
(async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const where = (v) => v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ");
  return found.violations.map((v) => `${v.impact} ${v.id}: ${v.help}; ${where(v)}`);
})()
"""


def _axe() -> str:
    """The source of axe-core, which the package axe-core-python carries."""
    package = pytest.importorskip("axe_core_python", reason="needs the package axe-core-python")
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", ["nation", "three tenants", "hostile names"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "light"), (1440, "dark")])
def test_axe_finds_nothing(tab: Any, report_of: Any, case: str, width: int, scheme: str) -> None:
    source = _axe()
    _open(tab, report_of(case).path, width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    tab.evaluate(source + ";1")
    assert tab.evaluate(AXE) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_page_with_another_run_fits_and_has_no_faults(
    tab: Any, report_of: Any, tmp_path: Path, width: int
) -> None:
    from gpufleet.report.html import write_html

    run = report_of("nation").run
    path = write_html(run, tmp_path / "report.html", other=run)
    _open(tab, path, width)
    assert tab.evaluate(SIDEWAYS) <= 0
    assert tab.errors == []


def test_print_fits_the_paper(tab: Any, report_of: Any, tmp_path: Path) -> None:
    report = report_of("nation")
    _open(tab, report.path, 1200)
    tab.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    tab.look("light", "print")
    wide = "[...document.querySelectorAll('main > section')].map((s) => s.scrollWidth - s.clientWidth)"
    assert max(tab.evaluate(wide)) <= 0
    assert tab.evaluate("getComputedStyle(document.querySelector('.filter')).display") == "none"
    tab.look("light", "screen")


def test_rows_can_be_filtered(tab: Any, report_of: Any) -> None:
    _open(tab, report_of("nation").path, 1200)
    tab.evaluate(
        """(() => { const box = document.querySelector("[data-filter='table-inputs']");
        box.value = "ROUND-1 gpus"; box.dispatchEvent(new Event("input", { bubbles: true })); })()"""
    )
    rows = "[...document.querySelectorAll('#table-inputs tbody tr')]"
    shown = rows + ".filter((r) => !r.hidden).map((r) => r.cells[0].textContent)"
    assert tab.evaluate(shown) == ["deliveries.round-1.gpus"]
    says = tab.evaluate("document.querySelector(\"[for='filter-table-inputs'] ~ output\").textContent")
    assert says.startswith("1 of ")


def test_a_cell_opens_what_stands_behind_it(tab: Any, report_of: Any) -> None:
    """The number's link opens the promise's entry and takes the keyboard there; a source's row likewise."""
    _open(tab, report_of("nation").path, 1200)
    press = "(sel) => { document.querySelector(sel).click(); }"
    later = "new Promise((done) => setTimeout(() => done(%s), 100))"
    tab.evaluate(f"({press})('#table-promises tbody tr:nth-child(2) td:nth-child(3) a')")
    assert tab.evaluate(later % "document.querySelector('.ledger details[open]')?.id") == "promise-2"
    assert tab.evaluate("document.activeElement.parentElement.id") == "promise-2"
    tab.evaluate(f"({press})('#table-inputs a[href=\"#source-2\"]')")
    assert tab.evaluate(later % "document.activeElement.id") == "source-2"


def test_panels_are_drawn(tab: Any, report_of: Any) -> None:
    _open(tab, report_of("nation").path, 390)
    drawn = (
        "[...document.querySelectorAll('.panels .chart')].map((c) => c.querySelectorAll('svg path').length)"
    )
    marks = tab.evaluate(drawn)
    assert len(marks) >= 8
    assert min(marks) > 5
