"""What a GPU-hour, a TFLOP-year, a job, a trained model costs: what is written off and what running costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gpufleet.base.money import minor_of
from gpufleet.plan.money import LIVES, PER_ARRIVAL

if TYPE_CHECKING:
    from gpufleet.results.run import Run

HOUR_S: Final = 3600


class UnitCosts:
    """Costs of products over the whole months in which GPUs are counted, in whole units of the currency.

    What lots cost counts for their product; the energy of a site for its products by their rated power in
    service; all else by GPU-hours in service. Costs of the kind `other` are for none of them.
    """

    def __init__(self, run: Run, until_s: int) -> None:
        self._lock, self._run = run.plan, run
        self.months, self.until_s = whole_months(run, until_s)
        online = self._within("online").group_by("site", "product").agg(pl.col("gpu_s").sum())
        self._online: dict[tuple[str, str], int] = {
            (site, product): gpu_s for site, product, gpu_s in online.sort("site", "product").rows() if gpu_s
        }
        self.cost = self._costs()

    def _within(self, kind: str) -> pl.DataFrame:
        rows = self._run.scan_timeline().filter(pl.col("kind") == kind, pl.col("t_s") < self.until_s)
        return rows.collect()

    @property
    def online_s(self) -> dict[str, int]:
        """GPU-seconds in service by product."""
        found: dict[str, int] = {}
        for (_, product), gpu_s in self._online.items():
            found[product] = found.get(product, 0) + gpu_s
        return found

    @property
    def used_s(self) -> dict[tuple[str, str], int]:
        """GPU-seconds that jobs held, by tenant and product."""
        busy = self._within("busy").group_by("tenant", "product").agg(pl.col("gpu_s").sum())
        return {(tenant, product): n for tenant, product, n in busy.sort("tenant", "product").rows() if n}

    def _costs(self) -> dict[str, float]:
        """What each product cost."""
        total = dict.fromkeys(self.online_s, 0.0)
        if not total:
            return {}
        rows = self._run.money.filter(
            pl.col("month").is_in(self.months),
            pl.col("kind") != "other",
            (pl.col("flow") == "written off")
            | ((pl.col("flow") == "due") & ~pl.col("item").is_in(self._assets())),
        )
        sums = rows.group_by("lot", "site", "kind").agg(pl.col("home").sum()).sort("lot", "site", "kind")
        minor = minor_of(self._lock["money"]["currency"])
        for lot, site, _, home in sums.rows():
            for product, share in self._shares(lot, site).items():
                total[product] = total.get(product, 0.0) + home / minor * share
        return {product: cost for product, cost in total.items() if product in self.online_s}

    def _assets(self) -> list[str]:
        """Costs that buy what serves for years: written off, and no cost of the month they are due in."""
        return [name for name, cost in self._lock["money"]["costs"].items() if _buys(cost)]

    def _shares(self, lot: str | None, site: str | None) -> dict[str, float]:
        """Which products a cost counts for, and how much."""
        lock = self._lock
        if lot is not None:
            return {lock["systems"][lock["deliveries"][lot]["system"]]["product"]: 1.0}
        if site is not None:
            watts = {p: n * self._rated_w(p, site) for (at, p), n in self._online.items() if at == site}
            return _parts(watts)
        return _parts({product: float(n) for product, n in self.online_s.items()})

    def _rated_w(self, product: str, site: str) -> float:
        """Rated power of a GPU of a product at a site, W."""
        systems = [
            self._lock["systems"][d["system"]] for d in self._lock["deliveries"].values() if d["to"] == site
        ]
        rated = [_gpu_w(each) for each in systems if each["product"] == product]
        return max(rated, default=1.0)


def _buys(cost: Mapping[str, Any]) -> bool:
    """Whether a cost of the lock buys something, rather than pays for time; as `Cost.is_asset`."""
    price = cost.get("price")
    per = price[0][1].partition("/")[2] if price else ""
    once = per in ("", *PER_ARRIVAL) and cost["each"] == "once" and cost.get("tariff") is None
    return bool(cost["kind"] in LIVES and cost["cash"] and once)


def _gpu_w(system: dict[str, Any]) -> float:
    """Rated power of a GPU of a system, W."""
    per_domain = system.get("nodes_per_domain", 1)
    rack_w = system.get("rack_power_w")
    node_w = rack_w / per_domain if per_domain > 1 and rack_w else system.get("node_power_w")
    return (node_w or 1.0) / float(system["gpus_per_node"])


def _parts(weights: dict[str, float]) -> dict[str, float]:
    whole = sum(weights.values())
    return {name: weight / whole for name, weight in weights.items()} if whole else {}


def whole_months(run: Run, until_s: int) -> tuple[list[str], int]:
    """The months that end by a second, and the end of the last of them."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    zone, start = ZoneInfo(run.time_zone), run.start
    here = start.astimezone(zone)
    year, month, end_s = here.year, here.month, 0
    found: list[str] = []
    while True:
        after = (year + 1, 1) if month == 12 else (year, month + 1)
        edge_s = int((datetime(*after, 1, tzinfo=zone).astimezone(UTC) - start).total_seconds())
        plan_end_s = int((datetime.fromisoformat(run.plan["end"]) - start).total_seconds())
        edge_s = min(edge_s, plan_end_s)
        if edge_s > until_s or (found and edge_s <= end_s):
            return found, end_s
        found.append(f"{year:04}-{month:02}")
        end_s = edge_s
        year, month = after
