"""Money on the page: cash flow by year and payer, what costs what, budgets and their gaps, unit costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from gpufleet.base.language import spoken
from gpufleet.base.money import format_money, minor_of
from gpufleet.base.say import Said, say, tell
from gpufleet.report import charts, measured
from gpufleet.report.figures import Figure, Legend, with_sums
from gpufleet.report.marks import Mark
from gpufleet.report.tables import Kind, Table, table
from gpufleet.results.money.unit_costs import whole_months

if TYPE_CHECKING:
    from gpufleet.report.view import View
    from gpufleet.results.run import Run

KINDS: Final = {
    "hardware": (say("hardware"), "tenant-0", "plain"),
    "network": (say("network"), "tenant-0", "slash"),
    "building": (say("buildings"), "tenant-1", "plain"),
    "power": (say("energy"), "tenant-2", "plain"),
    "staff": (say("staff"), "grey-1", "plain"),
    "space": (say("space"), "grey-1", "slash"),
    "maintenance": (say("maintenance"), "grey-2", "plain"),
    "duty": (say("duty"), "grey-2", "dots"),
    "other": (say("other costs"), "grey-3", "plain"),
}
"""Kinds of cost: name, colour, hatch."""

UNIT_COSTS: Final = ("cost_per_gpu_h", "cost_per_used_gpu_h", "cost_per_tflop_year")


class Gap(NamedTuple):
    """The largest gap of a budget."""

    line: str
    year: int
    owed: Said | str
    place: str


def currency_of(run: Run) -> str:
    """The currency of the page."""
    return str(run.plan["money"]["currency"])


def amount(minor: int, currency: str) -> Said | str:
    """An amount for people: 1.459 TKRW, 1.46조 KRW."""
    if spoken() in ("ko", "ja"):
        return say("{x:short} {currency}", x=minor / minor_of(currency), currency=currency)
    return format_money(minor, currency)


def _rows(run: Run, flow: str) -> pl.DataFrame:
    """A flow within the plan's time, with its year."""
    rows = run.money.filter(pl.col("flow") == flow, pl.col("month").is_not_null())
    return rows.with_columns(year=pl.col("month").str.slice(0, 4))


