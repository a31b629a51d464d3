"""The supply side of the national plan, without any job: chains, power, the staircase, money."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from benchmarks.measure import ROOT, Row, Sample, in_child, interleaved

if TYPE_CHECKING:
    from gpufleet.plan import Plan

TITLE: Final = "Supply: the national plan without jobs"
ABOUT: Final = """\
`plans/korea-260k`, from the plan as it is read to the staircase of every lot and month, at its value and at
both ends of its ranges, with what is missing and why, and all flows of money (energy by rated power) with
the budgets of each year; nothing is written. Once as it is, and once with chains
(lead times, a grid step, a lot in parts, one that is cancelled) and crews that all lots share.
Beside it: reading and checking the files of the plan."""
PLAN: Final = ROOT / "plans" / "korea-260k"
CHAINED: Final = (
    "milestones={grid: {kind: grid, at: {value: 2028-01-01, range: [2027-06-01, 2029-01-01]}}}",
    "lead_times={default: {installed: {value: 30 d, range: [20 d, 60 d]}, accepted: 14 d}}",
    "slots={crews: {step: installed, gpus_per_month: 8000}}",
    "deliveries.ulsan-1-sk.needs={installed: grid}",
    "deliveries.samsung-1.parts=[{gpus: 4000}, {gpus: 4000, at: 2027-10-01}]",
    "deliveries.naver-4.cancelled=2028-01-01",
)
TARGET_S: Final = 0.5


def rows(quick: bool) -> Iterator[Row]:
    """Seconds of the supply side: the plan as it is, and with chains."""
    cases = {"as it is": (), "with chains": CHAINED}
    found = interleaved(
        {name: lambda sets=sets: in_child("supply:one", sets=list(sets)) for name, sets in cases.items()},
        1 if quick else 5,
    )
    for name, sample in found.items():
        yield Row(
            what=f"korea-260k {name}: {sample['lots']:.0f} lots, {sample['months']:.0f} months",
            target=f"< {TARGET_S} s",
            measured=f"{sample['supply_s']:.2f} s",
            met=sample["supply_s"] < TARGET_S,
            baseline=f"{sample['money_s']:.2f} s of it money; {sample['load_s']:.2f} s to read the plan",
        )


def one(sets: list[str]) -> Sample:
    """One turn, after one that is not counted."""
    from gpufleet.plan.load import load_plan
    from gpufleet.results.money.flows import Books
    from gpufleet.results.money.funding import budgets
    from gpufleet.results.money.ledger import flows_of
    from gpufleet.results.supply import shortage_rows
    from gpufleet.world.capacity import capacity_of
    from gpufleet.world.chain import with_law
    from gpufleet.world.names import Names
    from gpufleet.world.supply import staircase

    def supplied(plan: Plan) -> tuple[Plan, int]:
        plan = with_law(plan)
        stairs = staircase(plan, Names.of(plan))
        shortage_rows(plan, stairs, {"lines": {}})
        return plan, len(stairs.months)

    def paid(plan: Plan) -> None:
        books = Books(plan, capacity_of(plan, Names.of(plan)))
        budgets(books, list(flows_of(books)))

    paid(supplied(load_plan(PLAN, sets=sets))[0])
    start = time.perf_counter()
    plan = load_plan(PLAN, sets=sets)
    loaded = time.perf_counter()
    plan, months = supplied(plan)
    known = time.perf_counter()
    paid(plan)
    done = time.perf_counter()
    return {
        "load_s": loaded - start,
        "supply_s": done - loaded,
        "money_s": done - known,
        "lots": len(plan.deliveries),
        "months": months,
    }
