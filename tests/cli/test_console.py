from __future__ import annotations

import io
import json
import sys

import pytest

from gpufleet.base.errors import Finding, GpufleetError, Place
from gpufleet.console import Progress, leave, print_findings, say


class UsageError(Exception):
    def format_message(self) -> str:
        return "what?"


class AbortError(Exception):
    pass


def left(command, *, as_json=False) -> int:
    return leave(command, as_json=as_json, usage_errors=(UsageError,), aborts=(AbortError,))


def raises(error):
    def command():
        raise error

    return command


FOUND = Finding("P006", "unknown key", "error", "`ordr`", "did you mean `order`?", Place("plan.yaml", 3))


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (GpufleetError(FOUND), 2, "plan.yaml:3  error P006"),
        (UsageError(), 2, "error U001"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (AbortError(), 130, "interrupted"),
        (OSError(28, "No space left on device", "x.yaml"), 2, "x.yaml: No space left on device"),
        (PermissionError(13, "Permission denied", "x.yaml"), 2, "error U003"),
        (MemoryError(), 2, "not enough memory"),
        (ValueError("odd"), 1, "gpufleet failed: ValueError: odd"),
    ],
)
def test_the_way_out(capsys, error, code, words):
    assert left(raises(error)) == code
    out, err = capsys.readouterr()
    assert not out
    assert words in err
    assert "Traceback" not in err


def test_a_fault_is_kept_for_a_report(capsys):
    left(raises(ValueError("odd")))
    path = capsys.readouterr().err.split()[-1]
    with open(path) as log:
        assert "ValueError: odd" in log.read()


def test_exit_codes_of_commands_pass_through():
    assert left(lambda: None) == 0
    assert left(lambda: 2) == 2
    assert left(lambda: 130) == 130  # what some versions of the argument parser make of Ctrl-C


def test_findings_as_json(capsys):
    assert left(raises(GpufleetError(FOUND)), as_json=True) == 2
    out, err = capsys.readouterr()
    assert not err
    data = json.loads(out)
    assert data == {
        "schema": "gpufleet.error/1",
        "findings": [
            {
                "code": "P006",
                "title": "unknown key",
                "severity": "error",
                "says": "`ordr`",
                "fix": "did you mean `order`?",
                "file": "plan.yaml",
                "line": 3,
                "sheet": None,
                "cell": None,
            }
        ],
    }


def test_names_from_files_do_not_reach_the_terminal_as_commands(capsys):
    print_findings([Finding("P006", "unknown key", says="`\x1b[2J\r`", fix="x")])
    say("a\x07b")
    out, err = capsys.readouterr()
    assert "\x1b" not in err
    assert "\r" not in err
    assert out == "a?b\n"


def test_progress_is_shown_to_people_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, quiet, shown in (
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(quiet=quiet) as progress:
            progress("reading")
            progress("x")
        assert bool(stream.getvalue()) == shown
    assert not Terminal().getvalue()


def test_progress_leaves_a_clean_line(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress() as progress:
        progress("simulating")
    assert stream.getvalue() == "\rsimulating\r          \r"