def cash_flow(view: View) -> Figure | None:
    """What is paid year by year, by kind; the table by payer, with what comes in."""
    run = view.run
    paid = _rows(run, "due")
    if paid.is_empty():
        return None
    minor, currency = minor_of(currency_of(run)), currency_of(run)
    sums = {(year, kind): home for year, kind, home in _by(paid, "year", "kind").rows()}
    years = sorted({*(year for year, _ in sums), *_rows(run, "put off")["year"]})
    kinds = [kind for kind in KINDS if any(k == kind for _, k in sums)]
    marks = {kind: Mark(str(tell(KINDS[kind][0])), *KINDS[kind][1:]) for kind in kinds}
    total = {year: sum(sums.get((year, kind), 0) for kind in kinds) for year in years}
    segments = [
        {"row": year, "name": marks[kind].name, "value": sums.get((year, kind), 0) / minor, "rank": i,
         "total": total[year] / minor}
        for year in years
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    return Figure(
        id="cash-flow",
        title=str(_says(run, total)),
        subtitle=str(say("what falls due by year and kind of cost, {currency}", currency=currency)),
        spec=charts.bars(
            with_sums(segments, lambda x: str(amount(round(x * minor), currency))),
            list(marks.values()),
            unit=currency,
        ),
        legend=tuple(Legend(mark.name, "area", mark) for mark in marks.values()),
        note=_before(run),
        table=_cash_table(run, paid, years),
        measures=("money_due", "money_paid", "money_received", "money_written_off", "money_present_value"),
    )


def _by(rows: pl.DataFrame, *keys: str) -> pl.DataFrame:
    return rows.group_by(*keys).agg(pl.col("home").sum()).sort(*keys)


def _says(run: Run, total: dict[str, int]) -> Said:
    """What is paid in all, and in which year most; the largest gap."""
    whole, most = sum(total.values()), max(total, key=lambda year: total[year])
    currency = currency_of(run)
    says = say(
        "{whole} falls due by {end}, most of it in {year}: {most}",
        whole=amount(whole, currency), end=max(total), year=most, most=amount(total[most], currency),
    )  # fmt: skip
    gap = largest_gap(run)
    if gap is None:
        return says
    return say("{paid}; {gap}", paid=says, gap=gap_words(gap))


def gap_words(gap: Gap) -> Said:
    """A gap in words, with the line of the plan."""
    return say(
        "{line} lacks {owed} at the end of {year} ({place})",
        line=gap.line, owed=gap.owed, year=gap.year, place=gap.place,
    )  # fmt: skip


def largest_gap(run: Run) -> Gap | None:
    """The largest gap of all budgets, by the report's currency."""
    rows = run.funding.filter(pl.col("owed") > 0).sort("owed_home", "line", descending=[True, False])
    if rows.is_empty():
        return None
    line, year, owed, currency, place = rows.select("line", "year", "owed", "currency", "place").row(0)
    return Gap(line, year, amount(owed, currency), place)


def _before(run: Run) -> str:
    """What was paid before the plan begins: it is not in the cash flow."""
    before = run.money.filter(pl.col("flow") == "due", pl.col("month").is_null())["home"].sum()
    if not before:
        return ""
    says = say(
        "{amount} was paid before the plan begins, and is not shown; what is written off of it is.",
        amount=amount(int(before), currency_of(run)),
    )
    return str(says)


def _cash_table(run: Run, paid: pl.DataFrame, years: list[str]) -> Table:
    """Payers and years: paid, what comes in, what is written off."""
    minor = minor_of(currency_of(run))
    columns: list[tuple[str, Kind]] = [
        (say("payer"), "name"), (say("flow"), "text"),
        *((year, "whole") for year in years), (say("in all"), "whole"),
    ]  # fmt: skip
    rows = []
    due, off = (
        {(p, y): home for p, y, home in _by(each, "payer", "year").rows()}
        for each in (paid, _rows(run, "put off"))
    )
    cash = {key: due.get(key, 0) - off.get(key, 0) for key in dict.fromkeys([*due, *off])}
    received, gone = (
        {(p, y): home for p, y, home in _by(_rows(run, flow), "payer", "year").rows()}
        for flow in ("received", "written off")
    )
    for sums, word in (
        (due, say("falls due")),
        (cash, say("paid")),
        (received, say("received")),
        (gone, say("written off")),
    ):
        for payer in dict.fromkeys(payer for payer, _ in sums):
            values = [sums.get((payer, year), 0) / minor for year in years]
            rows.append((_titled(run, payer), word, *values, sum(values)))
    caption = say("Cash flow by payer and year, {currency}", currency=currency_of(run))
    return table(str(caption), columns, rows)


def _titled(run: Run, payer: str) -> str:
    """A payer by its title."""
    return str(run.plan["money"]["payers"][payer].get("title") or payer)


def costs(run: Run) -> Table | None:
    """Every cost and income: its price, who pays, what it comes to, the line of the plan."""
    if run.money.is_empty():
        return None
    money, lines, minor = run.plan["money"], run.plan["lines"], minor_of(currency_of(run))
    flowing = pl.col("flow").is_in(["due", "received"])
    known = run.money.filter(flowing)["item"].unique().to_list()
    bare = (pl.col("flow") == "written off") & ~pl.col("item").is_in(known)  # no money flows
    within = run.money.filter(pl.col("month").is_not_null(), flowing | bare)
    ends = [pl.col(name).sum() for name in ("home", "home_low", "home_high")]
    sums = {row[0]: row[1:] for row in within.group_by("item").agg(ends).rows()}
    columns: list[tuple[str, Kind]] = [
        (say("item"), "name"), (say("kind"), "text"), (say("price"), "text"),
        (say("who pays, or gets it"), "text"),
        (say("in all"), "whole"), (say("low"), "whole"), (say("high"), "whole"),
        (say("line of the plan"), "place"),
    ]  # fmt: skip
    rows = []
    for section in ("costs", "income"):
        for name, item in money.get(section, {}).items():
            kind = KINDS[item["kind"]][0] if section == "costs" else say("income")
            values = [value / minor for value in sums.get(name, (0, 0, 0))]
            shares = item.get("paid_by") or item["to"]
            rows.append(
                (item.get("title") or name, kind, _price(item), _who(run, shares), *values,
                 lines.get(f"money.{section}.{name}", ""))
            )  # fmt: skip
    return table(str(say("Costs and income, {currency}", currency=currency_of(run))), columns, rows)


def _price(item: dict[str, object]) -> Said | str:
    """A price as the plan has it."""
    price = item.get("price")
    if isinstance(price, list) and price:
        more = say(", later {price}", price=price[-1][1]) if len(price) > 1 else ""
        return say("{first}{more}", first=price[0][1], more=more)
    if item.get("share") is not None:
        of = item.get("of")
        share = {"share": item["share"], "of": of}
        every = say("{share:.1%} a year of {of:, }", **share)
        return every if item.get("each") == "year" else say("{share:.1%} of {of:, }", **share)
    return say("tariff {name}", name=item["tariff"]) if item.get("tariff") else say("by the catalogue")


def _who(run: Run, shares: dict[str, str]) -> Said | str:
    """Who pays, with shares where there are several."""
    if len(shares) == 1:
        return next(iter(shares))
    parts = [say("{name} {share:.0%}", name=name, share=_share(share)) for name, share in shares.items()]
    return say("{parts:, }", parts=parts)


def _share(text: str) -> float:
    from fractions import Fraction

    return float(Fraction(text))


def funding(run: Run) -> Table | None:
    """Budgets year by year; None without any."""
    if run.funding.is_empty():
        return None
    columns: list[tuple[str, Kind]] = [
        (say("funding line"), "name"), (say("year"), "text"), (say("currency"), "text"),
        (say("ceiling"), "whole"),
        (say("brought over"), "whole"), (say("falls due"), "whole"), (say("paid"), "whole"),
        (say("owed at the end"), "whole"), (say("left"), "whole"), (say("line of the plan"), "place"),
    ]  # fmt: skip
    wanted = ("line", "year", "currency", "ceiling", "brought", "asked", "paid", "owed", "left", "place")
    rows = []
    moves = pl.any_horizontal(pl.col("ceiling", "asked", "paid", "owed") > 0)
    for line, year, currency, *amounts, place in run.funding.filter(moves).select(wanted).iter_rows():
        title = run.plan["money"]["funding"][line].get("title") or line
        rows.append((title, str(year), currency, *(n / minor_of(currency) for n in amounts), place))
    return table(str(say("Budgets by year")), columns, rows)


def unit_costs(run: Run) -> Table | None:
    """What a GPU-hour and a TFLOPS-year cost, by product; None where nothing is known of it."""
    found = [measured.by(run, name, "product") for name in UNIT_COSTS]
    if not found[0]:
        return None
    columns: list[tuple[str, Kind]] = [
        (say("product"), "name"), (say("a GPU-hour in service"), "exact"),
        (say("a GPU-hour in use"), "exact"),
        (say("a TFLOPS-year, peak BF16"), "number"),
    ]  # fmt: skip
    rows = [(product, *(values.get(product) for values in found)) for product in found[0]]
    return table(str(say("What a unit costs, {currency}", currency=currency_of(run))), columns, rows)


def of_work(run: Run) -> Table | None:
    """What a job costs on average by tenant, and each training; None where nothing is known of it."""
    jobs, trained = (
        measured.by(run, "cost_per_job", "tenant"),
        measured.by(run, "cost_per_training", "workload"),
    )
    if not jobs and not trained:
        return None
    columns: list[tuple[str, Kind]] = [(say("of"), "name"), (say("what"), "text"), (say("cost"), "whole")]
    rows = [(name, say("a job, on average"), cost) for name, cost in jobs.items()]
    rows += [(name, say("the training"), cost) for name, cost in trained.items()]
    return table(
        str(say("What jobs and trainings cost, {currency}", currency=currency_of(run))), columns, rows
    )


def summary_lines(run: Run) -> list[str]:
    """What the terminal says of money: what is due and paid, the largest gap, the cost of a GPU-hour."""
    due, paid = measured.total(run, "money_due"), measured.total(run, "money_paid")
    if due is None or paid is None:
        return []
    currency = currency_of(run)
    minor = minor_of(currency)

    def told(value: float) -> Said | str:
        return amount(round(value * minor), currency)

    by_payer = sorted(measured.by(run, "money_paid", "payer").items(), key=lambda pair: -pair[1])
    parts = [say("{payer} {amount}", payer=payer, amount=told(value)) for payer, value in by_payer[:4]]
    lines = [
        say("Money: {due} falls due, {paid} is paid: {parts:, }", due=told(due), paid=told(paid), parts=parts)
    ]
    got = sorted(measured.by(run, "money_received", "payer").items(), key=lambda pair: -pair[1])
    if got:
        parts = [say("{payer} {amount}", payer=payer, amount=told(value)) for payer, value in got[:4]]
        lines.append(say("comes in: {parts:, }", parts=parts))
    gap = largest_gap(run)
    if gap is not None:
        lines.append(say("funding gap: {gap}", gap=gap_words(gap)))
    hours = measured.by(run, "cost_per_gpu_h", "product")
    if hours:
        some = [f"{product} {cost:,.2f}" for product, cost in list(hours.items())[:4]]
        months, _ = whole_months(run, run.counted_s)
        told_of = {"currency": currency, "some": some, "first": months[0], "last": months[-1]}
        lines.append(say("a GPU-hour in service costs, {currency}, {first} to {last}: {some:, }", **told_of))
    return [str(line) for line in lines]
