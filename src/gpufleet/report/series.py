"""Rows of charts over time: binned frames with the plan's local time, stacked, closed at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from gpufleet.report import frames

if TYPE_CHECKING:
    from gpufleet.report.marks import Mark
    from gpufleet.report.view import View


def timed(view: View, frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with t_s given the columns that a chart wants: time (local, ms) and label (local, text)."""
    moments = frame.get_column("t_s").unique()
    at = pl.col("t_s")
    return frame.with_columns(
        time=at.replace_strict({t: view.chart_ms(t) for t in moments}, return_dtype=pl.Int64),
        label=at.replace_strict({t: str(view.stamp(t)) for t in moments}, return_dtype=pl.String),
    )


def closed(view: View, frame: pl.DataFrame) -> pl.DataFrame:
    """Columns t_s, value, ... as rows of a step chart; the last bin stands again at its end: it shows."""
    if frame.is_empty():
        return frame
    latest = frame.get_column("t_s").max()
    last = frame.filter(pl.col("t_s") == latest).with_columns(t_s=pl.lit(view.bins.end_s, pl.Int64))
    whole = pl.concat([frame, last]).with_columns(value=pl.col("value").round(3))
    return timed(view, whole).drop("t_s")


def stacked(
    view: View, frame: pl.DataFrame, key: str, marks: Sequence[Mark], value: str = "gpus"
) -> pl.DataFrame:
    """Rows of a stacked chart: time, label, name, value, rank. What has no mark goes under the last one."""
    names = [mark.name for mark in marks]
    if not names:
        return pl.DataFrame()
    named = frames.grouped(frame, key, names, names[-1])
    rank = pl.col("name").replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
    ranked = named.select("t_s", name=pl.col(key), value=pl.col(value)).with_columns(rank=rank)
    return closed(view, ranked.sort("t_s", "rank"))


def wide(
    view: View, frame: pl.DataFrame, key: str, names: Sequence[str], value: str
) -> list[tuple[Any, ...]]:
    """Rows of a table: start of the bin as t_s, then the value of each name."""
    by_bin: dict[int, dict[str, float]] = {t: {} for t in view.bins.starts_s}
    for t, name, amount in frame.select("t_s", key, value).iter_rows():
        by_bin[t][name] = amount
    return [(t, *(got.get(name, 0.0) for name in names)) for t, got in by_bin.items()]
