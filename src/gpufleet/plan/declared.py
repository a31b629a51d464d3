"""What all parts of a plan have in common, and how a mapping of the plan becomes one of them.

A part is a frozen pydantic model. A field that people write carries a `Key`: how it is read, and what it
means. The reader, the JSON Schema and the reference page are all made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from gpufleet.base.errors import Place, did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.kinds import TRUSTS, Choice, Kind, Schema, SourceRef
from gpufleet.plan.reader import Origin, Reader, UnreadableError, under
from gpufleet.plan.tree import Leaf, Map, Node, Seq, item_name

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Key:
    """How a field is written: its kind, its meaning, and its name where that differs from the field's."""

    kind: Kind[Any]
    doc: str
    name: str = ""


class Keyed(BaseModel):
    """A frozen model whose written fields carry a `Key`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    constant: ClassVar[Mapping[str, str]] = {}
    """Keys with one possible value, such as the `kind` of a workload."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Optional keys of which exactly one is written."""
    or_else: ClassVar[str] = ""
    """A key from which the keys `one_of` follow where none of them is written."""

    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        """Derive fields from others, and check what holds between the keys of one part.

        Args:   values: what was read, by field. node: where from.
        Raises: UnreadableError, with the finding recorded.
        """
        return values

    @classmethod
    def from_node(cls, node: Node, path: str, reader: Reader, **given: Any) -> Self:
        """Read a mapping; every key is tried, so that all findings come at once.

        Args:   given: fields that are not written in the mapping itself, such as the name.
        Raises: UnreadableError, with the findings recorded.
        """
        body = as_map(node, path, reader)
        values, ok = _read_keys(cls, body, path, reader)
        for name in required_keys(cls):
            if name in body.items:
                continue
            ok = False
            if under(path, name) not in reader.broken:
                says = say(
                    "{path} has no `{name}`",
                    path=say("`{path}`", path=path) if path else say("the plan"),
                    name=name,
                )
                reader.report(
                    "P007", body.at, says, say("add `{name}`: {doc}", name=name, doc=keys_of(cls)[name].doc)
                )
        ok = cls._has_one(body, path, reader) and ok
        source, trust = values.get("source"), values.get("trust")
        reader.origins[path] = Origin(body.at, "", source, trust)
        if not ok:
            raise UnreadableError(path)
        values = cls.complete({**values, **given}, body, path, reader)
        if "line" in cls.model_fields:
            values["line"] = body.at
        return cls(**values)

    @classmethod
    def _has_one(cls, body: Map, path: str, reader: Reader) -> bool:
        """Whether exactly one of the keys `one_of` is written; else report it (P023)."""
        written = [f"`{key}`" for key in cls.one_of if key in body.items]
        if len(written) == 1 or not cls.one_of or (not written and cls.or_else in body.items):
            return True
        either = say("{keys: or }", keys=[f"`{key}`" for key in cls.one_of])
        says = (
            say("`{path}` has both {written: and }", path=path, written=written)
            if written
            else say("`{path}` has neither {either}", path=path, either=either)
        )
        reader.report("P023", body.at, says, say("write either {either}", either=either))
        return False


class Declared(Keyed):
    """A part of the plan."""

    line: Place  # where it starts in the files


class Sourced(Declared):
    """A part that says where its numbers come from; this holds for all of its values."""

    source: Annotated[str | None, Key(SourceRef(), "where its numbers come from: a key of `sources`")] = None
    trust: Annotated[str | None, Key(Choice(TRUSTS), "how sure they are")] = None


def _read_keys(model: type[Keyed], body: Map, path: str, reader: Reader) -> tuple[dict[str, Any], bool]:
    """The values of all keys, by field, and whether every one could be read."""
    keys = keys_of(model)
    values: dict[str, Any] = {}
    ok = True
    for name, item in body.items.items():
        if name in model.constant:
            continue
        if name not in keys:
            says = say(
                "`{name}` is not a key of {path}",
                name=name,
                path=say("`{path}`", path=path) if path else say("the plan"),
            )
            fix = did_you_mean(name, [*keys, *model.constant], limit=20)
            reader.report("P006", body.key_at.get(name, item.at), says, fix)
            ok = False
            continue
        placed = _placed(item, body.key_at.get(name, item.at))
        reader.origins[under(path, name)] = Origin(placed.at)  # kinds that know more say more
        try:
            values[field_of(model, name)] = keys[name].kind.read(placed, under(path, name), reader)
        except UnreadableError:
            ok = False
    return values, ok


