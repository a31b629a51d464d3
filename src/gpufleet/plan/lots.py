"""The lots that a plan's deliveries come to: those in parts, cancelled in part, or that stand in for others.

Every part becomes a lot of its own, called after the declared one: ``first/1``. What is left over stays with
the declared one. So each way from order to service is a row of its own, and all of them add up to what is
declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any, TypeVar

from gpufleet.base.say import say
from gpufleet.plan.chain import LeadTimes, LotSteps
from gpufleet.plan.lot_words import Cancelled, LotPart
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.substitutes import in_place_of

if TYPE_CHECKING:
    from gpufleet.plan.supply import Delivery, System

S = TypeVar("S", LotSteps, LeadTimes)
CANCELLED = "cancelled"


def lots_of(values: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """The fields of a plan that change when its deliveries become lots: deliveries, sums and actuals.

    Raises: UnreadableError, with the findings recorded.
    """
    declared: tuple[Delivery, ...] = values["deliveries"]
    if not any(lot.pieces or lot.cancelled or lot.replaces for lot in declared):
        return {}
    before = len(reader.findings)
    _name_origins(declared, reader)
    today = values.get("as_of") or values["start"]
    declared, cuts = in_place_of(declared, values["systems"], today, reader)
    by_lot = {lot.name: _lots(lot, cuts.get(lot.name, []), values["systems"], reader) for lot in declared}
    lots = tuple(lot for some in by_lot.values() for lot in some)
    _check_actuals(values.get("actuals", ()), lots, reader)
    if len(reader.findings) > before:
        raise UnreadableError("deliveries")
    sums = {name: _summed(one, by_lot) for name, one in values.get("sums", {}).items()}
    return {"deliveries": lots, "sums": sums}


def _name_origins(declared: tuple[Delivery, ...], reader: Reader) -> None:
    """Call lots without a name in paths as in results: their numbers change when others become several."""
    origins = reader.origins
    unnamed = {str(i): lot.name for i, lot in enumerate(declared) if f"deliveries.{lot.name}" not in origins}
    for path in [path for path in origins if path.startswith("deliveries.")] if unnamed else []:
        section, number, *keys = path.split(".", 2)
        if number in unnamed:
            origins[".".join([section, unnamed[number], *keys])] = origins.pop(path)


def _lots(
    lot: Delivery, cuts: list[Cancelled], systems: Mapping[str, System], reader: Reader
) -> list[Delivery]:
    """The lots that one declared lot comes to."""
    whole = next((cut for cut in cuts if cut.gpus is None or (cut.gpus == lot.gpus and not lot.pieces)), None)
    some = [cut for cut in cuts if cut is not whole]
    parts: list[Delivery] = []
    for i, part in enumerate(lot.pieces or ()):
        one = _part(lot, part, i, reader)
        parts.append(one.model_copy(update={"cancelled": one.cancelled or whole}))
    left = lot.gpus - sum(one.gpus for one in parts)
    if left < 0:
        says = say(
            "the parts of {lot} hold {gpus:,} GPUs; the lot has {whole:,} ({over:,} too many)",
            lot=lot.name, gpus=lot.gpus - left, whole=lot.gpus, over=-left,
        )  # fmt: skip
        reader.report("P203", lot.line, says, say("make the parts smaller, or the lot larger"))
        return [lot]
    rest = _rest(lot, left, reader)
    taken = sum(cut.gpus or 0 for cut in some)
    if taken > left or (whole and some):
        _too_much(lot, left, some, reader)
        return [lot]
    for i, cut in enumerate(some):
        name = f"{lot.name}/{CANCELLED}{f'-{i + 1}' if i else ''}"
        own = {"name": name, "whole": lot.name, "gpus": cut.gpus, "gpus_range": None, "cancelled": cut}
        parts.append(rest.model_copy(update=own))
        _inherit(reader, lot, name, "cancelled")
    if left > taken:
        parts.append(_less(rest, left - taken, taken, reader).model_copy(update={"cancelled": whole}))
    return [_in_nodes(one, systems[lot.system].gpus_per_node) for one in parts]


def _rest(lot: Delivery, left: int, reader: Reader) -> Delivery:
    """What the parts leave over, under the name of the lot."""
    return _less(lot.model_copy(update={"pieces": None}), left, lot.gpus - left, reader)


def _less(lot: Delivery, gpus: int, taken: int, reader: Reader) -> Delivery:
    """A lot with fewer GPUs, the same number less at the ends of its range."""
    extent = lot.gpus_range
    if extent and taken:
        if extent[0] < taken or not gpus:
            says = say(
                "{lot} has {low:,} to {high:,} GPUs; {taken:,} of them are in parts or cancelled",
                lot=lot.name, low=extent[0], high=extent[1], taken=taken,
            )  # fmt: skip
            reader.report("P203", lot.line, says, say("give the parts ranges instead of the lot"))
            return lot
        extent = extent[0] - taken, extent[1] - taken
    return lot.model_copy(update={"gpus": gpus, "gpus_range": extent})


def _too_much(lot: Delivery, left: int, cuts: list[Cancelled], reader: Reader) -> None:
    """Tell that more of a lot is cancelled, or replaced, than there is."""
    says = say(
        "{gpus:,} GPUs of {lot} are cancelled; {left:,} can be",
        gpus=sum(cut.gpus or lot.gpus for cut in cuts), lot=lot.name, left=left,
    )  # fmt: skip
    fix = say("cancel fewer, or write `cancelled` in its parts")
    if any(cut.replaced_by for cut in cuts):
        fix = say("write `gpus` in `replaces`: how many of its GPUs each new lot stands in for")
    reader.report("P204", cuts[0].line, says, fix)


def _part(lot: Delivery, part: LotPart, i: int, reader: Reader) -> Delivery:
    """One part of a lot as a lot: what it does not say is as the lot says."""
    name = f"{lot.name}/{i + 1}"
    own: dict[str, Any] = {
        "name": name, "whole": lot.name, "line": part.line, "pieces": None, "gpus": part.gpus,
        "gpus_range": part.gpus_range, "status": part.status or lot.status, "cancelled": part.cancelled,
        "source": part.source or lot.source, "trust": part.trust or lot.trust,
        "steps": _both(lot.steps, part.steps), "lead_times": _both(lot.lead_times, part.lead_times),
        "needs": part.needs or lot.needs,
    }  # fmt: skip
    if part.at is not None:
        own |= {"at": part.at, "at_range": part.at_range, "at_stated": True}
    if part.ordered is not None:
        own |= {"ordered": part.ordered, "ordered_range": part.ordered_range}
    _inherit(reader, lot, name, f"parts.{i}")
    here = own["status"] in ("delivered", "online")
    if here and part.at is None and not lot.at_stated:
        says = say("`{path}` has no `at`, and it does not follow from an order", path=f"deliveries.{name}")
        reader.report("P007", part.line, says, say("add `at`: when it arrives"))
    elif part.at is not None:
        try:
            reader.within(part.at, part.line, past=here, later=True)
        except UnreadableError:
            return lot.model_copy(update=own)
    return lot.model_copy(update=own)


def _both(of_lot: S | None, own: S | None) -> S | None:
    """What a part says of its steps, and for the others what the lot says."""
    if of_lot is None or own is None:
        return own or of_lot
    said = {
        key: value for key, value in own.model_dump(exclude={"line", "ranges"}).items() if value is not None
    }
    kept = {key: extent for key, extent in of_lot.ranges.items() if key not in said}
    return of_lot.model_copy(update=said | {"ranges": kept | dict(own.ranges)})


def _inherit(reader: Reader, lot: Delivery, name: str, key: str) -> None:
    """Let the values of a part have lines: its own, else those of the lot."""
    origins, of_lot, to = reader.origins, f"deliveries.{lot.name}", f"deliveries.{name}"
    own = f"{of_lot}.{key}"
    above = {f"{of_lot}.parts", f"{of_lot}.cancelled", f"{of_lot}.gpus", f"{of_lot}.nodes"}
    for path in [path for path in origins if path.startswith(f"{of_lot}.")]:
        if not any(path == each or path.startswith(f"{each}.") for each in above):
            origins[f"{to}{path.removeprefix(of_lot)}"] = origins[path]
    for path in [path for path in origins if path == own or path.startswith(f"{own}.")]:
        origins[f"{to}{path.removeprefix(own)}"] = origins[path]
    found = origins.get(to) or origins[of_lot]
    above_all = origins[of_lot]
    origins[to] = changed(
        found, source=found.source or above_all.source, trust=found.trust or above_all.trust, range=None
    )


def _in_nodes(lot: Delivery, per_node: int) -> Delivery:
    return lot.model_copy(update={"nodes": -(-lot.gpus // per_node)})


def _summed(one: Any, by_lot: Mapping[str, list[Delivery]]) -> Any:
    """A sum with all lots that the declared ones have become."""
    names = (each.name for name in one.lots for each in by_lot.get(name, ()))
    parts = [name for name in one.lots if name not in by_lot]
    return one.model_copy(update={"lots": (*names, *parts)})


def _check_actuals(actuals: Iterable[Any], lots: tuple[Delivery, ...], reader: Reader) -> None:
    """Refuse what has arrived of a lot that is only in parts: of which of them?"""
    names = {lot.name: None for lot in lots}
    for i, actual in enumerate(actuals):
        if actual.lot not in names:
            parts = [lot.name for lot in lots if lot.whole == actual.lot]
            says = say("{lot} comes in parts: {parts:, }", lot=actual.lot, parts=parts)
            at = (
                reader.origins[f"actuals.{i}.lot"].at if f"actuals.{i}.lot" in reader.origins else actual.line
            )
            reader.report("P203", at, says, say("name the part that has arrived"))
