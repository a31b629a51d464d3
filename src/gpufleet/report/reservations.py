"""Reservations: what they kept, who used it, and what stood idle for them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpufleet.base.say import Said, say
from gpufleet.report import measured
from gpufleet.report.tables import Kind, Table, table
from gpufleet.report.words import percent, short

if TYPE_CHECKING:
    from gpufleet.report.view import View

_HOURS = (
    "reserved_gpu_h", "reserved_used_gpu_h", "reserved_others_gpu_h", "reserved_idle_gpu_h",
    "reserved_idle_before_gpu_h",
)  # fmt: skip


def _rows(view: View) -> list[tuple[Any, ...]]:
    """Name, for whom, begin and end (local), GPUs, GPU-hours: kept, used, held by others, idle, before."""
    gpus, *hours = (measured.by(view.run, name, "reservation") for name in ("reserved_gpus", *_HOURS))
    declared = view.run.plan.get("reservations", {})
    return [
        (
            name,
            ", ".join(one["holders"]),
            *(datetime.fromisoformat(one[key]).astimezone(view.zone) for key in ("from_", "to")),
            gpus[name],
            *(column[name] for column in hours),
        )
        for name, one in declared.items()
        if name in gpus
    ]


def says(view: View) -> Said | None:
    """How much of what was reserved was used; None where nothing was."""
    kept, used = (measured.total(view.run, name) for name in ("reserved_gpu_h", "reserved_used_gpu_h"))
    if kept is None or used is None:
        return None
    if not kept:
        return say("Reservations kept nothing in the time of the run")
    return say(
        "Reservations kept {kept:short} GPU-hours; those for whom they were used {share} of them",
        kept=kept,
        share=percent(used / kept),
    )


def reserved_table(view: View) -> Table | None:
    """One row per reservation; None where there are none."""
    rows = _rows(view)
    columns: list[tuple[str, Kind]] = [
        (say("reservation"), "name"), (say("for"), "name"), (say("from"), "time"), (say("to"), "time"),
        (say("GPUs"), "whole"), (say("reserved, GPU-hours"), "number"), (say("used, GPU-hours"), "number"),
        (say("still held by others, GPU-hours"), "number"), (say("idle, GPU-hours"), "number"),
        (say("idle in the day before, GPU-hours"), "number"),
    ]  # fmt: skip
    return table(say("Reservations, and who used them"), columns, rows) if rows else None


def summary_rows(view: View) -> list[tuple[str, ...]]:
    """The table of a terminal: head and one row per reservation."""
    head = (
        say("reserved, GPU-hours"), say("GPUs"), say("kept"), say("used"), say("by others"), say("idle"),
        say("idle before"),
    )  # fmt: skip
    rows = [
        (name, f"{round(gpus):,}", *(str(short(value)) for value in hours))
        for name, _, _, _, gpus, *hours in _rows(view)
    ]
    return [tuple(str(cell) for cell in head), *rows]
