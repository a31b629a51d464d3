"""Lots that stand in for others: how many GPUs they have, and what of the old lots is cancelled for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from gpufleet.base.errors import Place
from gpufleet.base.money import Money
from gpufleet.base.say import say
from gpufleet.plan.catalogue_prices import price_per_gpu
from gpufleet.plan.chain_times import in_turn
from gpufleet.plan.lot_words import Cancelled, Replaces
from gpufleet.plan.reader import Reader, UnreadableError

if TYPE_CHECKING:
    from gpufleet.plan.supply import Delivery, System

Cuts = dict[str, list[Cancelled]]
"""What is cancelled of each lot, by its name."""


def in_place_of(
    declared: tuple[Delivery, ...], systems: Mapping[str, System], today: datetime, reader: Reader
) -> tuple[tuple[Delivery, ...], Cuts]:
    """The lots with the GPUs of those that stand in for others, and what is cancelled of which lot.

    What is wrong is recorded; the lots are not to be used then.
    """
    lots = {lot.name: lot for lot in declared}
    cuts: Cuts = {lot.name: [lot.cancelled] for lot in declared if lot.cancelled}
    order, circle = in_turn({lot.name: [lot.replaces.lot] if lot.replaces else [] for lot in declared})
    if circle:
        says = say("{names:, } stand in for each other", names=circle)
        at = lots[circle[0]].line
        reader.report("P206", at, says, say("take `replaces` out of one of them"))
        return declared, cuts
    for name in order:
        lot = lots[name]
        if lot.replaces is None:
            continue
        if lot.replaces.lot not in lots:  # a part of a lot, by its own name
            says = say("{lot} is a part; `replaces` names a whole lot", lot=lot.replaces.lot)
            fix = say("name the lot, and how many of its `gpus`")
            reader.report("P206", lot.replaces.line, says, fix)
            continue
        old = lots[lot.replaces.lot]
        gone = _cancelled(lot, lot.replaces, old, cuts.setdefault(old.name, []), today)
        lots[name] = _sized(lot, lot.replaces, old, gone, systems, reader)
    return tuple(lots[lot.name] for lot in declared), cuts


def _cancelled(new: Delivery, says: Replaces, old: Delivery, cuts: list[Cancelled], today: datetime) -> int:
    """Note what is cancelled of the old lot; returns how many GPUs that is."""
    free = [i for i, cut in enumerate(cuts) if cut.replaced_by is None]
    if says.at is None and free:  # the plan says itself that it is cancelled, and when
        cut = cuts[free[0]]
        cuts[free[0]] = cut.model_copy(update={"replaced_by": new.name})
        return says.gpus or cut.gpus or old.gpus
    at = says.at or new.ordered or today
    gpus = None if says.gpus == old.gpus else says.gpus
    cuts.append(Cancelled(line=says.line, at=at, gpus=gpus, replaced_by=new.name))
    return says.gpus or old.gpus


def _sized(
    new: Delivery,
    says: Replaces,
    old: Delivery,
    gone: int,
    systems: Mapping[str, System],
    reader: Reader,
) -> Delivery:
    """The new lot with its GPUs: those that it says, else as many as come to the same."""
    if new.gpus:
        if says.by or says.ratio:
            told = say("{lot} says how many GPUs it has, and `replaces` how to find that", lot=new.name)
            fix = say("leave `gpus` of the lot out, or `by` and `ratio`")
            reader.report("P206", says.line, told, fix)
        return new
    ratio = _ratio(new, says, old, systems, reader)
    if ratio is None:
        return new.model_copy(update={"gpus": 1})  # told
    per_node = systems[new.system].gpus_per_node
    gpus = int(gone * ratio) // per_node * per_node
    if not gpus:
        told = say(
            "{gone:,} GPUs of {old} come to less than one node of {new} ({per_node} GPUs)",
            gone=gone, old=old.name, new=new.name, per_node=per_node,
        )  # fmt: skip
        reader.report("P206", says.line, told, say("write `gpus`, or leave the lot out"))
        gpus = per_node
    reader.note(_note(new, old, gpus, gone, ratio))
    return new.model_copy(update={"gpus": gpus, "nodes": gpus // per_node})


def _note(new: Delivery, old: Delivery, gpus: int, gone: int, ratio: Fraction) -> str:
    words = {"new": new.name, "gpus": gpus, "ratio": float(ratio), "gone": gone, "old": old.name}
    return say(
        "{new} has {gpus:,} GPUs in whole nodes: {ratio:.4g} for each of the {gone:,} of {old} for which "
        "it stands in",
        **words,
    )


def _ratio(
    new: Delivery, says: Replaces, old: Delivery, systems: Mapping[str, System], reader: Reader
) -> Fraction | None:
    """New GPUs for one of the old; None if it is not known, with the finding recorded."""
    if says.ratio is not None:
        return Fraction(str(says.ratio))
    if says.by in (None, "gpus"):
        return Fraction(1)
    try:
        if says.by == "compute":
            return _rate(old, systems, says, reader) / _rate(new, systems, says, reader)
        before, after = (_price(lot, systems, says, reader) for lot in (old, new))
    except UnreadableError:
        return None
    if before[1] != after[1]:
        told = say(
            "the price of {old} is in {first}, that of {new} in {second}",
            old=old.name, first=before[1], new=new.name, second=after[1],
        )  # fmt: skip
        reader.report("P206", says.line, told, say("write `unit_price` of both in one currency, or `ratio`"))
        return None
    return before[0] / after[0]


def _rate(lot: Delivery, systems: Mapping[str, System], says: Replaces, reader: Reader) -> Fraction:
    """Dense BF16 rate of a GPU of a lot, TFLOP/s. Raises: UnreadableError if it is not known."""
    from gpufleet.catalog.load import gpus

    product = systems[lot.system].product
    known = gpus().get(product)
    if known is None or not known.bf16_tflops:
        told = say("how fast {product} is, in BF16, is not in the catalogue", product=product)
        raise reader.refuse("P206", says.line, told, say("write `ratio`: new GPUs for one of the old"))
    return Fraction(str(known.bf16_tflops))


def _price(
    lot: Delivery, systems: Mapping[str, System], says: Replaces, reader: Reader
) -> tuple[Fraction, str]:
    """Price of a GPU of a lot, and its currency. Raises: UnreadableError if it is not known."""
    system = systems[lot.system]
    price = lot.unit_price
    if isinstance(price, Money):
        return price.value / (system.gpus_per_node if price.per == "node" else 1), price.currency
    known = price_per_gpu(system)
    if known is None:
        told = say("the catalogue has no price of {system}, which {lot} is", system=lot.system, lot=lot.name)
        fix = say("write `unit_price` in the lot, such as `30 kUSD/GPU`, or `ratio`")
        raise reader.refuse("P206", _at(lot, says), told, fix)
    return known.value, known.currency


def _at(lot: Delivery, says: Replaces) -> Place:
    return says.line if lot.replaces is says else lot.line
