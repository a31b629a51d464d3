"""What the fleet looked like when a job came: GPUs online, busy, and held by its queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from gpufleet.results.blame import products_of

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run


@dataclass(frozen=True)
class Product:
    """One product when a job came, as means over the bin of the timeline in which it came."""

    name: str
    online: float  # GPUs that the job may use
    busy: float  # of these
    queue: float  # GPUs that the job's queue holds
    quota: int | None  # of the queue; None = unlimited


@dataclass(frozen=True)
class Then:
    """The products that a job accepts, when it came."""

    products: tuple[Product, ...]
    peak: int  # most GPUs ever online together at one site, of one product and owner, that the job may use
    whose: str  # whose GPUs are counted
    bin_s: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [
            {
                "product": p.name,
                "online_gpus": p.online,
                "busy_gpus": p.busy,
                "queue_gpus": p.queue,
                "quota_gpus": p.quota,
            }
            for p in self.products
        ]
        return {"products": rows, "peak_gpus": self.peak, "whose": self.whose, "mean_over_s": self.bin_s}

    def __str__(self) -> str:
        texts = []
        for p in self.products:
            quota = f" of a quota of {p.quota:,}" if p.quota is not None else ""
            texts.append(
                f"{p.online:,.0f} {p.name} online, {p.busy:,.0f} busy; its queue held {p.queue:,.0f}{quota}"
            )
        return f"when it came ({self.whose}, mean over {self.bin_s:,} s): {'; '.join(texts) or 'no GPU'}"


def then(run: Run, row: Row) -> Then:
    """The fleet in the bin of the timeline in which a job came."""
    names, grid = products_of(run.plan, row["workload"]), run.grid_s
    accepted = run.scan_timeline().filter(pl.col("product").is_in(names))
    online = accepted.filter(pl.col("kind") == "online")
    own = pl.col("tenant") == row["tenant"]
    mine = online.filter(own | pl.col("tenant").is_null())
    peak = mine.group_by("t_s", "site", "product", "tenant").agg(pl.col("gpu_s").sum())
    most = peak.select(pl.col("gpu_s").max()).collect().item() or 0
    at = row["submit_s"] // grid * grid
    now = accepted.filter(pl.col("t_s") == at).collect()
    # busy GPUs are known by tenant, not by owner: with no shared GPUs, a tenant's are on its own
    alone = now.filter(pl.col("kind") == "online", pl.col("tenant").is_null()).is_empty()
    fleet = now.filter(own) if alone else now
    width = _width(run, at)
    return Then(
        tuple(_product(run, row, fleet, name, width) for name in names),
        round(most / grid),
        f"GPUs of {row['tenant']}" if alone else "whole fleet",
        width,
    )


def _width(run: Run, t_s: int) -> int:
    """Width of the bin that starts at a time: the last one may be cut at the plan's end."""
    clock = run.measures["clock"]
    cut = int(clock["end_s"]) - t_s
    return run.grid_s if clock["finish"] or not 0 < cut < run.grid_s else cut


def _product(run: Run, row: Row, fleet: pl.DataFrame, name: str, width: int) -> Product:
    of = fleet.filter(pl.col("product") == name)
    busy = pl.col("kind") == "busy"
    quota = run.plan["queues"][row["queue"]]["quota"].get(name)
    return Product(
        name,
        online=_mean(of, [pl.col("kind") == "online"], width),
        busy=_mean(of, [busy], width),
        queue=_mean(of, [busy, pl.col("queue") == row["queue"]], width),
        quota=quota,
    )


def _mean(frame: pl.DataFrame, keep: Sequence[pl.Expr], width: int) -> float:
    """GPUs, as the mean over the bin, three digits."""
    return round(int(frame.filter(*keep).get_column("gpu_s").sum()) / width, 3)
