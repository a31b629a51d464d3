"""What every command has in common: how findings and JSON are printed, progress, and the way out.

Exit codes: 0 done, 1 a fault of gpufleet (of `admit`: an answer that was not expected), 2 the input cannot be
used (each finding is printed), 130 Ctrl-C, 141 the reader of the output went away.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Final

from gpufleet.base.errors import Finding, GpufleetError, explain_code, finding
from gpufleet.base.language import chosen, speaking
from gpufleet.base.say import say as words
from gpufleet.base.say import tell

INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

USAGE: Final = explain_code(
    "U001",
    "the command cannot be understood",
    "A command, option or argument is missing or not known. `gpufleet COMMAND --help` shows all of them.",
    "gpufleet run plan.yaml --set policy.order=sjf --out runs/sjf",
).code
SYSTEM_SAYS_NO: Final = explain_code(
    "U003",
    "the system refuses to read or write",
    "A file could not be opened, read or written: it is not there, this user may not, or the disk is full.",
    "gpufleet new --out /usr/plan.yaml      # no permission",
).code


class _Chosen:
    """The language of this command."""

    language = "en"


def speak(language: str | None) -> str:
    """Choose the language in which `say` and `print_findings` print; None: that of the environment.

    Raises: GpufleetError U020 for one that is not there.
    """
    _Chosen.language = chosen(language)
    return _Chosen.language


def aloud() -> AbstractContextManager[None]:
    """Inside the block, texts are made in the language of this command."""
    return speaking(_Chosen.language)


def say(text: str, file: IO[str] | None = None) -> None:
    """Print a text that may hold names from files, without what a terminal would obey.

    >>> say("a\\x1b[2Jb")
    a?[2Jb
    """
    with aloud():
        text = tell(text)
    print("".join(c if c.isprintable() or c == "\n" else "?" for c in text), file=file or sys.stdout)


def notice(text: str) -> None:
    """Print on stderr, at once, though the line of progress may stand there."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(clear, end="", file=sys.stderr)
    say(text, file=sys.stderr)
    sys.stderr.flush()


def print_json(command: str, content: dict[str, Any]) -> None:
    """Print one JSON object that names its schema and version; keys sorted, text as UTF-8."""
    print_plain_json({**content, "schema": f"gpufleet.{command}/1"})


def print_plain_json(content: dict[str, Any]) -> None:
    """Print a JSON object whose form is not ours; keys sorted, text as UTF-8."""
    print(json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False))


def findings_data(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as JSON values.

    >>> findings_data([Finding("P006", "unknown key", "error", "`ordr`", "did you mean `order`?")])[0]["file"]
    """
    return [
        {
            "code": each.code,
            "title": each.title,
            "severity": each.severity,
            "says": each.says,
            "fix": each.fix,
            "file": each.at.file if each.at else None,
            "line": (each.at.line or None) if each.at else None,
            "sheet": (each.at.sheet or None) if each.at else None,
            "cell": each.at.cell if each.at else None,
        }
        for each in findings
    ]


def print_findings(findings: Sequence[Finding]) -> None:
    """Print findings on stderr, an empty line between two."""
    if findings:
        with aloud():
            say("\n\n".join(each.text() for each in findings), file=sys.stderr)


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet: whole, or not at all.

    Raises: FileExistsError if there is something of that name; OSError if it cannot be written.
    """
    part = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        try:
            os.link(part, path)  # unlike a rename, never over another file
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, "it exists", str(path)) from None
            part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def folder_name(names: Sequence[str]) -> str:
    """A name for a file or folder that is one name, whatever the plan is called.

    >>> folder_name(["one-cluster", "more-power"]), folder_name(["../lab 2"])
    ('one-cluster+more-power', 'lab-2')
    """
    return re.sub(r"[^\w.+-]+", "-", "+".join(names)).lstrip(".-") or "run"


class Progress:
    """What a long command is doing, on one line of stderr that is overwritten; silent without a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self("")

    def __call__(self, text: str) -> None:
        """Show a text in place of the one before; an empty text clears the line."""
        if self._shown:
            with aloud():
                text = tell(text)
            sys.stderr.write("\r" + text.ljust(self._width) + ("" if text else "\r"))
            sys.stderr.flush()
            self._width = len(text)


Errors = tuple[type[Exception], ...]


def leave(command: Callable[[], Any], *, as_json: bool, usage_errors: Errors, aborts: Errors) -> int:
    """Run a command and turn whatever it raises into printed findings and an exit code.

    Args: as_json: print findings as JSON on stdout; usage_errors: what the argument parser raises when it
          does not understand; aborts: what it makes of Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of people on a terminal that is not UTF-8
    try:
        code = _exit_code(command, as_json, usage_errors, aborts)
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    except OSError as error:  # stdout on a full disk
        print_findings([_system_says_no(error)])
        code = 2
    _drop_unwritten()
    return code


def _exit_code(command: Callable[[], Any], as_json: bool, usage_errors: Errors, aborts: Errors) -> int:
    try:
        code = int(command() or 0)
        if code == INTERRUPTED:
            raise KeyboardInterrupt  # the argument parser has swallowed it
        return code
    except GpufleetError as error:
        return _refuse(error.findings, as_json)
    except usage_errors as error:
        return _refuse([_misunderstood(error)], as_json)
    except (KeyboardInterrupt, *aborts):  # type: ignore[misc]
        say(words("\ninterrupted; what was there before is unchanged"), file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:
        raise BrokenPipeError from error  # the argument parser's way to leave in that case
    except BrokenPipeError:
        raise
    except OSError as error:
        return _refuse([_system_says_no(error)], as_json)
    except MemoryError:
        full = finding(SYSTEM_SAYS_NO, words("not enough memory"), words("simulate a smaller plan"))
        return _refuse([full], as_json)
    except Exception as error:
        return _fault(error)


def _refuse(findings: Sequence[Finding], as_json: bool) -> int:
    """Print why an input cannot be used."""
    if as_json:
        print_json("error", {"findings": findings_data(findings)})
    else:
        print_findings(findings)
    return 2


def _misunderstood(error: Any) -> Finding:
    """What the argument parser says, as a finding."""
    context = getattr(error, "ctx", None)
    return finding(USAGE, error.format_message(), f"{context.command_path if context else 'gpufleet'} --help")


def _system_says_no(error: OSError) -> Finding:
    says = f"{error.filename or 'output'}: {error.strerror or error}"
    return finding(SYSTEM_SAYS_NO, says, words("check the path, its permissions and the free space"))


def _fault(error: Exception) -> int:
    """A fault of gpufleet itself: say so, and keep what is needed to report it."""
    print(f"gpufleet failed: {type(error).__name__}: {error}\nThis is a fault of gpufleet.", file=sys.stderr)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="gpufleet-", suffix=".log", delete=False) as log:
            log.write("".join(traceback.format_exception(error)))
        print(f"Please report it with {log.name}", file=sys.stderr)
    except OSError:
        traceback.print_exception(error)
    return 1


def _drop_unwritten() -> None:
    """Let Python's own flush at the end go nowhere: what could not be written has been told."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
