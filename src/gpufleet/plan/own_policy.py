"""Own policies: functions in Python that a plan names, in a file beside it or in an installed package."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from typing_extensions import override

from gpufleet.base.errors import Place, did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key
from gpufleet.plan.kinds import Choice, Kind, Schema, Text
from gpufleet.plan.own_code import MOST_CHARACTERS, OwnCode, OwnCodeError, OwnKind, read_code
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.tree import Map, Node

GROUP: Final = "gpufleet.policies"
"""Entry points of installed packages that are policies."""
TAKES: Final = ("domain", "node")


@dataclass(frozen=True)
class OwnFunction:
    """A function that decides instead of a built-in rule."""

    kind: OwnKind
    function: str
    file: str  # as the plan names it; of an entry point: the name of its module
    line: int = field(metadata={"lock": False})  # of its `def`
    source: str
    code: OwnCode = field(repr=False, metadata={"lock": False})

    def place(self, line: int = 0) -> Place:
        """A line of the user's file; 0: where the function begins."""
        return Place(self.file, line or self.line)


class _Found(NamedTuple):
    """Where a function is, before its file is read."""

    path: Path
    function: str
    file: str


class OwnFunctionKind(Kind[OwnFunction]):
    """FILE.py:FUNCTION, or the name of an entry point."""

    def __init__(self, kind: OwnKind) -> None:
        self.kind: OwnKind = kind

    @override
    def read(self, node: Node, path: str, reader: Reader) -> OwnFunction:
        word = Text().read(node, path, reader)
        found = self._find(word, node.at, reader)
        text = _text_of(found, node.at, reader)
        try:
            code = read_code(text, found.function, self.kind, reader.known.get("queue", ()))
        except OwnCodeError as error:
            for fault in error.faults:
                at = Place(found.file, fault.line) if fault.line else node.at
                reader.report(fault.code, at, fault.says, fault.fix)
            raise UnreadableError(path) from error
        return OwnFunction(self.kind, found.function, found.file, code.line, code.source, code)

    def _find(self, word: str, at: Place, reader: Reader) -> _Found:
        file, colon, function = word.rpartition(":")
        if colon and file.strip() and function.strip():
            return _Found(reader.path(file.strip(), at), function.strip(), file.strip())
        if word.endswith(".py"):
            names = _functions_of(reader.path(word, at))
            says = say("`{word}` names a file and no function", word=word[:80])
            first = names[0] if names else "FUNCTION"
            raise reader.refuse("P120", at, says, say("write `{file}:{name}`", file=word, name=first))
        return _installed(word, at, reader)

    @override
    def schema(self) -> Schema:
        return {"type": "string", "description": f"FILE.py:FUNCTION, or an entry point of {GROUP}."}


def _functions_of(path: Path) -> list[str]:
    """Names of the functions of a file, as far as it can be read."""
    with suppress(OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return []


def _text_of(found: _Found, at: Place, reader: Reader) -> str:
    try:
        with found.path.open(encoding="utf-8-sig") as file:
            return file.read(MOST_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        says = say("the file is not UTF-8 text")
        raise reader.refuse("P121", Place(found.file, 0), says, say("save it as UTF-8")) from error
    except OSError as error:
        says = say("it cannot be read: {getattr}", getattr=error.strerror or str(error))
        raise reader.refuse("P120", at, says, say("make the file readable")) from error


# --- entry points -------------------------------------------------------------------------------------------


def _installed(word: str, at: Place, reader: Reader) -> _Found:
    """The function that an installed package registers under a name. Its module is not imported."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    named = {point.value for point in entry_points(group=GROUP) if point.name == word}
    if len(named) > 1:
        says = say("several packages register `{name}`: {values}", name=word, values=sorted(named))
        raise reader.refuse("P120", at, says, say("uninstall one of them, or write FILE.py:FUNCTION"))
    if word not in known:
        says = say(
            "no installed package registers `{name}` in the group {group}", name=word[:80], group=GROUP
        )
        fix = did_you_mean(word, known) if known else say("write FILE.py:FUNCTION, or install the package")
        raise reader.refuse("P120", at, says, fix)
    return _Found(_module_file(known[word], at, reader), known[word].attr, known[word].module)


def _module_file(point: EntryPoint, at: Place, reader: Reader) -> Path:
    why = say("it has no source in Python")
    try:
        spec = find_spec(point.module)
        if spec is None:
            why = say("there is no such module")
        elif spec.origin is not None and spec.origin.endswith(".py"):
            return Path(spec.origin)
    except Exception as error:  # the package around the module may raise anything when it is imported
        why = say("{error}", error=f"{type(error).__name__}: {error}")
    says = say("the entry point {name} is {value}: {why}", name=point.name, value=point.value, why=why)
    raise reader.refuse("P120", at, says, say("install the package again, or write FILE.py:FUNCTION"))


# --- keys of the policy -------------------------------------------------------------------------------------


class OwnOrder(Declared):
    """An own order: a function gives each job a number when it joins its queue; smaller goes first."""

    python: Annotated[
        OwnFunction, Key(OwnFunctionKind("order"), "FILE.py:FUNCTION, or the name of an entry point")
    ]


class OwnPlacement(Declared):
    """An own placement: a function gives nodes, and domains of whole nodes, a number; smallest is taken."""

    python: Annotated[
        OwnFunction, Key(OwnFunctionKind("placement"), "FILE.py:FUNCTION, or the name of an entry point")
    ]
    take: Annotated[
        str, Key(Choice(TAKES), "whole nodes: all that the best domain has before asking again, or one")
    ] = "domain"


class WordOrOwn(Kind[Any]):
    """One of a few words, or an own function."""

    def __init__(self, words: tuple[str, ...], own: type[Declared]) -> None:
        self.words, self.own = Choice(words), own

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Any:
        if isinstance(node, Map) and "value" not in node.items:
            return self.own.from_node(node, path, reader)
        return self.words.read(node, path, reader)

    @override
    def schema(self) -> Schema:
        return {"anyOf": [self.words.schema(), {"$ref": f"#/$defs/{self.own.__name__}"}]}
