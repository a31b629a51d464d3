"""Kinds of single values: how each is read, what is wrong with it if it cannot be, and its JSON Schema.

Every value may be written long: ``{value: 50000, range: [45000, 50000], source: id, trust: stated}``.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from typing_extensions import override

from gpufleet.base.errors import did_you_mean, nearest
from gpufleet.base.say import say
from gpufleet.base.units import EXAMPLES, UNITS, Dimension, UnitError, accepted, parse_quantity
from gpufleet.plan.reader import Origin, Reader, noun
from gpufleet.plan.tree import Leaf, Map, Node, Seq

T = TypeVar("T")
Schema = dict[str, Any]

TRUSTS: Final = ("stated", "estimate", "assumption")
LONG_KEYS: Final = ("value", "range", "source", "trust")


class Kind(ABC, Generic[T]):
    """How a piece of the plan is read."""

    @abstractmethod
    def read(self, node: Node, path: str, reader: Reader) -> T:
        """The value. Raises: UnreadableError, with the finding recorded."""

    @abstractmethod
    def schema(self) -> Schema:
        """JSON Schema of what `read` accepts."""


class Value(Kind[T]):
    """A single value, short or long."""

    ranged: ClassVar[bool] = False
    wants: str = "a value"

    @abstractmethod
    def parse(self, leaf: Leaf, reader: Reader) -> T:
        """The value of one leaf. Raises: UnreadableError."""

    @abstractmethod
    def short_schema(self) -> Schema:
        """JSON Schema of the short form."""

    def accept(self, value: T, leaf: Leaf, reader: Reader) -> T:
        """A last check of the value that counts, not of the ends of its range."""
        return value

    @override
    def read(self, node: Node, path: str, reader: Reader) -> T:
        if isinstance(node, Map) and "value" in node.items:
            return self._read_long(node, path, reader)
        leaf = self._leaf(node, reader)
        reader.origins[path] = Origin(leaf.at, leaf.text)
        return self.accept(self.parse(leaf, reader), leaf, reader)

    def _leaf(self, node: Node, reader: Reader) -> Leaf:
        if isinstance(node, Leaf) and not (node.value is None and node.text == ""):
            return node
        what = {Map: say("a mapping"), Seq: say("a list")}.get(type(node), say("nothing"))
        raise reader.refuse(
            "P008",
            node.at,
            say("{what} stands here; {wants} is wanted", what=what, wants=self.wants),
            say("write {wants}", wants=self.wants),
        )

    def _read_long(self, node: Map, path: str, reader: Reader) -> T:
        for key in node.items:
            if key not in LONG_KEYS:
                says = say("`{key}` is not a key of a value written long", key=key)
                reader.report("P006", node.key_at.get(key, node.at), says, did_you_mean(key, LONG_KEYS))
        leaf = self._leaf(node.items["value"], reader)
        value = self.parse(leaf, reader)
        extent = self._range(node.items["range"], value, reader) if "range" in node.items else None
        source, trust = node.items.get("source"), node.items.get("trust")
        reader.origins[path] = Origin(
            leaf.at,
            leaf.text,
            SourceRef().parse(self._leaf(source, reader), reader) if source else None,
            Choice(TRUSTS).parse(self._leaf(trust, reader), reader) if trust else None,
            extent,
        )
        return self.accept(value, leaf, reader)

    def _range(self, node: Node, value: T, reader: Reader) -> tuple[T, T]:
        if not self.ranged:
            raise reader.refuse(
                "P008", node.at, say("{wants} has no range", wants=self.wants), say("leave `range` out")
            )
        if not isinstance(node, Seq) or len(node.items) != 2:
            raise reader.refuse(
                "P014", node.at, say("a range is a list of two values"), say("write `range: [low, high]`")
            )
        low, high = (self.parse(self._leaf(item, reader), reader) for item in node.items)
        texts = [item.text for item in node.items if isinstance(item, Leaf)]
        if low > high:  # type: ignore[operator]
            says = say(
                "the range is upside down: {texts} is more than {texts_2}", texts=texts[0], texts_2=texts[1]
            )
            raise reader.refuse(
                "P014",
                node.at,
                says,
                say("write `range: [{texts}, {texts_2}]`", texts=texts[1], texts_2=texts[0]),
            )
        if not low <= value <= high:  # type: ignore[operator]
            says = say(
                "the value lies outside its range {texts} to {texts_2}", texts=texts[0], texts_2=texts[1]
            )
            raise reader.refuse("P014", node.at, says, say("widen the range, or correct the value"))
        return low, high

    @override
    def schema(self) -> Schema:
        short = self.short_schema()
        long: Schema = {"value": short, "source": SourceRef().short_schema(), "trust": {"enum": list(TRUSTS)}}
        if self.ranged:
            long["range"] = {"type": "array", "items": short, "minItems": 2, "maxItems": 2}
        body = {"type": "object", "properties": long, "required": ["value"], "additionalProperties": False}
        return {"anyOf": [short, body]}


class Text(Value[str]):
    """Free text, or a name; numbers are taken as they are written."""

    wants = say("text")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        if not leaf.text.strip():
            raise reader.refuse(
                "P008", leaf.at, say("the text is empty"), say("write something, or leave the key out")
            )
        return leaf.text

    @override
    def short_schema(self) -> Schema:
        return {"type": ["string", "number", "boolean"]}


class Ref(Text):
    """A name that is declared elsewhere in the plan."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.wants = say("the name of a {what}", what=noun(what))

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        return reader.name(self.what, leaf.text, leaf.at)

    @override
    def short_schema(self) -> Schema:
        return {"type": ["string", "number"], "description": f"Name of a {self.what}."}


