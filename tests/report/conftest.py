"""Runs to report on. All but the nation's come from a small queue model, without engine or plan."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gpufleet.plan.load import load_plan
from gpufleet.report.html import write_html
from gpufleet.report.page import Page, page_of
from gpufleet.results.run import Run
from gpufleet.study import simulate


def _beside(name: str) -> ModuleType:
    """A helper module of this folder; tests are imported without packages."""
    spec = importlib.util.spec_from_file_location(f"report_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fakes, browser = _beside("fakes"), _beside("browser")

HOSTILE = (
    "<script>alert(1)</script>",
    '서울 연구소 "A&B"',
    "さくら=cmd|x",
    "</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}",
)
CASES: dict[str, dict[str, Any]] = {
    "three tenants": {},
    "one tenant": {"tenants": 1, "jobs": 200},
    "fifteen tenants": {"tenants": 15, "jobs": 3_000, "gpus": 512},
    "no waiting": {"jobs": 40, "load": 0.02, "gpus": 512},
    "nothing finished": {"finished": False},
    "no jobs": {"jobs": 0},
    "nothing recorded": {"recorded": False, "jobs": 100},
    "nation": {"plan": "nation.yaml"},
    "hostile names": {
        "names": HOSTILE,
        "tenants": 5,
        "title": "<b>Bold</b> & </title><script>alert(2)</script>",
    },
}


class Seen(HTMLParser):
    """Elements of a page with their attributes, its scripts, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts.append(data)
        elif self._in != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a kind."""
        return [attrs for name, attrs in self.tags if name == tag]


def _made(path: Path, case: dict[str, Any]) -> Run:
    """The run of a case: of the small queue model, or simulated from a plan of this folder."""
    plan = case.pop("plan", None)
    if plan is None:
        return fakes.make_run(path, **case)
    return simulate(load_plan(Path(__file__).with_name(plan), **case), out=path)


@dataclass(frozen=True)
class Report:
    """A run with its page, made once for all tests."""

    run: Run
    page: Page
    html: str
    seen: Seen
    path: Path


@pytest.fixture(scope="session")
def report_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    """The report of a case."""
    home, made = tmp_path_factory.mktemp("runs"), {}

    def report(case: str) -> Report:
        if case not in made:
            run = _made(home / case.replace(" ", "-"), dict(CASES[case]))
            page = page_of(run)
            path = write_html(run)
            html = path.read_text(encoding="utf-8")
            made[case] = Report(run, page, html, Seen(html), path)
        return made[case]

    return report


@pytest.fixture(params=CASES)
def each(request: pytest.FixtureRequest, report_of: Callable[[str], Report]) -> Report:
    """The report of every case."""
    return report_of(request.param)


@pytest.fixture
def three(report_of: Callable[[str], Report]) -> Report:
    """The common case: three tenants, some waiting."""
    return report_of("three tenants")


@pytest.fixture(scope="session")
def tab() -> Iterator[Any]:
    """A tab of a headless Chromium."""
    program = browser.chromium()
    if program is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with browser.browse(program) as page:
        yield page
