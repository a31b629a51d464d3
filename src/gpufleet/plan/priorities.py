"""Priorities by name: classes that jobs and thresholds refer to."""

from __future__ import annotations

from typing import Final

from typing_extensions import override

from gpufleet.base.errors import did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.declared import as_map
from gpufleet.plan.kinds import Count, Kind, Schema, Value
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.tree import Leaf, Node

MOST: Final = 1_000_000


class _Number(Count):
    """The number of a priority."""

    def __init__(self) -> None:
        super().__init__("", least=-MOST, most=MOST)
        self.wants = say("a whole number")


class Priorities(Kind[dict[str, int]]):
    """Names of priorities, and the numbers that they stand for."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, int]:
        body = as_map(node, path, reader)
        for name, item in body.items.items():
            try:
                reader.priorities[name] = _Number().read(item, under(path, name), reader)
            except UnreadableError:
                continue
        if len(reader.priorities) < len(body.items):
            raise UnreadableError(path)
        return dict(reader.priorities)

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": _Number().schema()}


class PriorityKind(Value[int]):
    """A number, or a name of `priorities`; higher goes first."""

    ranged = True
    wants = say("a whole number, or a name of `priorities`")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        if leaf.text in reader.priorities:
            return reader.priorities[leaf.text]
        if leaf.text in reader.known.get("priority", ()):
            raise UnreadableError(leaf.text)  # its own finding says what is wrong with it
        if not isinstance(leaf.value, str):
            return _Number().parse(leaf, reader)
        says = say("there is no priority `{text}`", text=leaf.text[:60])
        raise reader.refuse("P016", leaf.at, says, did_you_mean(leaf.text, reader.known.get("priority", ())))

    @override
    def short_schema(self) -> Schema:
        return {"anyOf": [_Number().short_schema(), {"type": "string"}]}
