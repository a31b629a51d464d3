"""What power did to a job: how much was free where it lacked some, and by how much it was slowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration, format_power
from gpufleet.base.wide import right
from gpufleet.results import folder
from gpufleet.results.blame import Blame, line
from gpufleet.world.layout import Cells, Power
from gpufleet.world.names import Names

if TYPE_CHECKING:
    from gpufleet.results.blame import Lock, Wish
    from gpufleet.results.find import Row
    from gpufleet.results.run import Run


class Tight(NamedTuple):
    """The power of a site when least of it was free while a job was there, mean over a bin, from the grid."""

    t_s: int  # start of the bin
    site: str
    drawn_w: float
    cap_w: float
    wants_w: float  # what the job would add
    bin_s: int

    def text(self, when: str) -> Said:
        """The numbers in a sentence."""
        return say(
            "{when}: {room} (mean over {width})",
            when=when,
            room=room_text(self.site, self.drawn_w, self.cap_w, self.wants_w),
            width=format_duration(self.bin_s),
        )


class Slowed(NamedTuple):
    """What a job ran longer because power was capped, s, and the lines of the plan behind that."""

    by_site_s: int  # a site's cap
    by_gpus_s: int  # caps of its GPUs
    site: str
    site_lines: tuple[Blame, ...]
    gpu_lines: tuple[Blame, ...]

    def to_json(self) -> dict[str, Any]:
        """The parts as JSON values."""
        lines = [{"path": path, "at": at or None} for path, at in (*self.site_lines, *self.gpu_lines)]
        return {"by_cap_s": self.by_site_s, "by_gpu_caps_s": self.by_gpus_s, "lines": lines}

    def lines(self) -> list[str]:
        """The parts for people, one line each."""
        lines = [[each.says() for each in lines] for lines in (self.site_lines, self.gpu_lines)]
        site = say(
            "longer, as the cap of {site}'s power slowed it ({lines:; })", site=self.site, lines=lines[0]
        )
        gpus = say("longer, as caps of GPUs slow all jobs there ({lines:; })", lines=lines[1])
        parts = ((self.by_site_s, site), (self.by_gpus_s, gpus))
        return ["", *(f"  {right(format_duration(s), 12)}  {text}" for s, text in parts if s)]


def room_text(site: str, drawn_w: float, cap_w: float, wants_w: float) -> Said:
    """What a site draws of what it may, and what a job would add."""
    free_w = cap_w - drawn_w
    told = {"site": site, "drawn": format_power(drawn_w), "cap": format_power(cap_w)}
    told |= {"more": format_power(wants_w), "free": format_power(abs(free_w))}
    if free_w < 0:
        return say(
            "{site} draws {drawn}, {free} more than its cap of {cap}; the job would add {more}", **told
        )
    return say("{site} draws {drawn} of {cap}; {free} are free, and the job would add {more}", **told)


def kinds_in(lock: Lock) -> tuple[str, ...]:
    """The kinds of work of a plan, in the order of their numbers; none without a section `power`."""
    if not lock.get("power"):
        return ()
    default = lock["power"]["default"]
    return tuple(
        dict.fromkeys([default, *(each.get("power") or default for each in lock["workloads"].values())])
    )


def kind_in(lock: Lock, workload: str) -> int:
    """The number of a workload's kind of work among those of the plan."""
    return kinds_in(lock).index(lock["workloads"][workload].get("power") or lock["power"]["default"])


def wanted_w(
    lock: Lock, power: Power, cells: Cells, names: Names, products: Sequence[str], row: Row
) -> dict[str, float]:
    """What a job would add from the grid at each site where it may run, as slow as its cap may make it, W."""
    owners, kind = [names.tenants.index(row["tenant"]), -1], kind_in(lock, row["workload"])
    accepted = [names.products.index(product) for product in products if product in names.products]
    found: dict[str, float] = {}
    for cell in np.flatnonzero(np.isin(cells.product, accepted) & np.isin(cells.tenant, owners)).tolist():
        site = int(cells.site[cell])
        watts = power.level_w[power.site_low[site]] if power.level_w.size else power.kind_w
        more_w = row["gpus"] * int(watts[kind, cell] - power.idle_w[cell])
        name = names.sites[site]
        grid_w = more_w * float(lock["sites"][name]["pue"])
        found[name] = min(found.get(name, grid_w), grid_w)
    return found


def tightest(run: Run, row: Row, wish: Wish) -> tuple[Tight, ...]:
    """Of each site where a job lacked power, when least was free while it was there."""
    from gpufleet.world.save import load_power

    if not (row["wait_power_s"] or row["last_refusal"] == "power"):
        return ()
    power, cells, names = load_power(run.path / folder.WORLD)
    if power is None or row["eligible_s"] is None:
        return ()
    wanted = wanted_w(run.plan, power, cells, names, wish.products, row)
    bin_s = int(run.measures_json["clock"]["grid_s"])
    ended_s = run.measures_json["clock"]["ended_s"] if row["end_s"] is None else row["end_s"]
    there = pl.col("t_s").is_between(row["eligible_s"] - bin_s, ended_s, closed="right")
    capped = run.power.filter(there, pl.col("cap_w").is_not_null())
    rows = capped.with_columns(free=pl.col("cap_w") - pl.col("mean_w"))
    found = []
    for site, wants_w in wanted.items():
        here = rows.filter(pl.col("site") == site).sort("free", "t_s").head(1)
        for t_s, drawn_w, cap_w in here.select("t_s", "mean_w", "cap_w").iter_rows():
            found.append(Tight(t_s, site, drawn_w, cap_w, wants_w, bin_s))
    return tuple(found)


def slowed_of(run: Run, row: Mapping[str, Any]) -> Slowed | None:
    """By how much power slowed a job; None if it did not."""
    lock, site = run.plan, row["site"]
    if site is None or not lock.get("power"):
        return None
    by_gpus_s = _by_gpus_s(run, row) if lock["sites"][site].get("gpu_caps") else 0
    if not row["slowed_s"] and not by_gpus_s:
        return None
    return Slowed(
        by_site_s=row["slowed_s"],
        by_gpus_s=by_gpus_s,
        site=site,
        site_lines=_lines(lock, site, ("curtailments", "power")),
        gpu_lines=_lines(lock, site, ("gpu_caps",)),
    )


def _by_gpus_s(run: Run, row: Mapping[str, Any]) -> int:
    """What caps of GPUs make it longer where it ran last, of all the time that it was not slowed."""
    from gpufleet.world.save import load_power

    power, cells, names = load_power(run.path / folder.WORLD)
    if power is None:
        return 0
    here = (cells.site == names.sites.index(row["site"])) & (
        cells.product == names.products.index(row["product"])
    )
    speed = float(power.cell_speed[here].min(initial=1.0))
    longer_s: float = (row["run_s"] - row["slowed_s"]) * (1.0 - speed)
    return round(longer_s)


def _lines(lock: Lock, site: str, keys: tuple[str, ...]) -> tuple[Blame, ...]:
    paths = [f"sites.{site}.{key}" for key in keys]
    lines: Mapping[str, Any] = lock["lines"]
    return tuple(line(lock, path) for path in paths if path in lines)
