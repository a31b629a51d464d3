"""Columns of the tables of money; `gpufleet.results.columns` has those of all others."""

from __future__ import annotations

from typing import Final

from gpufleet.results.column import Column

_SMALLEST: Final = "smallest units of a currency: cents, won"

MONEY: Final[tuple[Column, ...]] = (
    Column(
        "month",
        "str",
        "",
        "month in the plan's time zone; null = before the plan begins",
        "",
        True,
    ),
    Column("flow", "str", "", "due, received, written off (no money flows), or put off (see the line)"),
    Column("item", "str", "", "cost or income of the plan; of what is put off the funding line"),
    Column("kind", "str", "", "kind of the cost; income; put off"),
    Column("lot", "str", "", "delivery; null = none in particular", "", True),
    Column("site", "str", "", "site; null = none in particular", "", True),
    Column("payer", "str", "", "who pays, or gets it"),
    Column("line", "str", "", "funding line that it is paid out of; null = none", "", True),
    Column("currency", "str", "", "currency of the price"),
    Column("amount", "i64", "", f"amount in that currency, {_SMALLEST}", "price x units, rounded"),
    Column("home", "i64", "", f"the same in the report's currency, {_SMALLEST}", "amount x rate of the day"),
    Column("home_low", "i64", "", "the same at the low ends of the ranges of prices"),
    Column("home_high", "i64", "", "the same at the high ends of the ranges of prices"),
)
"""Columns of money.parquet: one row per month, item, lot or site, and payer; of plans with `money`. What a
budget puts off to later years is above 0, what it pays of it then below."""

FUNDING: Final[tuple[Column, ...]] = (
    Column("line", "str", "", "funding line"),
    Column("year", "i64", "", "calendar year in the plan's time zone"),
    Column("currency", "str", "", "currency of the line; all amounts are in its smallest units"),
    Column("ceiling", "i64", "", "what there is for the year"),
    Column("brought", "i64", "", "left by the year before"),
    Column("asked", "i64", "", "falls due in the year, of this line and those within it"),
    Column("owed_before", "i64", "", "owed from the years before"),
    Column("paid", "i64", "", "paid in the year", "min(ceiling + brought, asked + owed_before)"),
    Column("owed", "i64", "", "the gap: owed at the end of the year", "owed_before + asked - paid"),
    Column("left", "i64", "", "left at the end of the year", "ceiling + brought - paid"),
    Column(
        "owed_home",
        "i64",
        "",
        f"the gap in the report's currency, {_SMALLEST}",
        "owed x rate of its last day",
    ),
    Column("place", "str", "", "line of the plan"),
)
"""Columns of funding.parquet: one row per funding line and year; of plans with `money.funding`."""
