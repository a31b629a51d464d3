"""Measures of a run, looked up by name and dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpufleet.results.run import Run


def values(run: Run, name: str, *dims: str) -> dict[tuple[str, ...], float]:
    """Values of a measure by exactly these dimensions, in the order of measures.json."""
    rows = [row for row in run.measures_json["measures"] if row["name"] == name]
    return {tuple(row["by"][d] for d in dims): row["value"] for row in rows if row["by"].keys() == set(dims)}


def by(run: Run, name: str, dim: str) -> dict[str, float]:
    """Values of a measure by one dimension."""
    return {key: value for (key,), value in values(run, name, dim).items()}


def total(run: Run, name: str) -> float | None:
    """The value for the whole run; None when there is none, such as the wait of no jobs."""
    return values(run, name).get(())
