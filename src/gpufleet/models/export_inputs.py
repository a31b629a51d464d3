"""What a rule of export law may read: names, units, and what it means if nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias

from gpufleet.base.say import Said, say

Kind: TypeAlias = Literal["number", "flag", "country", "date", "word"]
Value: TypeAlias = float | str | None
"""A number, a text, or None for what is not known."""
Inputs: TypeAlias = Mapping[str, Value]
"""A shipment as rules read it: a value for every name of `INPUTS`."""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that rules read.

    `name` is its name in expressions, `column` that in files of shipments and of ``--input``. `empty` is what
    an empty cell means; None: not known, or for `needed` ones that there must be something.
    """

    name: str
    column: str
    kind: Kind
    says: Said
    unit: str = ""
    empty: Value = None
    needed: bool = False
    of_chip: bool = False
    choices: tuple[str, ...] = ()


END_USES: Final = (
    *("re_export", "us_datacenter", "us_repair", "us_rnd", "us_startup"),
    *("consumer_non_dc", "civil_industrial_non_dc", "us_public_sector"),
)

_ALL: Final = (
    Input("chip", "chip", "word", say("chip"), needed=True),
    Input("maker_hq", "maker_hq", "country", say("maker's headquarters"), needed=True),
    Input("date", "query_date", "date", say("date"), needed=True),
    Input("dest", "destination", "country", say("destination"), needed=True),
    Input("hq", "buyer_hq", "country", say("buyer's headquarters"), needed=True),
    Input("origin", "origin", "country", say("origin"), needed=True),
    Input("item_kind", "item_kind", "word", say("kind of item"), empty="ic", choices=("ic", "hbm_stack")),
    Input("tpp", "tpp", "number", say("TPP"), of_chip=True),
    Input("pd", "performance_density", "number", say("performance density"), of_chip=True),
    Input("mem_bw_gbps", "mem_bw_gbps", "number", say("memory bandwidth"), "GB/s", of_chip=True),
    Input("io_gbps", "io_gbps", "number", say("I/O bandwidth"), "GB/s", of_chip=True),
    Input("hbm_density", "hbm_density", "number", say("HBM bandwidth density"), "GB/s/mm2", of_chip=True),
    Input("dc", "dc_marketed", "flag", say("made or marketed for data centres"), of_chip=True),
    Input(
        "declared_not_3a090",
        "declared_not_3a090",
        "flag",
        say("declared by its maker as not 3A090"),
        empty=0.0,
        of_chip=True,
    ),
    Input("direct_from_us", "direct_from_us", "flag", say("comes straight from the US")),
    Input("us_tested", "us_tested", "flag", say("tested by a third party in the US"), empty=0.0),
    Input("volume_share", "volume_share", "number", say("share of the volume shipped in the US"), empty=1.0),
    Input("state_funded", "state_funded", "flag", say("state money in the project"), empty=0.0),
    Input("buyer", "buyer", "word", say("buyer"), empty=""),
    Input("quantity", "quantity", "number", say("quantity"), say("GB300 equivalents"), empty=0.0),
    Input("end_use", "end_use", "word", say("end use"), empty="", choices=END_USES),
)

INPUTS: Final[Mapping[str, Input]] = {each.name: each for each in _ALL}
"""Everything that a rule may read, by its name in expressions."""

BY_COLUMN: Final[Mapping[str, Input]] = {each.column: each for each in _ALL}
"""The same by the name of its column."""


def is_date(text: str) -> bool:
    """Whether a text is a date as rules write it.

    >>> is_date("2025-04-09"), is_date("2025-4-9"), is_date("20250409"), is_date("2025-02-30")
    (True, False, False, False)
    """
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def complete(given: Mapping[str, Value]) -> dict[str, Value]:
    """A shipment with a value for every input, from those that are given.

    What is not given is what an empty cell means; goods that leave the US come straight from there.

    Args: given: by name; those that are `needed` must be there.

    >>> full = complete({"chip": "H20", "maker_hq": "US", "date": "2025-05-01", "dest": "CN", "hq": "CN",
    ...                  "origin": "US"})
    >>> full["tpp"], full["item_kind"], full["direct_from_us"], full["volume_share"]
    (None, 'ic', 1.0, 1.0)
    """
    full = {name: each.empty for name, each in INPUTS.items()} | dict(given)
    if full["direct_from_us"] is None:
        full["direct_from_us"] = 1.0 if full["origin"] == "US" else 0.0
    return full
