"""Published runs of training as the model's inputs: architecture, layout, machine, and what was measured."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpufleet.base.errors import Finding, GpufleetError, Place, finding
from gpufleet.base.say import Said, say
from gpufleet.catalog.load import gpus, resolve_product
from gpufleet.catalog.rows import FOLDER
from gpufleet.models.architecture import Architecture
from gpufleet.models.run_cells import MARKS, NO_CURVES, REQUIRED, Cells
from gpufleet.models.run_meaning import PRECISION, architecture, network
from gpufleet.models.run_meaning import layout as layout_of
from gpufleet.models.run_meaning import step_s as step_s_of


@dataclass(frozen=True, slots=True)
class Run:
    """One published run. ``step_s`` or ``memory_gib`` is what was measured; the other is None."""

    id: str
    at: Place
    source: str
    product: str
    domain: int
    fabric_gbps: float
    model: Architecture
    layout: Mapping[str, Any]  # of `Layouts.of`; recompute None: not published
    step_s: float | None
    memory_gib: float | None
    configuration: str  # the same for repeats of one configuration by one source
    notes: tuple[str, ...] = ()

    @property
    def moe(self) -> bool:
        """Whether the model has experts."""
        return self.model.experts > 0

    @property
    def complete(self) -> bool:
        """Whether what is computed again was published."""
        return self.layout["recompute"] is not None


@dataclass(slots=True)
class Runs:
    """What was read: runs that can be predicted, and how many rows cannot, by reason."""

    runs: list[Run] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def read_folder(folder: Path) -> Runs:
    """All tables of training runs of a folder; files that are no such tables are counted as notes.

    Raises: GpufleetError M001 (columns), M002 (cells, all at once), M003 (no table), U003 by the system.
    """
    got, faults, tables = Runs(), [], 0
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        if MARKS - set(header):
            got.notes[say("{file} is no table of training runs", file=path.name)] += 1
            continue
        tables += 1
        faults += read_table(path, got)
    if not tables:
        says = say("{folder} holds no CSV file with the columns of training runs", folder=str(folder))
        fix = say("its columns are {names:, }", names=list(REQUIRED))
        raise GpufleetError(finding("M003", says, fix, Place(str(folder), 0)))
    if faults:
        raise GpufleetError(*faults)
    return got


def shipped() -> Runs:
    """The runs that ship in the catalogue.

    >>> len(shipped().runs) > 500
    True
    """
    got = Runs()
    if faults := read_table(FOLDER / "training_runs.csv", got, "catalog/training_runs.csv"):
        raise GpufleetError(*faults)
    return got


def read_table(path: Path, got: Runs, name: str | None = None) -> list[Finding]:
    """Add the runs of one table to those that were read, and tell what is wrong with it."""
    name = name or str(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
        if missing:
            says = say("it has no {names:, }", names=missing)
            fix = say("add the columns; a cell may be empty if it is not known")
            return [finding("M001", says, fix, Place(name, 1))]
        faults: list[Finding] = []
        for cells in reader:
            at = Place(name, reader.line_num)
            row = Cells(cells, at)
            faults += row.faults() or _take(row, got)
    return faults


def _take(row: Cells, got: Runs) -> list[Finding]:
    """Make a run of a row, or count why not, or tell what is wrong with it."""
    reason = next((text for applies, text in _REASONS if applies(row)), None)
    if reason is not None:
        got.left_out[reason] += 1
        return []
    if faults := row.contradictions():
        return faults
    model = architecture(row)
    notes: list[str] = []
    layout = layout_of(row, notes)
    step_s = step_s_of(row, model, layout)
    memory = row.number("mem_gib") if row["quantity"].startswith("memory") else None
    if step_s is None and memory is None:
        got.left_out[say("what was published is no speed of whole steps")] += 1
        return []
    product = gpus()[resolve_product(row["gpu"]).id]
    got.notes.update(notes)
    domain, fabric = network(row["interconnect"], product.scaleup_domain or 1)
    same = "|".join(row[column] for column in _CONFIGURATION)
    run = Run(
        row["row_id"],
        row.at,
        row["source_id"],
        product.id,
        domain,
        fabric,
        model,
        layout,
        step_s,
        memory,
        same,
        tuple(notes),
    )
    got.runs.append(run)
    return []


_CONFIGURATION: Final = (
    "source_id",
    "model",
    "task",
    "seq",
    "tp",
    "pp",
    "vpp",
    "dp",
    "cp",
    "ep",
    "fsdp",
    "micro_batch",
    "global_batch",
    "recompute",
    "seq_parallel",
    "gpu",
    "n_gpus",
    "precision",
    "quantity",
)
"""Rows that agree in these are the same configuration, measured again."""
_REASONS: Final[Sequence[tuple[Callable[[Cells], bool], str]]] = (
    (lambda row: row["gpu"].startswith(NO_CURVES), say("accelerators without measured matrix products")),
    (lambda row: "mamba" in (row["family"] + row["attention"]).lower(), say("Mamba layers")),
    (lambda row: row["task"] == "lora", say("LoRA: most weights are frozen")),
    (
        lambda row: (
            row["quantity"] in ("time_to_train", "gpu_hours_total")
            and row.number("norm_tokens_per_s_per_gpu") is None
        ),
        say("time to a quality, or GPU-hours, not a speed"),
    ),
    (lambda row: row["quantity"].startswith("layer"), say("the time of one layer, not of a step")),
    (
        lambda row: any(row.number(c) is None for c in ("tp", "pp", "dp", "micro_batch", "global_batch")),
        say("the layout is not known: tp, pp, dp, micro-batch or batch"),
    ),
    (lambda row: row["precision"] not in PRECISION, say("the number type is not known")),
    (lambda row: _rate(row) is None, say("the product does not compute in that number type")),
    (lambda row: _unknown(row), say("the catalogue does not know memory or bandwidth of the product")),
)


def _rate(row: Cells) -> float | None:
    """Peak of the product in the number type of the run."""
    product, dtype = gpus()[resolve_product(row["gpu"]).id], PRECISION[row["precision"]]
    if dtype == "bf16":
        return product.bf16_tflops or product.fp16_tflops
    return product.fp4_tflops if dtype == "fp4" else product.fp8_tflops


def _unknown(row: Cells) -> bool:
    product = gpus()[resolve_product(row["gpu"]).id]
    return None in (product.memory_gb, product.memory_bw_gbs)


def grouped(runs: Iterable[Run]) -> Iterator[tuple[Run, list[int]]]:
    """Runs of the same model and machine: one of them, and the row numbers of all."""
    rows: dict[Any, list[int]] = {}
    first: dict[Any, Run] = {}
    for number, run in enumerate(runs):
        key = (run.model, run.product, run.domain, run.fabric_gbps)
        first.setdefault(key, run)
        rows.setdefault(key, []).append(number)
    for key, members in rows.items():
        yield first[key], members


def reasons(left_out: Mapping[str, int]) -> list[tuple[str, int]]:
    """Why rows were left out, the most frequent first.

    >>> reasons({"a": 1, "b": 2})
    [('b', 2), ('a', 1)]
    """
    return sorted(left_out.items(), key=lambda each: (-each[1], Said(each[0])))
