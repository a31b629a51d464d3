"""Lists of names of things that the plan declares elsewhere."""

from __future__ import annotations

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.kinds import Kind, Ref, Schema, Text
from gpufleet.plan.reader import Origin, Reader, UnreadableError, noun
from gpufleet.plan.tree import Leaf, Node, Seq


class NameList(Kind[tuple[str, ...]]):
    """One name of a kind, or a list of such names; in one cell of a table they are separated by `;`."""

    def __init__(self, what: str) -> None:
        self.what = what

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[str, ...]:
        if isinstance(node, Seq):
            leaves = [item for item in node.items if isinstance(item, Leaf)]
            if len(leaves) < len(node.items) or not leaves:
                says = say(
                    "`{path}` is the name of a {what}, or a list of such names",
                    path=path,
                    what=noun(self.what),
                )
                raise reader.refuse("P008", node.at, says, say("write `[name, name]`, or leave it out"))
            words = [(leaf.text, leaf) for leaf in leaves]
            reader.origins[path] = Origin(node.at)
        else:
            text = Text().read(node, path, reader)
            at = reader.origins[path].at
            words = [(word.strip(), Leaf(word.strip(), word.strip(), at)) for word in text.split(";")]
        return self._names(words, reader)

    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        """What one of the words names. Raises: UnreadableError"""
        return reader.name(self.what, word, leaf.at)

    def _names(self, words: list[tuple[str, Leaf]], reader: Reader) -> tuple[str, ...]:
        found: list[str] = []
        ok = True
        for word, leaf in words:
            try:
                name = self.one(word, leaf, reader)
            except UnreadableError:
                ok = False
                continue
            if name in found:
                says, fix = say("`{name}` is named twice", name=name), say("keep one")
                reader.report("P020", leaf.at, says, fix)
                ok = False
            found.append(name)
        if not ok:
            raise UnreadableError(self.what)
        return tuple(found)

    @override
    def schema(self) -> Schema:
        short = Ref(self.what).short_schema()
        return {"anyOf": [Ref(self.what).schema(), {"type": "array", "items": short, "minItems": 1}]}
