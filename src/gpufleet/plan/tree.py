"""YAML text as a tree in which every value knows its file, line and column.

Built from parser events, not by a YAML loader: no tags, no recursion, no limits that a file can set itself.
Plain words follow YAML 1.2: `no` is a word, `010` is ten, a date stays text until something wants a date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

import yaml

from gpufleet.base.errors import Finding, GpufleetError, Place, finding
from gpufleet.base.say import say
from gpufleet.base.units import NUMBER

MAX_DEPTH: Final = 40
MAX_UNFOLDED: Final = 20_000
MAX_REPEATS: Final = 50

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value: what it resolves to, and the text as written."""

    value: Scalar
    text: str
    at: Place


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping; keys are text."""

    items: dict[str, Node]
    at: Place
    key_at: dict[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seq:
    """A list."""

    items: tuple[Node, ...]
    at: Place


Node: TypeAlias = Leaf | Map | Seq

_INT: Final = re.compile(r"[-+]?\d{1,30}")
_FLOAT: Final = re.compile(NUMBER)
_WORDS: Final[dict[str, Scalar]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def plain(text: str) -> Scalar:
    """The value of an unquoted word.

    >>> plain("32"), plain("1.3"), plain("no"), plain("true"), plain("2026-01-05"), plain("~")
    (32, 1.3, 'no', True, '2026-01-05', None)
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if len(text) <= 40 and _FLOAT.fullmatch(text):
        return float(text)
    return text


