"""Overrides: what --set and scenarios change, always on the tree, so that they equal an edited file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gpufleet.base.errors import GpufleetError, Place, did_you_mean, nearest
from gpufleet.base.say import say
from gpufleet.plan.declared import keys_of
from gpufleet.plan.reader import Reader, UnreadableError, under
from gpufleet.plan.table_parts import Table
from gpufleet.plan.tables import expand_alone, table_of
from gpufleet.plan.tree import Leaf, Map, Node, Seq, item_name, parse_yaml, same, walk

OPTIONAL_PARTS: Final = (
    "files", "systems", "promises", "cohorts", "priorities", "workloads", "policy", "policy.sharing",
    "milestones", "lead_times", "slots", "licences", "rules", "scenarios", "sources",
)  # fmt: skip
"""Mappings that an override may add to although the plan does not have them."""


MAX_CHAIN: Final = 50
"""Scenarios that build on each other, one behind the other."""

MAX_PATH: Final = 500
"""Characters of a path."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value for one path; `by` says who wants it."""

    path: str
    value: Node
    at: Place
    by: str


def parse_sets(sets: Sequence[str], reader: Reader) -> list[Override]:
    """Read ``PATH=VALUE`` options; the value is YAML. What is wrong is reported and left out."""
    found: dict[str, Override] = {}
    for text in sets:
        path, equals, value = text.partition("=")
        path = path.strip()
        at = Place(f"--set {path[:80]}", 0)
        if not equals or not path:
            reader.report(
                "P030",
                at,
                say("`{text}` is not PATH=VALUE", text=text[:80]),
                say("write e.g. --set policy.order=sjf"),
            )
        elif path in found:
            reader.report(
                "P028", at, say("`{path}` is set twice on the command line", path=path), say("keep one")
            )
        else:
            try:
                found[path] = Override(path, parse_yaml(value, at.file, first_line=0), at, at.file)
            except GpufleetError as error:
                reader.pass_on(error, at)
    return list(found.values())


def apply(tree: Map, overrides: Sequence[Override], reader: Reader) -> Map:
    """The tree with the overrides; what cannot be applied is reported.

    Files come first and rows of tables last: a row is read from the file and the columns that are meant.
    """
    for change in sorted(overrides, key=lambda change: _turn(change, tree)):
        if len(change.path) > MAX_PATH:
            says = say("a path of {count:,} characters leads nowhere", count=len(change.path))
            reader.report("P030", change.at, says, say("write e.g. policy.order"))
            continue
        try:
            tree = _with_rows(tree, change, reader)
            changed = _replace(tree, change.path.split("."), "", change, _Context(tree, reader))
        except UnreadableError:
            continue
        assert isinstance(changed, Map)
        tree = changed
    return tree


def _turn(change: Override, tree: Map) -> int:
    """When an override is applied, from 0; those of one turn in their order."""
    return 0 if change.path.startswith("files.") else 1 + (_table_of_row(change, tree) is not None)


def _table_of_row(change: Override, tree: Map) -> str | None:
    """The part of the plan of whose table the override changes a row."""
    part, *rest = change.path.split(".")
    inside = rest and rest[0] not in keys_of(Table)
    return part if inside and table_of(tree, part) else None


def _with_rows(tree: Map, change: Override, reader: Reader) -> Map:
    """The tree with a table written out, if the override changes one of its rows.

    Raises: UnreadableError, with the findings recorded, if the table cannot be read.
    """
    part = _table_of_row(change, tree)
    if part is None:
        return tree
    written = expand_alone(tree, reader, [part])
    if part in reader.broken:
        raise UnreadableError(part)
    return written


@dataclass(frozen=True, slots=True)
class _Context:
    tree: Map
    reader: Reader

    def missing(self, change: Override, done: str, says: str) -> UnreadableError:
        """Report a path that leads nowhere, with the likely one."""
        paths = [path for path, _ in walk(self.tree) if path]
        near = nearest(change.path, paths[:5000])
        below = [path.removeprefix(f"{done}.") for path in paths if path.startswith(f"{done}.")]
        fix = (
            say("did you mean `{near}`?", near=near)
            if near
            else did_you_mean(change.path, [p for p in below if "." not in p])
        )
        return self.reader.refuse(
            "P030", change.at, say("`{path}`: {says}", path=change.path, says=says), fix
        )


def _replace(node: Node, rest: list[str], done: str, change: Override, context: _Context) -> Node:
    """A copy of the node in which the value at the path `rest` is replaced."""
    if not rest:
        return change.value
    if isinstance(node, Leaf) and node.value is None:
        node = Map({}, node.at)
    if isinstance(node, Leaf):
        raise context.missing(change, done, say("`{done}` is a single value; set `{done}` itself", done=done))
    if isinstance(node, Seq):
        return _replace_item(node, rest, done, change, context)
    key, left = _matching_key(node, rest)
    if key not in node.items and left:
        own = under(done, key)
        if own not in OPTIONAL_PARTS or (len(left) > 1 and under(own, left[0]) not in OPTIONAL_PARTS):
            raise context.missing(change, done, say("there is no `{under}`", under=under(done, key)))
        node = Map({**node.items, key: Map({}, change.at)}, node.at, {**node.key_at, key: change.at})
    value = _replace(node.items[key], left, under(done, key), change, context) if left else change.value
    places = node.key_at if left else {**node.key_at, key: change.at}
    return Map({**node.items, key: value}, node.at, places)


