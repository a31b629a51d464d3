"""One run as the report sees it: shaped once, in the plan's time zone, tenants in one order everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.report import frames, measured
from gpufleet.report.marks import MAX_COLOURS, Mark, tenant_marks
from gpufleet.report.words import ROOT_TITLES

if TYPE_CHECKING:
    from gpufleet.results.run import Run


@dataclass(frozen=True)
class View:
    """Small frames of a run, each shaped when first asked for."""

    run: Run

    @cached_property
    def bins(self) -> frames.Bins:
        """Time bins of every chart over time."""
        return frames.bins(self.run)

    @cached_property
    def tenants(self) -> list[str]:
        """Tenants, largest user first."""
        return frames.tenants(self.run)

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """The mark of each tenant, the same everywhere on the page."""
        return tenant_marks(self.tenants)

    @cached_property
    def stacked(self) -> list[Mark]:
        """Marks of a stack of tenants: each of the largest, and one grey for all others together."""
        marks = list(self.marks.values())
        if len(marks) <= MAX_COLOURS:
            return marks
        rest = len(marks) - MAX_COLOURS
        return [
            *marks[:MAX_COLOURS],
            Mark(str(say("{n:,} other", "{n:,} others", n=rest)), "grey-2", "slash"),
        ]

    @cached_property
    def in_use(self) -> pl.DataFrame:
        """Mean GPUs in use per bin and tenant: t_s, tenant, gpu_h, gpus."""
        return frames.in_use(self.run, self.bins, self.tenants)

    @cached_property
    def online(self) -> pl.DataFrame:
        """Mean GPUs online per bin: t_s, gpu_h, gpus."""
        return frames.online(self.run, self.bins)

    @cached_property
    def causes(self) -> dict[str, float]:
        """Waiting GPU-hours by root cause, most first."""
        return frames.waiting_by_cause(self.run)

    @cached_property
    def waiting(self) -> pl.DataFrame:
        """Waiting GPU-hours per bin and root cause: t_s, cause, gpu_h, gpus."""
        order = [c for c in (*ROOT_TITLES, *sorted(set(self.causes) - set(ROOT_TITLES))) if c in self.causes]
        return frames.waiting(self.run, self.bins, order)

    @cached_property
    def waiting_by_tenant(self) -> dict[tuple[str, ...], float]:
        """Waiting GPU-hours by (tenant, cause)."""
        return measured.values(self.run, "waiting_gpu_h", "tenant", "cause")

    @cached_property
    def products(self) -> list[str]:
        """Products that were ever online."""
        online = frames.kind(self.run, "online").filter(pl.col("gpu_s") > 0)
        return sorted(p for p in online.get_column("product").unique().to_list() if p)

    @property
    def gpus_word(self) -> Said:
        """What a sum of GPUs adds, in words."""
        if len(self.products) < 2:
            return say("GPUs ({product})", product=self.products[0]) if self.products else say("GPUs")
        return say(
            "GPUs of {count:,} products ({products:, }), each counted as one,",
            count=len(self.products),
            products=self.products,
        )

    @cached_property
    def zone(self) -> ZoneInfo:
        """The plan's time zone."""
        return ZoneInfo(self.run.time_zone)

    def local(self, t_s: int) -> datetime:
        """Local time of a moment of the run."""
        return (self.run.start + timedelta(seconds=int(t_s))).astimezone(self.zone)

    def stamp(self, t_s: int) -> Said:
        """Local time as text: 2026-01-05 14:00.

        Minutes are enough: no chart has narrower bins.
        """
        return say("{at:%Y-%m-%d %H:%M}", at=self.local(t_s))

    def chart_ms(self, t_s: int) -> int:
        """Local wall-clock time as if it were UTC, ms: charts then show it alike in every reader's zone."""
        return int(self.local(t_s).replace(tzinfo=UTC).timestamp() * 1000)

    @property
    def end_ms(self) -> int | None:
        """Where charts over time mark the end of the plan: only if the run went on beyond it."""
        return self.chart_ms(self.run.end_s) if self.bins.end_s > self.run.end_s + self.bins.width_s else None

    @property
    def period(self) -> Said:
        """Name of the plan, its first and last day, and the time zone of all times on the page."""
        run = self.run
        return say(
            "{name} · {start} to {end} · times are local ({zone})",
            name=run.plan["name"],
            start=self.local(0).date(),
            end=datetime.fromisoformat(run.plan["end"]).astimezone(self.zone).date(),
            zone=run.time_zone,
        )

    @property
    def bin_word(self) -> Said:
        """Width of a bin in words: "per 2 h"."""
        return say("per {time}", time=format_duration(self.bins.width_s))
