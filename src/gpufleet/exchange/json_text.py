"""JSON text as data with exact numbers; and, once something is wrong with it, the place of each value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from json.decoder import JSONDecoder
from pathlib import Path
from typing import Any, Final

from gpufleet.base.errors import Finding, GpufleetError, Place, finding
from gpufleet.base.say import say

MAX_BYTES: Final = 64 * 2**20

Step = str | int
"""A key of an object, or the number of an entry of a list."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = JSONDecoder()
_WORD: Final = re.compile(r"[^\s,\]}:]+")


class JsonFile:
    """A JSON file: its data, numbers with a point as `Decimal`, and where each value stands.

    Raises: GpufleetError X001, X002 or X003.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = _read(path)
        self._lines: dict[tuple[Step, ...], int] | None = None
        self._twice = False
        try:
            self.data = json.loads(
                self.text,
                parse_float=Decimal,
                parse_int=lambda text: int(text) if len(text) < 40 else Decimal(text),
                parse_constant=Decimal,
                object_pairs_hook=self._object,
            )
        except json.JSONDecodeError as error:
            fix = say("compare this line and the one before with `gpufleet explain {code}`", code="X002")
            raise GpufleetError(finding("X002", error.msg, fix, Place(str(path), error.lineno))) from error
        except RecursionError:
            says, fix = say("nested too deep to read"), say("a case is a handful of levels deep")
            raise GpufleetError(finding("X002", says, fix, Place(str(path), 0))) from None
        if self._twice:
            raise GpufleetError(*self._repeated())

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self._twice = self._twice or len(made) < len(pairs)
        return made

    def place(self, path: Sequence[Step]) -> Place:
        """Where a value stands; of one that is not there, where the nearest around it begins."""
        if self._lines is None:
            self._lines = dict(_lines(self.text))
        steps = tuple(path)
        while steps and steps not in self._lines:
            steps = steps[:-1]
        return Place(str(self.path), self._lines.get(steps, 1))

    def _repeated(self) -> list[Finding]:
        first: dict[tuple[Step, ...], int] = {}
        found = []
        for path, line in _lines(self.text):
            if path in first and isinstance(path[-1], str):
                says = say("`{key}` stands here and in line {first}", key=path[-1], first=first[path])
                fix = say("keep one, or give one another name")
                found.append(finding("X003", says, fix, Place(str(self.path), line)))
            first.setdefault(path, line)
        return found


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _unreadable(path, say("the file is larger than 64 MiB"))
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable(path, say("the file is not UTF-8 text")) from None
    except IsADirectoryError:
        raise _unreadable(path, say("this is a folder")) from None
    except FileNotFoundError:
        raise _unreadable(path, say("there is no such file")) from None
    if not text.strip():
        raise _unreadable(path, say("the file is empty"))
    return text


def _unreadable(path: Path, says: str) -> GpufleetError:
    return GpufleetError(finding("X001", says, say("name a JSON file of cases"), Place(str(path), 0)))


def _lines(text: str) -> list[tuple[tuple[Step, ...], int]]:
    """(path, line) of each key and entry of a text that is valid JSON, in the order of the text.

    >>> _lines('{"a":\\n [1,\\n {"b": 2}]}')
    [(('a',), 1), (('a', 0), 2), (('a', 1), 3), (('a', 1, 'b'), 3)]
    """
    found: list[tuple[tuple[Step, ...], int]] = []
    path: list[Step] = []
    in_list: list[bool] = []
    at, counted, line, key = 0, 0, 1, False
    while (at := _end(_SPACE, text, at)) < len(text):
        line, counted = line + text.count("\n", counted, at), at
        sign = text[at]
        if in_list and in_list[-1] and path[-1] == -1 and sign != "]":  # the first entry of a list
            path[-1] = 0
            found.append((tuple(path), line))
        if sign in "[{":
            in_list.append(sign == "[")
            path.append(-1 if sign == "[" else "")
            key, at = sign == "{", at + 1
        elif sign in "]}":
            in_list.pop()
            path.pop()
            key, at = False, at + 1
        elif sign == ",":
            at += 1
            key = not in_list[-1]
            if in_list[-1]:
                path[-1] = int(path[-1]) + 1
                start = _end(_SPACE, text, at)
                found.append((tuple(path), line + text.count("\n", at, start)))
        elif sign == ":":
            at += 1
        elif sign == '"':
            word, at = _DECODER.raw_decode(text, at)
            if key:
                path[-1], key = word, False
                found.append((tuple(path), line))
        else:
            at = _end(_WORD, text, at)
    return found


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at + 1
