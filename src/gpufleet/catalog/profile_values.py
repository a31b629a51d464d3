"""Values of a profile's JSON, one by one: what each must be, and a finding with line and key if it is not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

from gpufleet.base.errors import Finding, Place, did_you_mean, explain_code, finding
from gpufleet.base.say import Said, say

BAD_KEY: Final = explain_code(
    "C012",
    "a key of a profile is missing, not known or of the wrong kind",
    "Every key of a profile is used; what is not known about the source is null where that is allowed "
    "(`users`, `limit`) or an empty object (`queues`, `end_states`).",
    '{"schema": "gpufleet.profile/1", "nam": "lab"}      # did you mean `name`?',
).code
BAD_NUMBER: Final = explain_code(
    "C013",
    "the numbers of a profile do not fit together",
    "Shares of all sizes, queues or end states sum to 1; quantiles ascend from p = 0 to p = 1; the mean of a "
    "quantile function, linear between its knots, is the mean run time beside it; the 168 weights of the "
    "week have mean 1; and the means of the whole profile follow from its sizes.",
    '"p": [0, 0.9, 0.5, 1]      # p[2] = 0.5 comes after 0.9',
).code

MOST_NUMBER: Final = 1e300  # beyond, nothing can be multiplied

Key: TypeAlias = tuple[str | int, ...]


class Values:
    """One reading of a file: what was found wrong so far. Values that cannot be read come back as a stand-in
    of their type; nothing is built from them, because a finding ends the reading."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.source = path, text
        self.findings: list[Finding] = []

    def record(self, key: Key, given: Any, keys: Sequence[str]) -> Record:
        """An object with exactly these keys."""
        if not isinstance(given, dict):
            self._report_kind(key, given, say("an object"))
            return Record(key, None)
        for name in given:
            if name not in keys:
                says = say("`{key}` is not known", key=_dotted((*key, name)))
                self.findings.append(
                    finding(BAD_KEY, says, did_you_mean(name, keys), self._place((*key, name)))
                )
        for name in keys:
            if name not in given:
                says = say("`{key}` is missing", key=_dotted((*key, name)))
                self.findings.append(finding(BAD_KEY, says, say("add it"), self._place(key)))
        return Record(key, given)

    def object(self, part: Record, name: str, keys: Sequence[str]) -> Record:
        """An object within an object."""
        if not part.has(name):
            return Record((*part.key, name), None)
        return self.record((*part.key, name), part.get(name), keys)

    def text(self, part: Record, name: str) -> str:
        """A text that is not empty."""
        value = part.get(name)
        if not isinstance(value, str) or not value.strip():
            self.expected(part, name, say("a text that is not empty"))
        return str(value)

    def word(self, part: Record, name: str, words: Sequence[str]) -> str:
        """One of some words."""
        value = part.get(name)
        if value not in words:
            self.expected(part, name, say("one of {words}", words=", ".join(words)))
        return str(value)

    def number(
        self, part: Record, name: str, low: float, high: float, *, above: bool = False, whole: bool = False
    ) -> float:
        """A number from low to high; with `above`, more than low."""
        value = part.get(name)
        fits = is_number(value) and low <= value <= high and not (above and value == low)
        if fits and not (whole and value != int(value)):
            return float(value)
        values = {"low": low, "high": high}
        if whole:
            self.expected(part, name, say("a whole number from {low:,.0f} to {high:,.0f}", **values))
        elif above:
            self.expected(part, name, say("a number above {low:g} and up to {high:g}", **values))
        else:
            self.expected(part, name, say("a number from {low:g} to {high:g}", **values))
        return math.nan if not whole else 0

    def numbers(self, part: Record, name: str, low: float, expected: int | None = None) -> tuple[float, ...]:
        """A list of numbers, none below low."""
        value = part.get(name)
        if isinstance(value, list) and value and all(is_number(x) and x >= low for x in value):
            return tuple(float(x) for x in value)
        self.expected(part, name, say("a list of numbers, {low:g} or more", low=low))
        return ()

    def curve(
        self, part: Record, p_name: str, name: str, most: float
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Knots of a function that ascends, at p ascending strictly from 0 to 1."""
        before = len(self.findings)
        p, values = self.numbers(part, p_name, 0), self.numbers(part, name, 0)
        if p and values and len(p) != len(values):
            says = say("{n:,} values of {name} at {at:,} of p", n=len(values), name=name, at=len(p))
            self.report(BAD_NUMBER, (*part.key, name), says, say("one value at each p"))
        if p and (len(p) < 2 or p[0] != 0 or p[-1] != 1):
            says = say("p goes from {low:g} to {high:g}, not from 0 to 1", low=p[0], high=p[-1])
            self.report(BAD_NUMBER, (*part.key, p_name), says, say("begin with 0 and end with 1"))
        self._check_ascends((*part.key, p_name), p, strictly=True)
        self._check_ascends((*part.key, name), values, strictly=False)
        if values and values[-1] > most:
            says = say("its largest value is {value:g}; at most {most:g}", value=values[-1], most=most)
            self.report(BAD_NUMBER, (*part.key, name), says, say("is the unit right?"))
        return (p, values) if len(self.findings) == before else ((), ())

    def _check_ascends(self, key: Key, values: Sequence[float], *, strictly: bool) -> None:
        for i, (before, after) in enumerate(pairwise(values), start=1):
            if after < before or (strictly and after == before):
                says = say("value {i} = {after:g} comes after {before:g}", i=i, after=after, before=before)
                self.report(BAD_NUMBER, key, says, say("sort both lists of the curve by p"))
                return

    def expected(self, part: Record, name: str, what: Said) -> None:
        """Report a value that is not what it must be; one that is missing has been reported."""
        if part.has(name):
            self._report_kind((*part.key, name), part.get(name), what)

    def _report_kind(self, key: Key, value: Any, what: Said) -> None:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        self.report(BAD_KEY, key, say("it is {shown}", shown=shown), say("write {what}", what=what))

    def report(self, code: str, key: Key, says: Said, fix: Said) -> None:
        """Record a finding about a key and go on."""
        said = say("`{key}`: {says}", key=_dotted(key), says=says)
        self.findings.append(finding(code, said, fix, self._place(key)))

    def _place(self, key: Key) -> Place:
        return Place(str(self.path), line_of(self.source, key))


class Record:
    """An object of the file and its key; without values where it could not be read."""

    def __init__(self, key: Key, values: Mapping[str, Any] | None) -> None:
        self.key, self.values = key, values or {}

    def has(self, name: str) -> bool:
        """Whether it has this key."""
        return name in self.values

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a key."""
        return self.values.get(name, default)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that can be reckoned with: not NaN, not beyond `MOST_NUMBER`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_NUMBER


def _dotted(key: Key) -> str:
    """A key as it is written in messages.

    >>> _dotted(("sizes", 3, "run_s", "p"))
    'sizes[3].run_s.p'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".") or "the file"


def line_of(text: str, key: Sequence[str | int]) -> int:
    """The line of a JSON text on which a key stands; 0 if that cannot be told.

    >>> line_of('{"a": 1,\\n "sizes": [{"gpus": 1},\\n  {"gpus": 2}]}', ("sizes", 1, "gpus"))
    3
    """
    import yaml  # JSON is YAML, and only YAML readers keep lines; needed only when something is wrong

    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        return 0
    line = 1
    for part in key:
        if isinstance(part, int) and isinstance(node, yaml.SequenceNode) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = [(name, value) for name, value in node.value if name.value == part]
            if not found:
                return line
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        else:
            return line
    return line
