"""What the fleet looked like when a job came: GPUs online, busy, and held by its queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.results.blame import Wish, products_of, usable
from gpufleet.results.blame_sharing import most_ever
from gpufleet.results.columns import WORDS

if TYPE_CHECKING:
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run


class Bins(NamedTuple):
    """Bins of the timeline."""

    width_s: int
    end_s: int  # the plan's end
    runs_on: bool  # beyond it; else the last bin is cut there


@dataclass(frozen=True)
class Product:
    """One product when a job came, as means over the bin of the timeline in which it came."""

    name: str
    online: float  # GPUs that the job may use
    busy: float  # of these
    queue: float  # GPUs that the job's queue holds
    quota: int | None  # of the queue; None = unlimited
    most: int | None  # that the queue may ever hold: its quota, and with shared quotas what it can borrow
    place: float  # most GPUs online together at one site, of one owner, that the job may use
    peak: int  # the same at any time of the run

    def obstacle(self, gpus: int) -> str:
        """What refuses a job of so many GPUs on this product, as far as means tell; "" if nothing does."""
        if self.most is not None and self.queue + gpus > self.most:
            return "own_quota"
        if self.place < gpus:
            return "not_online"
        return "no_free" if self.online - self.busy < gpus else ""

    def text(self) -> Said:
        """Online, busy, and the queue's share."""
        if self.quota is None:
            held = say("its queue held {gpus:,.0f}", gpus=self.queue)
        else:
            held = say(
                "its queue held {gpus:,.0f} of a quota of {quota:,}", gpus=self.queue, quota=self.quota
            )
        return say(
            "{online:,.0f} {product} online, {busy:,.0f} busy; {held}",
            online=self.online,
            product=self.name,
            busy=self.busy,
            held=held,
        )


@dataclass(frozen=True)
class Then:
    """The products that a job accepts, when it came."""

    gpus: int  # that the job wants
    products: tuple[Product, ...]
    whose: str  # whose GPUs are counted
    bin_s: int

    @property
    def peak(self) -> int:
        """Most GPUs ever online together at one site, of one product and owner, that the job may use."""
        return max((product.peak for product in self.products), default=0)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [
            {
                "product": p.name,
                "online_gpus": p.online,
                "busy_gpus": p.busy,
                "queue_gpus": p.queue,
                "quota_gpus": p.quota,
                "obstacle": p.obstacle(self.gpus) or None,
            }
            for p in self.products
        ]
        return {"products": rows, "peak_gpus": self.peak, "whose": self.whose, "mean_over_s": self.bin_s}

    def __str__(self) -> str:
        time = format_duration(self.bin_s)
        head = say("when it came ({whose}, mean over {time}):", whose=self.whose, time=time)
        if len(self.products) < 2:
            return f"{head} {self.products[0].text() if self.products else say('no GPU')}"
        lines: list[str] = [head]
        for product in self.products:
            code = product.obstacle(self.gpus)
            lines.append(f"    {product.text()}" + (f": {tell(WORDS[code])}" if code else ""))
        return "\n".join(lines)


def eligible(row: Row) -> int:
    """When a job's wait began: when it became eligible; if it never did, when it came."""
    at_s: int = row["submit_s"] if row["eligible_s"] is None else row["eligible_s"]
    return at_s


def first_pass_s(run: Run, since_s: int) -> int:
    """When the scheduler first looked at a job that waits since a second."""
    grid_s: int = run.plan["policy"]["interval_s"]
    return -(-since_s // grid_s) * grid_s if grid_s else since_s


def then(run: Run, row: Row, bins: Bins | None = None) -> Then:
    """The fleet in the bin of the timeline in which a job came.

    Args: row: of jobs.parquet; bins: of the timeline, if measures.json is not written yet.
    """
    names, bins = _may_use(run, row), bins or _bins(run)
    accepted = run.scan_timeline().filter(pl.col("product").is_in(names))
    own = pl.col("tenant") == row["tenant"]
    usable = accepted.filter(pl.col("kind") == "online", own | pl.col("tenant").is_null())
    places = usable.group_by("t_s", "site", "product", "tenant").agg(pl.col("gpu_s").sum())
    peaks = dict(places.group_by("product").agg(pl.col("gpu_s").max()).collect().iter_rows())
    at = eligible(row) // bins.width_s * bins.width_s
    now = accepted.filter(pl.col("t_s") == at).collect()
    # busy GPUs are known by tenant, not by owner: with no shared GPUs, a tenant's are on its own
    alone = now.filter(pl.col("kind") == "online", pl.col("tenant").is_null()).is_empty()
    fleet = now.filter(own) if alone else now
    width = _width(bins, at)
    largest = places.filter(pl.col("t_s") == at).group_by("product").agg(pl.col("gpu_s").max()).collect()
    here = {name: gpu_s / width for name, gpu_s in largest.iter_rows()}
    peak = {name: round(gpu_s / bins.width_s) for name, gpu_s in peaks.items()}
    return Then(
        row["gpus"],
        tuple(
            _product(run, row, fleet, name, width, place=here.get(name, 0.0), peak=peak.get(name, 0))
            for name in names
        ),
        say("GPUs of {tenant}", tenant=row["tenant"]) if alone else say("whole fleet"),
        width,
    )


def _may_use(run: Run, row: Row) -> list[str]:
    """Products that a job accepts and its tenant may use at some time; if none, all that it accepts."""
    accepted = products_of(run.plan, row["workload"])
    return [name for name in accepted if usable(run.plan, [name], row["tenant"])] or accepted


def wish_of(row: Row, fleet: Then) -> Wish:
    """What a job asks for, and what is known of its options."""
    return Wish(
        row["queue"],
        tuple(product.name for product in fleet.products),
        row["gpus"],
        from_s=eligible(row),
        until_s=eligible(row) + max(1, row["wait_s"]),
        held={product.name: product.queue for product in fleet.products},
        place={product.name: product.place for product in fleet.products},
        workload=row["workload"],
        limits=tuple(key for key, who in (("per_user", "user"), ("per_project", "project")) if row[who]),
    )


def _bins(run: Run) -> Bins:
    clock = run.measures_json["clock"]
    return Bins(run.grid_s, int(clock["end_s"]), bool(clock["finish"]))


def _width(bins: Bins, t_s: int) -> int:
    """Width of the bin that starts at a time: the last one may be cut at the plan's end."""
    cut = bins.end_s - t_s
    return bins.width_s if bins.runs_on or not 0 < cut < bins.width_s else cut


def _product(
    run: Run, row: Row, fleet: pl.DataFrame, name: str, width: int, *, place: float, peak: int
) -> Product:
    of = fleet.filter(pl.col("product") == name)
    busy = pl.col("kind") == "busy"
    return Product(
        name,
        online=_mean(of, [pl.col("kind") == "online"], width),
        busy=_mean(of, [busy], width),
        queue=_mean(of, [busy, pl.col("queue") == row["queue"]], width),
        quota=run.plan["queues"][row["queue"]]["quota"].get(name),
        most=most_ever(run.plan, row["queue"], name),
        place=place,
        peak=peak,
    )


def _mean(frame: pl.DataFrame, keep: Sequence[pl.Expr], width: int) -> float:
    """GPUs, as the mean over the bin, three digits."""
    return round(int(frame.filter(*keep).get_column("gpu_s").sum()) / width, 3)
