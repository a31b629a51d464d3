"""Writes licences.parquet: what export law says of each lot from day to day, when it waits, when it ships."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpufleet.base.say import from_data, say, tell, to_data
from gpufleet.models.export_changes import Margin, margins
from gpufleet.models.export_inputs import INPUTS
from gpufleet.models.export_policies import NONE, UNKNOWN
from gpufleet.results.columns import LICENCES
from gpufleet.results.lock import place
from gpufleet.results.parquet import TableWriter
from gpufleet.world.law import Band, asks_law, cited, hypothetical, undecided
from gpufleet.world.licences import Gates, Shipment, Wait, gates, needs_licence

if TYPE_CHECKING:
    from gpufleet.plan import Delivery, Plan

Row = dict[str, Any]
_EMPTY: Final[Row] = {column.name: None for column in LICENCES}


def write_licences(path: Path, plan: Plan) -> None:
    """Write the table; a plan with no lot that export law is asked about has none."""
    if not asks_law(plan):
        return
    found = gates(plan)
    rows = [row for lot in plan.deliveries if found.law.held(lot) for row in _of_lot(found, lot)]
    if rows:
        with TableWriter(path, LICENCES) as writer:
            writer.write({column.name: [row[column.name] for row in rows] for column in LICENCES})


def said(row: Mapping[str, Any]) -> str:
    """What a row says, in the language that is being spoken."""
    return str(from_data(json.loads(row["said"])))


def _of_lot(found: Gates, lot: Delivery) -> Iterator[Row]:
    plan, gate = found.law.plan, found.planned[lot.name]
    first, until = plan.local(plan.start, lot.to).date(), plan.local(plan.end, lot.to).date()
    common = {
        "lot": lot.name,
        "site": lot.to,
        "country": plan.sites[lot.to].country,
        "product": plan.systems[lot.system].product,
        "gpus": lot.gpus,
    }
    bands = list(found.law.bands(lot, first, until))
    said = [
        band
        for band in bands
        if _concerned(found, lot, [each for each in bands if _group(each) == _group(band)])
    ]
    if not said and not gate.waits:
        return  # bought at home, and nobody has anything to say of it
    for band in said:
        yield {**_EMPTY, **common, **_verdict(found, lot, band)}
    for wait in gate.waits:
        yield {**_EMPTY, **common, **_wait(plan, lot, wait)}
    for shipment in gate.shipments:
        yield {**_EMPTY, **common, **_shipment(plan, lot, shipment)}


def _group(band: Band) -> str:
    return band.verdict.authority_group


def _concerned(found: Gates, lot: Delivery, bands: Sequence[Band]) -> bool:
    """Whether an authority has something to say of a lot; US export control has, if only that it is free."""
    if _group(bands[0]) == "us_export" or any(band.verdict.policy != NONE for band in bands):
        return True
    inputs = found.law.inputs(lot)
    return any(
        each.rule.concerns({**inputs, "date": band.first.isoformat()}) is not False
        for band in bands
        for each in band.verdict.readings
    )


def _verdict(found: Gates, lot: Delivery, band: Band) -> Row:
    verdict, plan = band.verdict, found.law.plan
    may = (lot.unknown_law or plan.unknown_law) == "open"
    says = verdict.meaning.says
    if verdict.policy == UNKNOWN:
        says = say("not decided: {inputs} not known", inputs=list(undecided(verdict)))
    at = found.law.place(verdict)
    near = _nearest(found, lot, band)
    return {
        "kind": "verdict",
        "from": band.first.isoformat(),
        "until": band.until.isoformat() if band.until else None,
        "authority": verdict.authority_group,
        "licence_required": verdict.licence_required,
        "policy": verdict.policy,
        "outcome": verdict.outcome,
        "held": needs_licence(verdict, unknown=may),
        "says": tell(says),
        "said": json.dumps(to_data(says), ensure_ascii=False),
        "rules": ";".join(rule.id for rule in verdict.decided_by),
        "citation": tell(cited(verdict)),
        "hypothetical": any(hypothetical(rule.id) for rule in verdict.decided_by),
        "near_input": near and INPUTS[near.name].column,
        "near_value": near and near.value,
        "near_by": near and (near.by if near.under else -near.by),
        "place": at and place(at, Path(plan.root).resolve()),
        "rules_read_on": found.law.read_on.isoformat(),
    }


def _nearest(found: Gates, lot: Delivery, band: Band) -> Margin | None:
    """The number that is nearest, as a share of itself, to where a rule would turn."""
    inputs = {**found.law.inputs(lot), "date": band.first.isoformat()}
    behind = band.verdict.decided_by or tuple(
        each.rule for each in band.verdict.readings if each.rule.concerns(inputs)
    )
    near = [each for rule in behind for each in margins(rule, inputs) if each.value]
    return min(near, key=lambda each: each.by / each.value, default=None)


def _wait(plan: Plan, lot: Delivery, wait: Wait) -> Row:
    return {
        "kind": "wait",
        "from": _day(plan, lot, wait.from_),
        "until": _day(plan, lot, wait.until) if wait.until else None,
        "held": True,
        "says": tell(wait.says),
        "said": json.dumps(to_data(wait.says), ensure_ascii=False),
        "citation": tell(wait.citation),
        "hypothetical": wait.hypothetical,
        "place": wait.place and place(wait.place, Path(plan.root).resolve()),
        "rules_read_on": None,
    }


def _shipment(plan: Plan, lot: Delivery, part: Shipment) -> Row:
    says = (
        say("ships under {licences}", licences=list(part.licences))
        if part.licences
        else say("may be shipped without a licence of the plan")
    )
    return {
        "kind": "ships",
        "from": _day(plan, lot, part.at),
        "gpus": part.gpus,
        "held": False,
        "says": says,
        "said": json.dumps(to_data(says), ensure_ascii=False),
        "hypothetical": False,
        "licences": ";".join(part.licences) or None,
        "revenue_share": part.revenue_share,
    }


def _day(plan: Plan, lot: Delivery, moment: datetime) -> str:
    day: date = plan.local(moment, lot.to).date()
    return day.isoformat()
