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
    assert len(marks) == 8
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
