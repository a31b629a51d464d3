"""What `gpufleet calibrate` does: measured times become a product of one's own, with its curves."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.base.errors import GpufleetError, Place, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.catalog import Gpu, SystemRow, gpus, resolve_product, systems
from gpufleet.catalog.curves import CollectiveCurve, GemmCurve, gemm_curves
from gpufleet.catalog.rows import Row, own_folder
from gpufleet.models.collectives import OPERATIONS
from gpufleet.models.fitting import LEAST_SAMPLES, Fitted, fit_collective, fit_gemm
from gpufleet.models.layout import DTYPES

explain_codes(
    """
U055 there is nothing to measure on
`gpufleet calibrate` times matrix products, copies and collectives with PyTorch on a GPU of this machine.
Without one it can read times that were recorded elsewhere.
    gpufleet calibrate --data measured/ --product H100 --name our-h100

U056 times that cannot be used
Recorded times are gemm_measured.csv (gpu, gemm_dtype, m, n, k, latency_ms) and, if there is one,
nccl_measured.csv (gpu, op_name, num_gpus, message_elements, latency_ms) in one folder. Rows of other products
are left out.
    gpufleet calibrate --data measured/ --product H100-SXM5-80GB --name our-h100

U057 a name for a product of one's own that cannot be taken
The name must be new to the catalogue, so that nobody mistakes one for the other. --replace measures one's own
anew.
    gpufleet calibrate --name our-h100 --replace
