"""How long the steps of a lot usually take, where a plan does not say."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

DAY_S = 86_400


class LeadTime(NamedTuple):
    """How long one step takes, from the step before."""

    id: str
    seconds: int
    low_s: int
    high_s: int
    source: str
    trust: str
    note: str


@lru_cache(maxsize=1)
def lead_times() -> Mapping[str, LeadTime]:
    """Lead times of the catalogue, by step.

    >>> sum(lead_times()[step].seconds for step in ("made", "shipped", "delivered")) // (7 * 86400)    # weeks
    12
    """
    text = (files("gpufleet.catalog") / "lead_times.csv").read_text(encoding="utf-8")
    return {
        row["step"]: LeadTime(
            row["id"],
            int(row["days"]) * DAY_S,
            int(row["low_days"]) * DAY_S,
            int(row["high_days"]) * DAY_S,
            row["source"],
            row["trust"],
            row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    }