def _replace_item(node: Seq, rest: list[str], done: str, change: Override, context: _Context) -> Node:
    names = [item_name(item, i) for i, item in enumerate(node.items)]
    for size in range(len(rest), 0, -1):
        name = ".".join(rest[:size])
        index = names.index(name) if name in names else _index(name, len(names))
        if index is not None:
            value = _replace(node.items[index], rest[size:], under(done, names[index]), change, context)
            return Seq((*node.items[:index], value, *node.items[index + 1 :]), node.at)
    raise context.missing(change, done, say("there is no `{rest}` in `{done}`", rest=rest[0], done=done))


def _index(name: str, length: int) -> int | None:
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 9 and int(name) < length else None


def _matching_key(node: Map, rest: list[str]) -> tuple[str, list[str]]:
    """The longest key of the mapping that the path starts with (keys may hold dots), else its first word."""
    for size in range(len(rest), 0, -1):
        key = ".".join(rest[:size])
        if key in node.items:
            return key, rest[size:]
    return rest[0], rest[1:]


def scenario_overrides(tree: Map, names: Sequence[str], reader: Reader) -> list[Override]:
    """The overrides of scenarios and of those that they build on, each once.

    Two that set one path, or one path below another, are reported (P028); so are unknown names and circles.
    """
    declared = _declared(tree)
    order: list[str] = []
    for name in names:
        at = Place(f"--scenario {name[:80]}", 0)
        if name in declared:
            _collect(name, declared, order, (), reader, at)
        else:
            reader.report(
                "P016", at, say("there is no scenario `{name}`", name=name[:80]), did_you_mean(name, declared)
            )
    overrides = [change for name in order for change in own_overrides(name, declared[name])]
    return list(_without_conflicts(overrides, reader))


def _declared(tree: Map) -> dict[str, Map]:
    scenarios = tree.items.get("scenarios")
    items = scenarios.items if isinstance(scenarios, Map) else {}
    return {name: body for name, body in items.items() if isinstance(body, Map)}


def _collect(
    name: str, declared: dict[str, Map], order: list[str], above: tuple[str, ...], reader: Reader, at: Place
) -> None:
    """Put a scenario into the order, behind those that it builds on."""
    if name in above or len(above) >= MAX_CHAIN:
        circle = " -> ".join([*above[above.index(name) if name in above else -3 :], name])
        reader.report(
            "P031",
            at,
            say("the scenarios build on each other: {circle}", circle=circle),
            say("cut the circle"),
        )
        return
    if name in order or name not in declared:
        return
    for base, place in _bases(declared[name]).items():
        _collect(base, declared, order, (*above, name), reader, place)
    order.append(name)


def _bases(body: Map) -> dict[str, Place]:
    """Scenarios that one builds on, and where it says so."""
    bases = body.items.get("with")
    items = bases.items if isinstance(bases, Seq) else ()
    return {item.text: item.at for item in items if isinstance(item, Leaf)}


def own_overrides(name: str, body: Map) -> Iterator[Override]:
    """What the `set` of one scenario says."""
    changes = body.items.get("set")
    if isinstance(changes, Map):
        for path, value in changes.items.items():
            yield Override(path, value, changes.key_at.get(path, value.at), f"scenario {name}")


def _without_conflicts(overrides: Sequence[Override], reader: Reader) -> Iterator[Override]:
    taken: list[Override] = []
    for change in overrides:
        for other in taken:
            short, long = sorted((change.path, other.path), key=len)
            if long == short or long.startswith(f"{short}."):
                says = say(
                    "{by} sets `{path}`, and {by_2} sets `{path_2}` in {at}",
                    by=change.by,
                    path=change.path,
                    by_2=other.by,
                    path_2=other.path,
                    at=other.at,
                )
                reader.report(
                    "P028", change.at, says, say("leave one of the two scenarios out, or one of the lines")
                )
                break
        else:
            taken.append(change)
            yield change


def check_scenarios(tree: Map, reader: Reader) -> None:
    """Report what is wrong with any scenario of the plan, used or not: paths, conflicts, no effect (P029)."""
    declared = _declared(tree)
    for name, body in declared.items():
        own = Reader(reader.root, reader.zone)
        changed = apply(tree, scenario_overrides(tree, [name], own), own)
        reader.findings += [found for found in own.findings if found not in reader.findings]
        if own.findings or any(base not in declared for base in _bases(body)):
            continue  # that a base is unknown is found when the scenario is read
        if not list(own_overrides(name, body)) and "with" not in body.items:
            reader.report(
                "P029",
                body.at,
                say("scenario {name} sets nothing", name=name),
                say("add `set: {path: value}`"),
            )
        elif same(tree, changed):
            says = say("every value that scenario {name} sets stands in the plan already", name=name)
            reader.report("P029", body.at, says, say("change a value, or leave the scenario out"))