"""
)

DTYPE_NAMES: Final = {
    **{each: each for each in DTYPES},
    "bfloat16": "bf16",
    "fp8_block": "mxfp8",
    "nvfp4": "fp4",
}
"""Number types by the names that recorded times give them."""
OPERATION_NAMES: Final = {**{each: each for each in OPERATIONS}, "alltoall": "all_to_all"}
_PEAKS: Final = {"bf16": "bf16_tflops", "fp8": "fp8_tflops", "mxfp8": "fp8_tflops", "fp4": "fp4_tflops"}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,59}")
_WORST_PCT: Final = 25.0
"""A curve that misses the large sizes by more is told and not kept."""
_GEMM_COLUMNS: Final = ("gpu", "gemm_dtype", "m", "n", "k", "latency_ms")
_NCCL_COLUMNS: Final = ("gpu", "op_name", "num_gpus", "message_elements", "latency_ms")


@dataclass(frozen=True)
class Measured:
    """Times, in seconds.

    ``gemm`` by number type: rows of m, n, k, seconds. ``collectives`` by operation: rows of GPUs, bytes,
    seconds. ``copy_bw`` is the rate of a large copy, bytes/s read and written, if it was measured.
    """

    device: str
    source: str
    gemm: Mapping[str, Floats]
    collectives: Mapping[str, Floats]
    copy_bw: float | None = None


@dataclass(frozen=True)
class Calibration:
    """A product of one's own with its system and curves, and what is said about them."""

    product: Gpu
    system: SystemRow | None
    gemm: tuple[GemmCurve, ...]
    collectives: tuple[CollectiveCurve, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """What was found, for people."""
        lines = [
            say(
                "{dtype}: {share:.0f} % of the rated {tflops:,.0f} TFLOP/s for large products ({n:,} times, "
                "mean error {error:g} %, of large ones {large:g} %)",
                dtype=curve.dtype.upper(),
                share=100 * curve.efficiency,
                tflops=getattr(self.product, _PEAKS[curve.dtype]),
                n=curve.rows,
                error=curve.error_pct,
                large=curve.large_error_pct,
            )
            for curve in self.gemm
        ]
        lines += [
            say(
                "{operation}: {n:,} times, mean error {error:g} %, of large ones {large:g} %",
                operation=curve.operation,
                error=curve.error_pct,
                n=curve.rows,
                large=curve.large_error_pct,
            )
            for curve in self.collectives
        ]
        lines += [say("note: {note}", note=note) for note in self.notes]
        return "\n".join(str(line) for line in lines)

    def to_json(self) -> dict[str, Any]:
        """The rows as JSON values."""
        return {
            "product": dataclasses.asdict(self.product),
            "system": None if self.system is None else dataclasses.asdict(self.system),
            "gemm_curves": [dataclasses.asdict(each) for each in self.gemm],
            "collective_curves": [dataclasses.asdict(each) for each in self.collectives],
            "notes": [str(note) for note in self.notes],
        }


def read_measured(folder: Path, product: str) -> Measured:
    """Recorded times of one product.

    Raises: GpufleetError U056 for a file that is missing or damaged, or that has no times of the product.
    """
    gemm = list(_recorded(folder / "gemm_measured.csv", _GEMM_COLUMNS, product))
    if not gemm:
        refuse("U056", say("there are no times of {product}", product=product), folder / "gemm_measured.csv")
    nccl_file = folder / "nccl_measured.csv"
    nccl = list(_recorded(nccl_file, _NCCL_COLUMNS, product)) if nccl_file.exists() else []
    return Measured(
        device=product,
        source=f"recorded times in {folder.name}",
        gemm=_by_name(gemm, "gemm_dtype", DTYPE_NAMES, ("m", "n", "k", "latency_ms"), (1.0, 1.0, 1.0, 1e-3)),
        collectives=_by_name(
            nccl, "op_name", OPERATION_NAMES, ("num_gpus", "message_elements", "latency_ms"), (1.0, 2.0, 1e-3)
        ),
    )


def _recorded(path: Path, columns: Sequence[str], product: str) -> Iterator[dict[str, Any]]:
    """Rows of one product, numbers read; every bad row stops it."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            refuse("U056", say("the file has no column {missing:, }", missing=missing), path, 1)
        for cells in reader:
            if cells["gpu"] != product:
                continue
            row: dict[str, Any] = dict(cells)
            for name in columns:
                if name in ("gpu", "gemm_dtype", "op_name"):
                    continue
                try:
                    row[name] = float(cells[name])
                except (TypeError, ValueError):
                    row[name] = 0.0
                if not 0 < row[name] < 1e18:
                    says = say("{name} is {value!r}", name=name, value=cells[name])
                    refuse("U056", says, path, reader.line_num)
            yield row


def _by_name(
    rows: Iterable[Mapping[str, Any]],
    key: str,
    names: Mapping[str, str],
    columns: Sequence[str],
    units: Sequence[float],
) -> dict[str, Floats]:
    """Times by number type or operation; kinds that no curve is for are left out."""
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        if row[key] in names:
            values = [float(row[name]) * unit for name, unit in zip(columns, units, strict=True)]
            found.setdefault(names[row[key]], []).append(values)
    return {name: np.array(values) for name, values in found.items()}


def refuse(code: str, says: str, path: Path | None = None, line: int = 0) -> NoReturn:
    """Raise a finding of this module's codes."""
    fix = {
        "U055": say("run it where PyTorch sees a GPU, or give recorded times with --data DIR"),
        "U056": say("correct the file, or name the product as the file does"),
        "U057": say(
            "choose another --name of letters, digits, dots and hyphens, or --replace one of your own"
        ),
    }[code]
    raise GpufleetError(finding(code, says, fix, Place(str(path), line) if path else None))


def check_name(name: str, *, replace: bool) -> None:
    """Whether a product may be called so.

    Raises: GpufleetError U057.
    """
    if not _NAME.fullmatch(name):
        refuse("U057", say("`{name}` is no name for a product", name=name))
    row = gpus().get(name)
    if row is not None and not row.own:
        refuse("U057", say("`{name}` is a product of the catalogue", name=name))
    if row is not None and not replace:
        refuse("U057", say("`{name}` is there already (--replace)", name=name))


def product_of(device: str) -> str:
    """The product of the catalogue that a device is, by the name that its driver gives it.

    Raises: GpufleetError C001 or C002 if it is none, or may be several.

    >>> product_of("NVIDIA H100 80GB HBM3"), product_of("NVIDIA A100-SXM4-80GB"), product_of("NVIDIA B200")
    ('H100-SXM5-80GB', 'A100-SXM4-80GB', 'B200-SXM')
    """
    bare = re.sub(r"\s+(\d+GB\s+)?HBM\w*$", "", device)
    return resolve_product(bare).id


def calibrate(measured: Measured, name: str, like: str) -> Calibration:
    """Fit the curves of what was measured.

    Args:   name: of the new product; like: the product of the catalogue that it is, for the rated numbers.
    Raises: GpufleetError U056 if no curve could be fitted.
    """
    base = gpus()[like]
    notes: list[str] = []
    gemm = tuple(_gemm_curves(measured, name, base, notes))
    if not gemm:
        refuse("U056", say("no number type has {n} times or more", n=LEAST_SAMPLES))
    collectives = tuple(_collective_curves(measured, name, base, notes))
    if not collectives:
        notes.append(say("no collectives were measured: those of {like} are used", like=like))
    if measured.copy_bw is not None and base.memory_bw_gbs:
        share = measured.copy_bw / (base.memory_bw_gbs * 1e9)
        notes.append(
            say("a large copy reaches {share:.0f} % of the rated memory bandwidth", share=100 * share)
        )
    about: dict[str, Any] = {
        "source": measured.source,
        "trust": "measured",
        "verified_on": date.today().isoformat(),
    }
    note = say("measured on {device}; rated numbers are those of {like}", device=measured.device, like=like)
    product = dataclasses.replace(base, id=name, product=name, own=True, note=str(note), **about)
    return Calibration(product, _system(name, like, about), gemm, collectives, tuple(notes))


def _system(name: str, like: str, about: Mapping[str, Any]) -> SystemRow | None:
    """The system in which the product stands: that of the product that it is like."""
    first = next((row for row in systems().values() if row.product == like and row.nic_gbps_per_gpu), None)
    if first is None:
        return None
    node = f"{name}-node"
    return dataclasses.replace(first, id=node, system=node, product=name, own=True, **about)


def _gemm_curves(measured: Measured, name: str, base: Gpu, notes: list[str]) -> Iterator[GemmCurve]:
    for dtype, rows in measured.gemm.items():
        peak = getattr(base, _PEAKS[dtype])
        if peak is None or base.memory_bw_gbs is None or len(rows) < LEAST_SAMPLES:
            notes.append(say("{dtype}: {n} times, no curve", dtype=dtype.upper(), n=len(rows)))
            continue
        known = gemm_curves().get((base.id, dtype))
        wave = known.wave if known else None
        bandwidth = base.memory_bw_gbs * 1e9
        fitted = fit_gemm(*rows.T, peak_flops=peak * 1e12, memory_bw=bandwidth, dtype=dtype, wave=wave)
        if _close(fitted, dtype.upper(), notes):
            about = {**_of(fitted, measured), "wave": wave}
            yield GemmCurve(line=0, id=f"{name}/{dtype}", product=name, dtype=dtype, **about)


def _collective_curves(
    measured: Measured, name: str, base: Gpu, notes: list[str]
) -> Iterator[CollectiveCurve]:
    link = (base.scaleup_bw_gbs or base.pcie_gbs or 0.0) * 1e9 / 2
    for operation, rows in measured.collectives.items():
        if not link or len(rows) < LEAST_SAMPLES:
            notes.append(say("{operation}: {n} times, no curve", operation=operation, n=len(rows)))
            continue
        fitted = fit_collective(operation, *rows.T, link_bw=link)
        if _close(fitted, operation, notes):
            about = _of(fitted, measured)
            yield CollectiveCurve(
                line=0, id=f"{name}/{operation}", product=name, operation=operation, **about
            )


def _of(fitted: Fitted, measured: Measured) -> dict[str, Any]:
    return {
        **fitted.values,
        "rows": fitted.samples,
        "error_pct": fitted.error_pct,
        "large_error_pct": fitted.large_error_pct,
        "source": measured.source,
        "trust": "measured",
        "own": True,
    }


def _close(fitted: Fitted, name: str, notes: list[str]) -> bool:
    """Whether a curve is near enough to what was measured; if not it is told and left out."""
    if fitted.large_error_pct <= _WORST_PCT:
        return True
    notes.append(
        say(
            "{name}: the curve misses by {error:g} %, and is left out",
            name=name,
            error=fitted.large_error_pct,
        )
    )
    return False


def keep(made: Calibration) -> list[Path]:
    """Write the rows to the user's own tables, in place of earlier ones of the same product.

    Returns: the files. Raises: OSError if one cannot be written.
    """
    tables: tuple[tuple[type[Row], Sequence[Row]], ...] = (
        (GemmCurve, made.gemm),
        (CollectiveCurve, made.collectives),
        (SystemRow, [made.system] if made.system else []),
        (Gpu, [made.product]),  # last: with it the others count
    )
    return [_replace_rows(kind, rows, made.product.id) for kind, rows in tables if rows]


def _replace_rows(kind: type[Row], rows: Sequence[Row], product: str) -> Path:
    path = own_folder() / Path(kind.file).name
    columns = [f.name for f in dataclasses.fields(kind) if f.name not in ("line", "own")]
    before: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            before = [each for each in csv.DictReader(file) if each.get("product") != product]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*before, *({name: getattr(row, name) for name in columns} for row in rows)])
    part.replace(path)
    return path
