"""Sums: what some promises and lots add up to, and what was published of it. Nothing is simulated by them.

A sum is where a plan says that numbers go together: parts of a programme that make its total, or lots set
against a promise. No GPU may be in it twice: a promise and a lot that counts toward it do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from typing_extensions import override

from gpufleet.base.errors import Finding
from gpufleet.base.say import Said, say
from gpufleet.plan.check import check
from gpufleet.plan.declared import Key, Sourced
from gpufleet.plan.kinds import Count, Ref, Text
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Map

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan


class Sum(Sourced):
    """What promises, lots and other sums come to together, beside what was published of it."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    promises: Annotated[
        tuple[str, ...],
        Key(NameList("promise"), "promises that it adds up; none speaks of another's GPUs"),
    ] = ()
    lots: Annotated[tuple[str, ...], Key(NameList("lot"), "lots that it adds up")] = ()
    sums: Annotated[tuple[str, ...], Key(NameList("sum"), "other sums that it adds up")] = ()
    makes: Annotated[
        int | None, Key(Count("GPUs", least=1), "what it comes to, as published; left out: nobody said")
    ] = None
    against: Annotated[
        str | None, Key(Ref("promise"), "a promise that it is set against: the difference is shown as a gap")
    ] = None
    makes_range: tuple[int, int] | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        if not any(values.get(key) for key in ("promises", "lots", "sums")):
            says = say("`{path}` adds nothing up", path=path)
            fix = say("add `promises`, `lots` or `sums`: the names of what it adds up")
            raise reader.refuse("P007", node.at, says, fix)
        if "makes" in values:
            values["makes_range"] = reader.origins[f"{path}.makes"].range
        return values


class Part(NamedTuple):
    """A promise or a lot in a sum."""

    kind: str  # promise or lot
    name: str


def parts_of(sums: Mapping[str, Any], name: str, above: tuple[str, ...] = ()) -> Iterator[Part]:
    """The promises and lots of a sum, those of sums in it included; a sum inside itself brings nothing.

    Args: sums: by name; of a plan, or of its lock.
    """
    one = sums[name] if isinstance(sums[name], Mapping) else vars(sums[name])
    yield from (Part("promise", promise) for promise in one["promises"])
    yield from (Part("lot", lot) for lot in one["lots"])
    for other in one["sums"]:
        if other not in (*above, name):
            yield from parts_of(sums, other, (*above, name))


def total_of(plan: Plan, name: str) -> int:
    """GPUs that a sum comes to."""
    lots = {lot.name: lot.gpus for lot in plan.deliveries}
    return sum(
        plan.promises[part.name].gpus if part.kind == "promise" else lots[part.name]
        for part in parts_of(plan.sums, name)
    )


@check("P091", "sum inside itself", severity="error")
def sum_in_circle(plan: Plan) -> Iterator[Finding]:
    """A sum adds up other sums, and one of these adds up the first.

    Example::

        sums:
          all:  {sums: half}
          half: {sums: all}
    """
    for name in plan.sums:
        if _reaches(plan, name, name):
            yield Finding(
                at=plan.line(f"sums.{name}.sums"),
                says=say("the sum {name} is a part of itself", name=name),
                fix=say("take it out of one of the sums"),
            )


def _reaches(plan: Plan, start: str, goal: str) -> bool:
    """Whether a sum has another one in it, at any depth."""
    todo, seen = [*plan.sums[start].sums], set[str]()
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += plan.sums[name].sums
    return False


@check("P092", "GPUs that count twice in a sum", severity="error")
def counted_twice(plan: Plan) -> Iterator[Finding]:
    """What is added up must not speak of the same GPUs: one promise or lot twice, a promise beside a lot that
    counts toward it, two promises that one lot counts toward.

    Example::

        deliveries: [{name: first, counts_toward: fifty, ...}]
        sums:       {all: {promises: fifty, lots: first}}       # the first lot is a part of the fifty
    """
    for name in plan.sums:
        said = _twice(plan, name)
        if said is not None:
            yield Finding(at=plan.line(f"sums.{name}"), says=said, fix=say("leave one of the two out of it"))


def _twice(plan: Plan, name: str) -> Said | None:
    """What is in a sum twice, or None; what is in a circle is told as such."""
    if _reaches(plan, name, name):
        return None
    parts = list(parts_of(plan.sums, name))
    promises = {part.name for part in parts if part.kind == "promise"}
    lots = {part.name for part in parts if part.kind == "lot"}
    for part in parts:
        if parts.count(part) > 1:
            return say("{part} is in it twice", part=part.name)
    for lot in plan.deliveries:
        both = [promise for promise in lot.counts_toward if promise in promises]
        if both and lot.name in lots:
            return say("{lot} counts toward {promise}: both are in it", lot=lot.name, promise=both[0])
        if len(both) > 1:
            return say(
                "{lot} counts toward {promises: and }: both are in it", lot=lot.name, promises=both[:2]
            )
    return None


@check("P093", "sum that does not add up")
def does_not_add_up(plan: Plan) -> Iterator[Finding]:
    """The parts of a sum come to another number than was published. Often a part is missing, or a share was
    taken off one of them. With a range, the sum lies outside of it.

    Example::

        promises: {a: {gpus: 28000, ...}, b: {gpus: 9000, ...}}
        sums:     {path: {promises: [a, b], makes: 52000}}      # 37,000
    """
    for name, one in plan.sums.items():
        if one.makes is None or _reaches(plan, name, name) or _twice(plan, name):
            continue
        total = total_of(plan, name)
        low, high = one.makes_range or (one.makes, one.makes)
        if not low <= total <= high:
            apart = abs(total - one.makes)
            values = {"name": name, "total": total, "makes": one.makes, "apart": apart}
            yield Finding(
                at=plan.line(f"sums.{name}.makes"),
                says=say("{name} comes to {total:,} GPUs, not {makes:,} ({apart:,} more)", **values)
                if total > one.makes
                else say("{name} comes to {total:,} GPUs, not {makes:,} ({apart:,} fewer)", **values),
                fix=say("look at its parts, or correct `makes`"),
            )
