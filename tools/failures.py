"""Compile the table of published failure rates that ships in the catalogue.

    python -m tools.failures DATA        DATA: a folder with reliability_measured.csv

Writes src/gpufleet/catalog/failures.csv: rows that tell GPU-hours between events of a whole job or of a class
of causes.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from gpufleet.catalog.rows import FOLDER


def main() -> None:
    """Write one row per event class with a rate."""
    with (Path(sys.argv[1]) / "reliability_measured.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["derived_gpu_hours_between_events"]]
    with (FOLDER / "failures.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["id", "system", "event", "gpus", "days", "gpu_hours_between", "source", "url", "trust"]
        )
        for number, row in enumerate(rows, 1):
            cells = (row["system"], row["quantity"], row["n_gpus"], row["days"],
                     row["derived_gpu_hours_between_events"], row["source"], row["url"])  # fmt: skip
            writer.writerow([number, *cells, "published"])


if __name__ == "__main__":
    main()
