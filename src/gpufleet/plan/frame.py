"""Kinds of the plan's frame: the version of its language, names for files, and what overrides set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import as_map
from gpufleet.plan.kinds import Kind, Schema, Text, Value
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.tree import Leaf, Node, to_data

VERSION: Final = 1


class Version(Value[int]):
    """The version of the plan language."""

    wants = say("the version of the language, {version}", version=VERSION)

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> int:
        if leaf.value != VERSION or isinstance(leaf.value, bool):
            says = say(
                "this gpufleet reads version {version} of the plan language, not `{text}`",
                version=VERSION,
                text=leaf.text[:20],
            )
            raise reader.refuse("P042", leaf.at, says, say("write `gpufleet: {version}`", version=VERSION))
        return VERSION

    @override
    def short_schema(self) -> Schema:
        return {"const": VERSION}

    @override
    def schema(self) -> Schema:
        return self.short_schema()


class Files(Kind[dict[str, Path]]):
    """Names for files."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Path]:
        files: dict[str, Path] = {}
        body = as_map(node, path, reader)
        for name, item in body.items.items():
            try:
                word = Text().read(item, under(path, name), reader)
                files[name] = reader.files[name] = reader.path(word, reader.origins[under(path, name)].at)
            except UnreadableError:
                continue
        if len(files) < len(body.items):
            raise UnreadableError(path)
        return files

    @override
    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": Text().schema()}


class Overrides(Kind[dict[str, Any]]):
    """Paths of the plan and the values that they get."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Any]:
        return {key: to_data(item) for key, item in as_map(node, path, reader).items.items()}

    @override
    def schema(self) -> Schema:
        return {"type": "object"}