@cache
def keys_of(model: type[Keyed]) -> dict[str, Key]:
    """The keys of a part, by the name that is written.

    >>> from gpufleet.plan.sites import Site
    >>> list(keys_of(Site))  # doctest: +NORMALIZE_WHITESPACE
    ['source', 'trust', 'title', 'time_zone', 'power', 'pue', 'country', 'overhead', 'curtailments',
     'carbon_g_per_kwh', 'on_cap', 'curve', 'gpu_caps', 'domains_per_block']
    """
    found = {}
    for field, info in model.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Key):
                found[mark.name or field] = mark
    return found


def required_keys(model: type[Keyed]) -> list[str]:
    """Keys that have no default."""
    return [key for key, field in _fields(model).items() if model.model_fields[field].is_required()]


@cache
def _fields(model: type[Keyed]) -> dict[str, str]:
    return {
        mark.name or field: field
        for field, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Key)
    }


def field_of(model: type[Keyed], key: str) -> str:
    """The field that a written key fills."""
    return _fields(model)[key]


def by_name(
    body: Map, path: str, reader: Reader, name: Callable[[str, Place], K], value: Callable[[Node, str], V]
) -> dict[K, V]:
    """Read a mapping from names to values; every entry is tried, so that all findings come at once.

    Args:   name: reads what stands before the colon, from its place. value: reads what stands behind it.
    Raises: UnreadableError, with the findings recorded; two names of one thing are one (P020).
    """
    found: dict[K, V] = {}
    ok = True
    for word, item in body.items.items():
        try:
            key = name(word, body.key_at[word])
            if key in found:
                says = say("`{name}` is named twice", name=str(key))
                raise reader.refuse("P020", body.key_at[word], says, say("keep one"))
            found[key] = value(item, under(path, word))
        except UnreadableError:
            ok = False
    if not ok:
        raise UnreadableError(path)
    return found


def as_map(node: Node, path: str, reader: Reader) -> Map:
    """The node as a mapping; a key with nothing behind it is an empty one.

    Raises: UnreadableError (P008)
    """
    if isinstance(node, Map):
        return node
    if isinstance(node, Leaf) and node.value is None:
        return Map({}, node.at)
    what = say("a list") if isinstance(node, Seq) else say("a single value")
    fix = (
        say("write `name: {...}` for each entry")
        if isinstance(node, Seq)
        else say("write `key: value` lines below it")
    )
    raise reader.refuse(
        "P008",
        node.at,
        say(
            "{what} stands here; {path} is a mapping",
            what=what,
            path=say("`{path}`", path=path) if path else say("a plan"),
        ),
        fix,
    )


M = TypeVar("M", bound=Keyed)


class Part(Kind[M], Generic[M]):
    """A mapping that is one part of the plan."""

    def __init__(self, model: type[M]) -> None:
        self.model = model

    @override
    def read(self, node: Node, path: str, reader: Reader) -> M:
        return self.model.from_node(node, path, reader)

    @override
    def schema(self) -> Schema:
        return {"$ref": f"#/$defs/{self.model.__name__}"}


class Parts(Kind[dict[str, M]], Generic[M]):
    """A mapping from names to parts of one model, each with a field `name`."""

    def __init__(self, model: type[M]) -> None:
        self.model = model

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, M]:
        parts: dict[str, M] = {}
        body = as_map(node, path, reader)
        ok = True
        for name, item in body.items.items():
            try:
                placed = _placed(item, body.key_at.get(name, item.at))
                parts[name] = self.model.from_node(placed, under(path, name), reader, name=name)
            except UnreadableError:
                ok = False
        if not ok:
            raise UnreadableError(path)
        return parts

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{self.model.__name__}"}}


def _placed(node: Node, at: Place) -> Node:
    """The node with the place of its key, which is where people look."""
    if isinstance(node, Map):
        return Map(node.items, at, node.key_at)
    return node


class PartList(Kind[tuple[M, ...]], Generic[M]):
    """A list of parts of one model."""

    def __init__(self, model: type[M]) -> None:
        self.model = model

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[M, ...]:
        if not isinstance(node, Seq):
            says = say("`{path}` is a list", path=path)
            raise reader.refuse("P008", node.at, says, say("write one `- {...}` line for each entry"))
        parts: list[M] = []
        ok = True
        seen: dict[str, Place] = {}
        for i, item in enumerate(node.items):
            name = item_name(item, i)
            if name in seen:
                says = say("`{name}` stands here and in {seen}", name=name, seen=seen[name])
                reader.report("P020", item.at, says, say("give one of them another name"))
                ok = False
            seen[name] = item.at
            try:
                parts.append(self.model.from_node(item, under(path, name), reader))
            except UnreadableError:
                ok = False
        if not ok:
            raise UnreadableError(path)
        return tuple(parts)

    @override
    def schema(self) -> Schema:
        return {"type": "array", "items": {"$ref": f"#/$defs/{self.model.__name__}"}}
