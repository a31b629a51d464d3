"""The terminal summary: answer first, plain in a file, never wider than the terminal, no obeyed escapes."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len

from gpufleet.report.text import MAX_TENANTS, Style, print_summary, style_of, summary

ESCAPE = re.compile(r"\x1b\[\d+m")
DRAWN = re.compile("[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉]")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_answer_comes_first(each: Any) -> None:
    words = summary(each.run).split()
    answer = each.run.answer.split()
    assert words[: len(answer)] == answer


def test_file_gets_plain_text(three: Any) -> None:
    out = io.StringIO()
    print_summary(three.run, out)
    assert not ESCAPE.search(out.getvalue())
    assert not DRAWN.search(out.getvalue())


def test_terminal_gets_bars_and_colour(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    print_summary(three.run, out)
    assert ESCAPE.search(out.getvalue())
    assert DRAWN.search(out.getvalue())


def test_no_color_is_heeded(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_of(Terminal()).colour
    assert style_of(Terminal()).bars


@pytest.mark.parametrize("width", [40, 60, 80, 110])
def test_lines_fit(each: Any, width: int) -> None:
    lines = ESCAPE.sub("", summary(each.run, Style(width, colour=True, bars=True))).splitlines()
    names = [word for line in lines for word in line.split() if cell_len(word) > width]
    assert not names
    assert max(cell_len(line) for line in lines) <= width


def test_table_only_when_it_fits(three: Any) -> None:
    assert "waits by tenant" in summary(three.run, Style(80))
    assert "waits by tenant" not in summary(three.run, Style(40))


def test_many_tenants_are_cut(report_of: Any) -> None:
    text = summary(report_of("fifteen tenants").run)
    assert f"and {15 - MAX_TENANTS} other tenants" in text


def test_says_what_is_wrong(report_of: Any) -> None:
    text = summary(report_of("hostile names").run)
    assert "77 jobs can never run" in text
    assert "warning P017: delivery lands before its site has power (plan.yaml:12)" in text
    assert "15 trace rows not used" in text
    assert "of the plan have no source; by trust:" in text


def test_names_cannot_steer_the_terminal(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(three.run), "answer", "red \x1b[31m alert \x07")
    assert "\x1b" not in summary(three.run)
    assert "\x07" not in summary(three.run)


def test_no_waiting_is_said(report_of: Any) -> None:
    assert "No job had to wait." in summary(report_of("no waiting").run)


def test_promises_stand_before_the_fleet(report_of: Any) -> None:
    lines = summary(report_of("nation").run, Style(100)).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("promises, GPUs"))
    assert lines[head + 2].split() == ["pledge-gov", "5,000", "2,024", "2,296", "2,704", "2030-12-31"]
    assert head < next(i for i, line in enumerate(lines) if line.startswith("On average"))
    assert "promises, GPUs" not in summary(report_of("nation").run, Style(40))
