"""A programme with dependencies, every date worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpufleet.plan.load import load_plan

PLAN = """\
gpufleet: 1
name: by-hand
start: 2027-01-01
end: 2029-01-01
sites: {north: {}, south: {}}
milestones:
  money:  {kind: budget, at: 2027-01-10}
  # held on 10 January + 21 d = 31 January; fails twice, 45 d each: 31 January + 90 d = 1 May 2027
  tender: {kind: tender, after: money, takes: 21 d, fails: 2, repeat_after: 45 d}
  # a plan of 60 d after the money: 11 March
  permit: {kind: other, after: money, takes: 60 d}
  # the later of tender (1 May) and permit (11 March), + 120 d = 29 August
  hall:   {kind: building, after: [tender, permit], takes: 120 d}
  grid:   {kind: grid, at: 2027-08-15}
lead_times:
  default: {made: 40 d, shipped: 5 d, delivered: 10 d, installed: 20 d, accepted: 7 d}
  DGX H200: {made: 15 d}
slots:
  plant: {step: made, products: B200, gpus_per_month: [{from: 2027-01-01, value: 64},
                                                       {from: 2027-07-01, value: 128}]}
deliveries:
  # ordered with the tender, 1 May; made 10 June; shipped 15 June; delivered 25 June; the hall is there on
  # 29 August, which is later than 25 June + 20 d; accepted 5 September
  - {name: h200, to: north, system: DGX H200, gpus: 64, ordered: 2027-02-01, lead_times: {made: 40 d},
     needs: {ordered: tender, installed: hall}}
  # as above, but made in 15 d: 16 May; 21 May; 31 May; 20 June; the grid on 15 August; accepted 22 August
  - {name: quick, to: north, system: DGX H200, gpus: 8, ordered: 2027-05-01, needs: {installed: grid}}
  # ordered 1 May, ready to be made 10 June. Of June's 64 the first takes 64; the second, ready on the same
  # day and behind it, 128 of July's 128; the third, ready on 20 June, has its turn in August
  - {name: b-1, to: south, system: DGX B200, gpus: 64, ordered: 2027-05-01}
  - {name: b-2, to: south, system: DGX B200, gpus: 128, ordered: 2027-05-01}
  # its first part has come; the rest is as the lot says, and takes August's turn: 5 d, 10 d, 20 d, 7 d
  - {name: b-3, to: south, system: DGX B200, gpus: 72, ordered: 2027-05-11,
     parts: [{gpus: 16, ordered: 2026-11-01, at: 2027-01-02, status: delivered, needs: {installed: grid}}]}
  # ready on 10 July, while August (56 of 128 taken) is the month at hand: 64 of the 72 left over. Cancelled
  # on 10 August: shipped on 6 August, and not yet delivered (16 August)
  - {name: b-4, to: south, system: DGX B200, gpus: 64, ordered: 2027-05-31, cancelled: 2027-08-10}
tenants: {lab: {}}
"""

BY_HAND = {
    "h200": "ordered 05-01, made 06-10, shipped 06-15, delivered 06-25, installed 08-29, accepted 09-05",
    "quick": "ordered 05-01, made 05-16, shipped 05-21, delivered 05-31, installed 08-15, accepted 08-22",
    "b-1": "ordered 05-01, made 06-10, shipped 06-15, delivered 06-25, installed 07-15, accepted 07-22",
    "b-2": "ordered 05-01, made 07-01, shipped 07-06, delivered 07-16, installed 08-05, accepted 08-12",
    # what is delivered waits for nothing that comes before that, nor for a turn; its hall waits for the grid
    "b-3/1": "ordered 11-01, made 11-01, shipped 11-01, delivered 01-02, installed 08-15, accepted 08-22",
    "b-3": "ordered 05-11, made 08-01, shipped 08-06, delivered 08-16, installed 09-05, accepted 09-12",
    "b-4": "ordered 05-31, made 08-01, shipped 08-06, cancelled 08-10",
}
CAUSES = {
    "h200": "milestone lead lead lead milestone lead",
    "quick": "date lead lead lead milestone lead",
    "b-1": "date lead lead lead lead lead",
    "b-2": "date slot lead lead lead lead",
    "b-3/1": "date before before date milestone lead",
    "b-3": "date slot lead lead lead lead",
    "b-4": "date slot lead cancelled",
}


@pytest.mark.parametrize("lot", BY_HAND)
def test_dates_and_causes(tmp_path: Path, lot: str) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    plan = load_plan(tmp_path / "plan.yaml")
    steps = plan.chains[lot][0]
    assert ", ".join(f"{each.step} {each.at:%m-%d}" for each in steps if each.at) == BY_HAND[lot]
    assert " ".join(each.cause for each in steps) == CAUSES[lot]


def test_milestones(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    plan = load_plan(tmp_path / "plan.yaml")
    from gpufleet.plan.chain_times import Times

    dates = Times(plan.milestones, plan.lead_times, None).milestone
    assert {name: f"{at:%Y-%m-%d}" for name, at in dates.items()} == {
        "money": "2027-01-10", "tender": "2027-05-01", "permit": "2027-03-11", "hall": "2027-08-29",
        "grid": "2027-08-15",
    }  # fmt: skip