class SourceRef(Ref):
    """The id of a source."""

    def __init__(self) -> None:
        super().__init__("source")


class File(Text):
    """A key of `files`, or a path."""

    wants = say("a key of `files`, or a path")

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Path:  # type: ignore[override]
        return reader.file(super().read(node, path, reader), node.at)

    @override
    def short_schema(self) -> Schema:
        return {"type": "string", "description": "A key of `files`, or a path relative to the plan."}


class Choice(Value[str]):
    """One of a few words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.wants = say("one of {words}", words=self.words)

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        if leaf.text not in self.words:
            says = say("`{text}` is not {wants}", text=leaf.text[:60], wants=self.wants)
            close = nearest(leaf.text, self.words)
            fix = say("did you mean `{close}`?", close=close) if close else say("write one of these words")
            raise reader.refuse("P015", leaf.at, says, fix)
        return leaf.text

    @override
    def short_schema(self) -> Schema:
        return {"enum": list(self.words)}


class Flag(Value[bool]):
    """true or false."""

    wants = say("true or false")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> bool:
        if not isinstance(leaf.value, bool):
            raise reader.refuse(
                "P008",
                leaf.at,
                say("`{text}` is not true or false", text=leaf.text[:60]),
                say("write true or false"),
            )
        return leaf.value

    @override
    def short_schema(self) -> Schema:
        return {"type": "boolean"}


class Count(Value[int]):
    """A whole number of things."""

    ranged = True

    def __init__(self, what: str = "GPUs", *, least: int = 0, most: int = 10_000_000) -> None:
        self.what, self.least, self.most = what, least, most
        self.wants = say("a whole number of {what}", what=noun(what))

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        value = leaf.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            digits = re.sub(r"[,_ ]", "", leaf.text)
            fix = (
                say("write {digits}", digits=digits)
                if digits.isdecimal()
                else say("write {wants}, such as 32", wants=self.wants)
            )
            raise reader.refuse(
                "P010", leaf.at, say("`{text}` is not {wants}", text=leaf.text[:60], wants=self.wants), fix
            )
        if not self.least <= value <= self.most:
            says = say(
                "{value:,} {what}: {least:,} to {most:,} are possible",
                value=value,
                what=noun(self.what),
                least=self.least,
                most=self.most,
            )
            raise reader.refuse(
                "P010",
                leaf.at,
                says,
                say("write a number from {least:,} to {most:,}", least=self.least, most=self.most),
            )
        return value

    @override
    def short_schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Number(Value[float]):
    """A number without a unit."""

    ranged = True
    wants = say("a number")

    def __init__(
        self, *, least: float = 0.0, above: bool = False, most: float = 1e6, code: str = "P011"
    ) -> None:
        self.least, self.above, self.most, self.code = least, above, most, code

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> float:
        if isinstance(leaf.value, bool) or not isinstance(leaf.value, int | float):
            raise reader.refuse(
                "P008",
                leaf.at,
                say("`{text}` is not a number", text=leaf.text[:60]),
                say("write a number, such as 1.5"),
            )
        value = float(leaf.value)
        too_low = value <= self.least if self.above else value < self.least
        if too_low or value > self.most or not math.isfinite(value):
            low = (
                say("more than {least:g}", least=self.least)
                if self.above
                else say("at least {least:g}", least=self.least)
            )
            says = say(
                "{text} is out of bounds: {low}, at most {most:g}",
                text=leaf.text[:60],
                low=low,
                most=self.most,
            )
            raise reader.refuse(self.code, leaf.at, says, say("write a number that is {low}", low=low))
        return value

    @override
    def short_schema(self) -> Schema:
        low = "exclusiveMinimum" if self.above else "minimum"
        return {"type": "number", low: self.least, "maximum": self.most}


class Quantity(Value[float]):
    """A number with a unit; in W or s."""

    ranged = True

    def __init__(self, dimension: Dimension, *, above: bool = False) -> None:
        self.dimension: Dimension = dimension
        self.above = above
        self.wants = say(
            "a {dimension} such as `{example}`", dimension=noun(dimension), example=EXAMPLES[dimension]
        )

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> float:
        try:
            value = parse_quantity(leaf.text, self.dimension)
        except UnitError as error:
            fix = say(
                "units of {dimension}: {accepted}",
                dimension=noun(self.dimension),
                accepted=accepted(self.dimension),
            )
            raise reader.refuse("P009", leaf.at, error.args[0], fix) from error
        if value < 0 or (self.above and value == 0):
            least = say("more than 0") if self.above else say("0 or more")
            raise reader.refuse(
                "P011",
                leaf.at,
                say("`{text}` must be {least}", text=leaf.text[:60], least=least),
                say("write {wants}", wants=self.wants),
            )
        return value

    @override
    def short_schema(self) -> Schema:
        units = "|".join(UNITS[self.dimension])
        return {
            "type": "string",
            "pattern": rf"^\s*[0-9.].*({units})\s*$",
            "examples": [EXAMPLES[self.dimension]],
        }
