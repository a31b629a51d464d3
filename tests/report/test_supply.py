"""Supply on the page: staircases, the map of shortages, promises, arrivals; each number with its origin."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.say import say
from gpufleet.report import promises, stair_charts, supply
from gpufleet.report.answers import answered, linked
from gpufleet.report.marks import Mark
from gpufleet.report.stairs import STEPS, Flight, Gap, Level, Stairs, month_after, month_ms
from gpufleet.report.view import View


@pytest.fixture
def nation(report_of: Any) -> Any:
    """A plan with promises, several sites, a range, a power step and actuals."""
    return report_of("nation")


@pytest.fixture
def stairs(nation: Any) -> Stairs:
    return Stairs(nation.run)


def _figure(report: Any, name: str) -> Any:
    return next(figure for figure in report.page.figures if figure.id == name)


# --- staircases


def test_whole_says_what_the_answer_says(nation: Any, stairs: Stairs) -> None:
    online = stairs.whole().at("online", stairs.due)
    says = f"{online.gpus:,} of 16,000 "
    assert nation.run.answer.startswith(says + "promised")
    assert _figure(nation, "staircase").title.startswith(says + "pledged")
    assert f"(low {online.low:,}, high {online.high:,})" in nation.run.answer


def test_targets_are_not_added_to_pledges(stairs: Stairs) -> None:
    assert stairs.pledges == ["pledge-gov", "pledge-naver", "pledge-sk"]
    assert stairs.whole().last("pledged").gpus == 5_000 + 6_000 + 5_000


def test_no_more_counts_than_was_promised(stairs: Stairs) -> None:
    """Lots with 5,040 GPUs count toward the pledge to SK, which is 5,000."""
    each = {flight.name: flight.last("online").gpus for flight in stairs.flights()}
    assert each["pledge-sk"] == 5_040
    whole = sum(min(each[name], stairs.promises[name]["gpus"]) for name in stairs.pledges)
    assert stairs.whole().last("online").gpus == whole


def test_steps_are_taken_in_order(stairs: Stairs) -> None:
    for flight in [stairs.whole(), *stairs.flights()]:
        for before, after in pairwise(STEPS[1:]):
            pairs = zip(flight.levels[before], flight.levels[after], strict=True)
            assert all(a.gpus >= b.gpus for a, b in pairs), (flight.name, before, after)
        assert all(level.low <= level.gpus <= level.high for level in flight.levels["online"])


def test_table_counts_each_lot_once(nation: Any, stairs: Stairs) -> None:
    last = max(row[0] for row in stairs.table())
    online = sum(row[4] for row in stairs.table() if row[0] == last and row[3] == "online")
    assert online == nation.run.measure("supply_gpus", step="online")


def test_what_is_planned_is_dashed(stairs: Stairs) -> None:
    flight = stairs.whole()
    spec = stair_charts.staircase(flight, supply.ANYBODY, top=20_000, as_of_ms=stairs.as_of_ms)
    lines = [layer for layer in spec["layer"] if layer["mark"]["type"] == "line"]
    assert stairs.as_of_ms is not None
    for layer in lines:
        times = [row["time"] for row in layer["data"]["values"]]
        dashed = "strokeDash" in layer["mark"]
        if layer["mark"].get("stroke") == supply.ANYBODY.stroke:
            assert min(times) >= stairs.as_of_ms if dashed else max(times) <= stairs.as_of_ms
    online = [layer["mark"] for layer in lines if layer["mark"]["stroke"] == supply.ANYBODY.stroke]
    assert ["strokeDash" in mark for mark in online] == [False, True]


def test_a_staircase_holds_every_change(stairs: Stairs) -> None:
    flight = stairs.whole()
    spec = stair_charts.staircase(flight, supply.ANYBODY, top=20_000, as_of_ms=None)
    drawn = next(layer for layer in spec["layer"] if layer["mark"].get("fill") == supply.ANYBODY.stroke)
    changes = [
        level
        for i, level in enumerate(flight.levels["online"])
        if i == 0 or level[1:] != flight.levels["online"][i - 1][1:]
    ]
    assert {row["value"] for row in drawn["data"]["values"]} == {level.gpus for level in changes}


def test_a_step_is_drawn_in_its_own_month() -> None:
    levels = [Level("2026-02", 0, 0, 0), Level("2026-03", 8, 8, 8), Level("2026-04", 8, 8, 8)]
    moments = [(row["time"], row["value"]) for row in stair_charts._steps(levels)]
    assert moments == [(month_ms("2026-02"), 0), (month_ms("2026-03"), 8), (month_ms("2026-05"), 8)]


LEVELS = st.lists(st.integers(0, 1_000), min_size=5, max_size=5)


@given(LEVELS)
def test_labels_at_the_end_do_not_meet(gpus: list[int]) -> None:
    steps = {
        step: (Level("2026-12", n, n, n),) for step, n in zip(STEPS, sorted(gpus, reverse=True), strict=True)
    }
    flight = Flight("", None, steps)
    top, height = 1_050, stair_charts.TALL_PX
    ends = stair_charts._ends(flight, top, height, STEPS)
    at = [end["at"] for end in ends]
    assert all(b - a >= stair_charts.LABEL_GAP_PX - 1e-9 for a, b in pairwise(at))
    assert max(at) <= height
    assert {end["value"] for end in ends} == set(gpus)


# --- shortage


def _stairs(rows: list[dict[str, Any]], months: list[str]) -> Stairs:
    """Stairs with this shortage."""
    names = ("promise", "site", "lot")
    known = [{"place": "plan.yaml:1", "tenant": "a", **dict.fromkeys(names), **row} for row in rows]
    plan = {
        "sites": {"north": {}, "south": {}},
        "promises": {"one": {"kind": "pledge"}, "two": {"kind": "target"}},
    }
    run = SimpleNamespace(
        plan=plan,
        shortage=pl.DataFrame(known),
        supply=pl.DataFrame({"month": months, "gpus": [0] * len(months)}),
    )
    return Stairs(run)  # type: ignore[arg-type]


def _lack(month: str, gpus: int, **more: Any) -> dict[str, Any]:
    return {"month": month, "step": "not_powered", "stuck": None, "gpus": gpus, "overdue": gpus, **more}


def test_what_is_not_installed_does_not_lack_power() -> None:
    rows = [
        _lack("2026-01", 8, lot="a", site="north", promise="one", stuck=stuck)
        for stuck in (None, "installed")
    ]
    rows[1]["lot"], rows[1]["site"] = "b", "south"
    assert [gap.step for gap in _stairs(rows, ["2026-01"]).gaps] == ["not_powered", "not_installed"]


def test_a_lot_of_two_promises_is_short_once() -> None:
    rows = [_lack("2026-01", 72, lot="a", site="north", promise=name) for name in ("one", "two")]
    rows.append(_lack("2026-01", 8, lot="b", site="north", promise="one"))
    gaps = _stairs(rows, ["2026-01"]).gaps
    assert gaps == [Gap("north", "", "2026-01", "2026-01", "not_powered", 80)]


def test_like_months_are_one_cell_and_a_month_without_ends_it() -> None:
    months = ["2025-11", "2025-12", "2026-01", "2026-03"]
    rows = [_lack(month, 5, lot="a", site="south", promise="one") for month in months]
    gaps = _stairs(rows, months).gaps
    assert [(gap.first, gap.last) for gap in gaps] == [("2025-11", "2026-01"), ("2026-03", "2026-03")]


def test_gpus_without_a_lot_stand_by_promise() -> None:
    rows = [
        {**_lack("2026-01", gpus, promise=name), "step": "not_ordered"}
        for name, gpus in (("two", 9), ("one", 7))
    ]
    gaps = _stairs([*rows, _lack("2026-01", 1, lot="a", site="south", promise="one")], ["2026-01"]).gaps
    assert [(gap.row, gap.promise, gap.gpus) for gap in gaps] == [
        ("south", "", 1),
        ("", "one", 7),
        ("", "two", 9),
    ]


def test_what_is_not_due_is_not_missing() -> None:
    row = {**_lack("2026-01", 64, promise="one"), "overdue": 0}
    assert _stairs([row], ["2026-01"]).gaps == []
    dark = {
        **_lack("2026-01", 64, lot="a", site="north"),
        "overdue": 0,
    }  # counts toward nothing, has no power
    assert [gap.gpus for gap in _stairs([dark], ["2026-01"]).gaps] == [64]


def test_map_names_step_by_letter_where_it_begins(nation: Any) -> None:
    figure = _figure(nation, "shortage")
    boxes = next(layer for layer in figure.spec["layer"] if layer["mark"]["type"] == "rect")
    cells = boxes["data"]["values"]
    assert {cell["letter"] for cell in cells} <= {"", *supply.LETTERS.values()}
    rows: dict[str, list[Any]] = {}
    for cell in cells:
        rows.setdefault(cell["row"], []).append(cell)
    for row in rows.values():
        assert row[0]["letter"]
        for before, after in pairwise(row):
            goes_on = (before["until"], before["step"]) == (after["from"], after["step"])
            assert bool(after["letter"]) != goes_on
    assert "no site: Pledge to\nNaver" in rows  # long names take several lines, and are not cut
    axis = figure.spec["layer"][1]["encoding"]["y"]["axis"]
    assert axis["labelLimit"] == 0


def test_shortage_title_names_the_largest_gap(nation: Any) -> None:
    assert _figure(nation, "shortage").title == (
        "4,496 GPUs have no order at the end of 2030-12 (no site: Pledge to Naver)"
    )


# --- promises


def test_promises_stand_side_by_side(nation: Any, stairs: Stairs) -> None:
    table = nation.page.promises
    titles = [column.title for column in table.columns]
    rows = {row[0].value: dict(zip(titles, row, strict=True)) for row in table.rows}
    gov = rows["Pledge to the government"]
    assert gov["promised, GPUs"].value == 5_000
    assert gov["contracted, GPUs"].value == 1_048 + 976  # the centre is only pledged
    assert gov["lots"] == 3
    online, short = gov["online then, GPUs"].value, gov["short then, GPUs"].value
    assert online + short == 5_000
    assert gov["largest gap at"].startswith("nation.yaml:")
    assert len(rows) == len(stairs.promises) == 5


def test_each_promise_opens_to_its_lots_lines_and_sources(nation: Any, stairs: Stairs) -> None:
    entries = {entry.id: entry for entry in nation.page.ledger}
    gov = entries[promises.anchor(stairs.promises, "pledge-gov")]
    facts = {fact.term: fact.says for fact in gov.facts}
    assert facts["source"] == "Announcement of 31 October 2025"
    assert facts["trust"] == "stated"
    assert facts["line of the plan"].startswith("nation.yaml:")
    assert gov.parts is not None
    lots = [cells[0].text for cells in gov.parts.cells()]
    assert lots == ["round-1", "round-2", "◆ centre"]


def test_arrived_is_set_against_what_is_due_of_each_promise(nation: Any) -> None:
    """Of 60 months of a window 11 are over: 5,000 x 11 // 60 = 916; whatever date a lot has."""
    figure = _figure(nation, "arrived")
    assert figure.title == "1,952 of 2,932 promised GPUs that are due have arrived by 2026-11-21"
    rows = {row[0].value: [cell.value for cell in row[1:6]] for row in figure.table.rows}
    assert rows == {
        "Existing GPUs": [4_000, 4_000, 4_000, 4_000, 0],  # nothing but its status says that they are there
        "Pledge to the government": [5_000, 916, 1_048, 0, 0],
        "The government's own path": [5_200, 5_200 * 16 // 41, 1_048, 0, 5_200 * 16 // 41 - 1_048],
        "Pledge to Naver": [6_000, 1_100, 904, 0, 196],
        "Pledge to SK": [5_000, 916, 0, 0, 916],
    }
    bars = figure.spec["layer"][0]["data"]["values"]
    assert [bar["sure"] for bar in bars] == [0, 1_048, 1_048, 904, 0]
    assert figure.note == ""


def test_lots_are_set_against_their_own_dates(nation: Any) -> None:
    figure = _figure(nation, "arrived-lots")
    assert figure.title == "5,952 of 6,552 GPUs of lots that were to come by 2026-11-21 have arrived"
    late = {row[0]: row[4:6] for row in figure.table.rows}
    assert late == {"old-fleet": (4_000, 0), "round-1": (0, 0), "naver-1": (0, 600)}


def test_a_plan_without_promises_has_no_promises(report_of: Any) -> None:
    page = report_of("three tenants").page
    assert page.supply == ()
    assert page.promises is None


# --- time


def test_jobs_that_stop_early_are_said_on_every_chart_of_jobs(nation: Any) -> None:
    page = nation.page
    assert page.until == "Jobs are simulated up to 2027-07-01 only."
    of_supply = {"staircase", "shortage", "staircases", "arrived", "arrived-lots"}
    for figure in page.figures:
        assert bool(figure.until) == (figure.id not in of_supply), figure.id
    assert nation.seen.text.count(page.until) == 1 + sum(bool(figure.until) for figure in page.figures)
    assert "2025-01-01 to 2031-01-01" in page.period


def test_charts_of_jobs_end_where_jobs_end(nation: Any) -> None:
    view = View(nation.run)
    assert view.local(view.bins.end_s).date().isoformat() == "2027-07-01"


def test_month_after_december() -> None:
    assert month_after("2026-12") == "2027-01"


# --- the answer


def test_numbers_of_the_answer_open_their_measures(nation: Any) -> None:
    links = dict(nation.page.answer.links)
    assert links["16,000"] == "number-promised_gpus"
    assert links["4,496"] == "number-shortage_gpus"
    first = nation.html.index('class="answer"')
    assert '<a href="#number-promised_gpus">16,000</a>' in nation.html[first : first + 1_500]


def test_a_number_is_linked_whole_and_once() -> None:
    from markupsafe import Markup

    text = Markup("8 of 80, 8,000 and 8; 80")
    assert str(linked(text, [("8", "a"), ("80", "b")])) == (
        '<a href="#a">8</a> of <a href="#b">80</a>, 8,000 and 8; 80'
    )


def test_an_answer_without_parts_stays_whole() -> None:
    assert answered("No job came", {"number-jobs"}) == ("No job came", "", ())
    supply_first = say("{online:,} of {whole:,} GPUs", online=1, whole=2)
    jobs = say("{done:,} of {total:,}", done=3, total=4)
    got = answered(say("{supply}. {parts:; }", supply=supply_first, parts=[jobs]), set())
    assert (got.first, got.rest) == ("1 of 2 GPUs", "3 of 4")


def test_a_tenant_without_jobs_is_grey(nation: Any) -> None:
    assert supply._mark(View(nation.run), "nobody") == Mark("", "grey-1", "plain")