def to_data(node: Node) -> Any:
    """The tree as plain Python data, places forgotten; dates and quantities stay text."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Seq):
        return [to_data(item) for item in node.items]
    return {key: to_data(item) for key, item in node.items.items()}


def same(a: Node, b: Node) -> bool:
    """Whether two trees hold the same values, wherever they were written."""
    return bool(to_data(a) == to_data(b))


def parse_yaml(text: str, file: str, *, first_line: int = 1) -> Node:
    """Parse one YAML document.

    Args:   file: the name that places carry. first_line: number of the first line of `text`; 0 for text
            that is not in a file, whose places then have line 0.
    Raises: GpufleetError with P001, P004 or P005; nothing else, whatever the text.

    >>> parse_yaml("a: [1, x]", "p.yaml").items["a"].items[1]
    Leaf(value='x', text='x', at=Place(file='p.yaml', line=1, column=8, sheet=''))
    """
    builder = _Builder(file, first_line)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        line = text[: _position(error)].count("\n")
        builder.fail("P001", builder.place(line, -1), f"{error.reason}", say("save the plan as UTF-8 text"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = builder.place(mark.line, mark.column) if mark else Place(file, 0)
        if "nesting depth" in str(error.problem):  # newer versions of libyaml have a limit of their own
            builder.too_deep(at)
        builder.fail(
            "P001", at, _complaint(error), say("compare this line and the one before with the example")
        )
    except (yaml.YAMLError, UnicodeError) as error:
        builder.fail("P001", Place(file, 0), str(error), say("save the plan as UTF-8 text"))
    if builder.findings:
        raise GpufleetError(*builder.findings)
    return builder.root or Leaf(None, "", builder.place(0, 0))


def _position(error: yaml.reader.ReaderError) -> int:
    return error.position if isinstance(error.position, int) else 0


def _complaint(error: yaml.MarkedYAMLError) -> str:
    parts = [str(part) for part in (error.context, error.problem) if part]
    return ", ".join(parts) or say("the text breaks off here")


@dataclass
class _Frame:
    """A list or mapping that is still being filled."""

    at: Place
    is_map: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    keys: dict[str, Node] = field(default_factory=dict)
    key_at: dict[str, Place] = field(default_factory=dict)
    key: str | None = None
    key_place: Place | None = None
    size: int = 1  # values in it
    height: int = 1  # levels of it


class _Builder:
    """Turns parser events into a tree, with a stack of its own."""

    def __init__(self, file: str, first_line: int) -> None:
        self.file = file
        self.first_line = first_line
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}  # node, values in it, how deep
        self._unfolded = 0
        self._documents = 0

    def place(self, line: int, column: int) -> Place:
        """A place in this file from the parser's mark (both from 0)."""
        return (
            Place(self.file, self.first_line + line, column + 1) if self.first_line else Place(self.file, 0)
        )

    def fail(self, code: str, at: Place, says: str, fix: str) -> NoReturn:
        """Record a finding and stop."""
        raise GpufleetError(*self.findings, finding(code, says, fix, at))

    def take(self, event: yaml.Event) -> None:
        """Take the next event."""
        mark = event.start_mark
        at = self.place(mark.line, mark.column) if mark else Place(self.file, 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.fail(
                    "P004",
                    at,
                    say("a second document starts here (`---`)"),
                    say("write one document per file"),
                )
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor, at)
        elif isinstance(event, yaml.NodeEvent):
            self._start(event, at)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()

    def _start(self, event: Any, at: Place) -> None:
        if event.tag is not None and event.tag != "!":
            self.fail(
                "P004",
                at,
                say("the tag `{tag}` is not used in plans", tag=event.tag),
                say("leave the tag out"),
            )
        if isinstance(event, yaml.ScalarEvent):
            value = plain(event.value) if event.implicit[0] and not event.style else event.value
            self._add(Leaf(value, event.value, at), event.anchor, 1, 0)
            return
        self._check_depth(1, at)
        self._stack.append(_Frame(at, isinstance(event, yaml.MappingStartEvent), event.anchor))

    def _end(self) -> None:
        frame = self._stack.pop()
        node = Map(frame.keys, frame.at, frame.key_at) if frame.is_map else Seq(tuple(frame.items), frame.at)
        self._add(node, frame.anchor, frame.size, frame.height)

    def _check_depth(self, height: int, at: Place) -> None:
        if len(self._stack) + height > MAX_DEPTH:
            self.too_deep(at)

    def too_deep(self, at: Place) -> NoReturn:
        """Record that lists and mappings are nested too deep, and stop."""
        says = say("nested more than {max_depth} deep", max_depth=MAX_DEPTH)
        self.fail("P004", at, says, say("a plan is at most a handful deep"))

    def _alias(self, name: str | None, at: Place) -> None:
        if name is None or name not in self._anchors:
            self.fail(
                "P004",
                at,
                say("`*{name}` has no finished `&{name}` before it", name=name),
                say("write the value out"),
            )
        node, size, height = self._anchors[name]
        self._check_depth(height, at)
        self._unfolded += size
        if self._unfolded > MAX_UNFOLDED:
            says = say("aliases unfold to more than {max_unfolded:,} values", max_unfolded=MAX_UNFOLDED)
            self.fail("P004", at, says, say("write long lists as a CSV table"))
        self._add(Leaf(node.value, node.text, at) if isinstance(node, Leaf) else node, None, size, height)

    def _add(self, node: Node, anchor: str | None, size: int, height: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size, height)
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if not frame.is_map:
            frame.items.append(node)
        elif frame.key is None:
            self._key(frame, node)
        else:
            self._value(frame, node)

    def _key(self, frame: _Frame, node: Node) -> None:
        if not isinstance(node, Leaf):
            self.fail("P004", node.at, say("a key is a list or a mapping"), say("write keys as plain words"))
        if node.text == "<<":
            self.fail(
                "P004", node.at, say("merge keys (`<<`) are not used in plans"), say("write the keys out")
            )
        frame.key, frame.key_place = node.text, node.at

    def _value(self, frame: _Frame, node: Node) -> None:
        key, at = frame.key or "", frame.key_place or node.at
        frame.key = None
        if key in frame.keys:
            self._twice(key, frame.key_at[key], at)
            return
        frame.keys[key] = node
        frame.key_at[key] = at

    def _twice(self, key: str, first: Place, second: Place) -> None:
        if len(self.findings) >= MAX_REPEATS:
            raise GpufleetError(*self.findings)
        says = say("`{key}` stands here and in {first}", key=key, first=first)
        self.findings.append(finding("P005", says, say("keep one, or give one another name"), second))


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node with its path: dots between keys, list items by `name`, else by number from 0."""
    yield path, node
    if isinstance(node, Map):
        for key, item in node.items.items():
            yield from walk(item, f"{path}.{key}" if path else key)
    elif isinstance(node, Seq):
        for i, item in enumerate(node.items):
            yield from walk(item, f"{path}.{item_name(item, i)}")


def word_at(node: Node, key: str) -> str | None:
    """The text of a key of a mapping, written short or long (`{value: ...}`); None if there is none.

    >>> word_at(parse_yaml("{to: lab}", "p"), "to"), word_at(parse_yaml("{to: {value: lab}}", "p"), "to")
    ('lab', 'lab')
    """
    inner = node.items.get(key) if isinstance(node, Map) else None
    if isinstance(inner, Map):
        inner = inner.items.get("value")
    return inner.text if isinstance(inner, Leaf) else None


def item_name(item: Node, index: int) -> str:
    """What a list item is called in a path: its `name`, else its number.

    >>> item_name(parse_yaml("{name: lot-1}", "p"), 3), item_name(parse_yaml("x", "p"), 3)
    ('lot-1', '3')
    """
    if isinstance(item, Map):
        name = item.items.get("name")
        if isinstance(name, Leaf) and name.text:
            return name.text
    return str(index)
