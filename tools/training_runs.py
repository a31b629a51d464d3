"""Compile the table of published training runs that ships in the catalogue.

    python -m tools.training_runs DATA        DATA: a folder with training_measured.csv

Writes src/gpufleet/catalog/training_runs.csv: of each run the numbers that describe and measure it, and where
they were published; no text of the sources.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from gpufleet.catalog.rows import FOLDER
from gpufleet.models.run_cells import OPTIONAL, REQUIRED


def main() -> None:
    """Write the columns that are read, in the order of the source."""
    with (Path(sys.argv[1]) / "training_measured.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [*REQUIRED, *OPTIONAL]
    with (FOLDER / "training_runs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
