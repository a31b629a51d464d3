"""The public record beside the repository, and how far it says that a lot is."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from gpufleet.plan.plan import Plan
from gpufleet.plan.supply import Delivery

Record = dict[str, dict[str, str]]

STAGES: Final = {
    "existing": "arrived", "delivered": "arrived", "offered": "arrived", "allocated": "arrived",
    "contracted": "contracted",
    "planned": "planned", "commitment": "planned", "under_construction": "planned",
}  # fmt: skip
"""How far GPUs are by the status of a row."""
ORDER: Final = ("planned", "contracted", "arrived")


def read(shared: Path, *files: str) -> Record:
    """Rows of the record by their id."""
    found: Record = {}
    for file in files:
        path = shared / "data" / file
        if not path.is_file():
            pytest.skip(f"needs third-party data: {path} is not there")
        with path.open(encoding="utf-8", newline="") as rows:
            found |= {row["id"]: row for row in csv.DictReader(rows)}
    return found


def recorded(record: Record, rows: Iterable[str], day: date) -> str:
    """How far the GPUs of some rows are on a day, by those that were said by then."""
    known = [record[row]["status"] for row in rows if record[row]["date"] <= day.isoformat()]
    return max((STAGES[status] for status in known), key=ORDER.index)


def planned(plan: Plan, lot: Delivery, day: date) -> str:
    """How far a lot is on a day, by its plan."""
    if lot.status in ("delivered", "online") and plan.local(lot.at, lot.to).date() <= day:
        return "arrived"
    if lot.status == "pledged" or lot.ordered is None or plan.local(lot.ordered, lot.to).date() > day:
        return "planned"
    return "contracted"
