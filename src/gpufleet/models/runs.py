"""Published runs of training as the model's inputs: architecture, layout, machine, and what was measured."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpufleet.base.errors import Finding, GpufleetError, Place, explain_codes, finding
from gpufleet.base.say import Said, say
from gpufleet.catalog.load import gpus, resolve_product
from gpufleet.catalog.rows import FOLDER
from gpufleet.models.architecture import Architecture

explain_codes("""
M001 a table of measured runs lacks columns
A table of training runs has one row per run, with the columns of the shipped one: the model's widths, the
layout, the GPU, and the number that was published.
    gpufleet validate --data my-runs/

M002 a cell of a table of measured runs cannot be
A number is not one, is negative or zero where it counts something, or is beyond anything that was ever built.
    hidden = 40960000: a transformer's width is at most 1,000,000

M003 no table of measured runs
A folder that is given with --data must hold at least one CSV file with the columns of training runs.
    gpufleet validate --data my-runs/
""")

REQUIRED: Final = (
    "row_id", "source_id", "model", "layers", "hidden", "heads", "seq", "n_gpus", "gpu", "tp", "pp", "dp",
    "micro_batch", "global_batch", "recompute", "precision", "quantity", "value", "unit",
)  # fmt: skip
OPTIONAL: Final = (
    "family", "kv_heads", "ffn", "vocab", "n_experts", "top_k", "expert_ffn", "shared_experts", "attention",
    "gated_mlp", "task", "interconnect", "vpp", "cp", "ep", "fsdp", "seq_parallel", "tflops_per_gpu",
    "flops_convention", "mfu_pct", "mem_gib", "norm_tokens_per_s_per_gpu", "verification", "url",
)  # fmt: skip

_MARKS: Final = {"row_id", "source_id", "micro_batch"}
"""A CSV file with these columns is meant as a table of training runs."""
_LIMITS: Final = {
    "layers": 10_000, "hidden": 1_000_000, "heads": 10_000, "kv_heads": 10_000, "ffn": 10_000_000,
    "vocab": 10_000_000, "n_experts": 100_000, "top_k": 10_000, "expert_ffn": 10_000_000, "seq": 100_000_000,
    "n_gpus": 10_000_000, "tp": 100_000, "pp": 100_000, "vpp": 10_000, "dp": 10_000_000, "cp": 100_000,
    "ep": 100_000, "micro_batch": 1_000_000, "global_batch": 100_000_000, "value": 1e15,
    "norm_tokens_per_s_per_gpu": 1e9,
}  # fmt: skip
"""The largest that a cell may hold; the smallest is more than 0."""
_MAY_BE_ZERO: Final = {"fsdp", "n_experts", "shared_experts", "gated_mlp", "seq_parallel"}
_PRECISION: Final = {"BF16": "bf16", "FP16": "bf16", "FP8": "fp8", "MXFP8": "mxfp8", "NVFP4": "fp4"}
_NO_CURVES: Final = ("TPU", "Gaudi", "Trainium", "Ascend")

KNOWN: Final[Mapping[str, Mapping[str, int]]] = {
    "DeepSeek-V3": {"dense_layers": 3, "q_rank": 1536, "kv_rank": 512, "rope_dim": 64, "head_dim": 128,
                    "predicted_tokens": 1},
    "Kimi-K2": {"dense_layers": 1, "q_rank": 1536, "kv_rank": 512, "rope_dim": 64, "head_dim": 128},
    "GPT-OSS-120B": {"head_dim": 64, "window": 128, "windowed_layers": 18},
}  # fmt: skip
"""What tables of runs do not tell of some models; of their published config.json."""
GPT_VOCAB: Final = 51_200
"""Of models that do not state it: GPT-2's 50,257 as Megatron-LM pads it."""


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
        if _MARKS - set(header):
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
            row = _Row(cells, at)
            faults += row.faults()
            if not row.wrong:
                _take(row, got)
    return faults


class _Row:
    """One row: cells as numbers or text, and what is wrong with them."""

    def __init__(self, cells: Mapping[str, Any], at: Place) -> None:
        self.at = at
        self.wrong: list[Finding] = []
        self._text = {
            key: (value or "").strip() for key, value in cells.items() if isinstance(value, str | None)
        }
        self._numbers = {
            column: self._read(column)
            for column in (*_LIMITS, *_MAY_BE_ZERO, "mem_gib", "mfu_pct", "tflops_per_gpu")
        }

    def __getitem__(self, column: str) -> str:
        return self._text.get(column, "")

    def number(self, column: str) -> float | None:
        """A cell as a number; None if it is empty."""
        return self._numbers[column]

    def whole(self, column: str, default: int = 0) -> int:
        """A cell as a whole number, or what an empty one means."""
        value = self._numbers[column]
        return default if value is None else int(value)

    def faults(self) -> list[Finding]:
        """What is wrong with the row's cells."""
        if not self["row_id"]:
            self._fault(say("the row has no row_id"), say("give each row a name"))
        if self["gpu"] and not self["gpu"].startswith(_NO_CURVES):
            try:
                resolve_product(self["gpu"])
            except GpufleetError as error:
                cause = error.findings[0]
                self.wrong.append(Finding(cause.code, cause.title, "error", cause.says, cause.fix, self.at))
        return self.wrong

    def _read(self, column: str) -> float | None:
        text = self[column]
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            says = say("{column} = {text!r} is not a number", column=column, text=text)
            self._fault(says, say("write a plain number, or leave the cell empty"))
            return None
        least = value >= 0 if column in _MAY_BE_ZERO else value > 0
        most = _LIMITS.get(column, 1e15)
        if not (least and value <= most):
            says = say("{column} = {text} cannot be; it is more than 0 and at most {most:,.0f}",
                       column=column, text=text, most=most)  # fmt: skip
            self._fault(says, say("correct the cell, or leave it empty if it is not known"))
        return value

    def _fault(self, says: str, fix: str) -> None:
        self.wrong.append(finding("M002", says, fix, self.at))


def _take(row: _Row, got: Runs) -> None:
    """Make a run of a row, or count why not."""
    reason = next((text for applies, text in _REASONS if applies(row)), None)
    if reason is not None:
        got.left_out[reason] += 1
        return
    model = _architecture(row)
    notes: list[str] = []
    layout = _layout(row, notes)
    step_s = _step_s(row, model, layout)
    memory = row.number("mem_gib") if row["quantity"].startswith("memory") else None
    if step_s is None and memory is None:
        got.left_out[say("what was published is no speed of whole steps")] += 1
        return
    product = gpus()[resolve_product(row["gpu"]).id]
    got.notes.update(notes)
    domain, fabric = _network(row["interconnect"], product.scaleup_domain or 1)
    same = "|".join(
        row[c] for c in ("source_id", "model", "task", *_LAYOUT, "gpu", "n_gpus", "precision", "quantity")
    )
    got.runs.append(
        Run(
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
    )


_LAYOUT: Final = (
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
)
_REASONS: Final[Sequence[tuple[Callable[[_Row], bool], str]]] = (
    (lambda row: row["gpu"].startswith(_NO_CURVES), say("accelerators without measured matrix products")),
    (lambda row: "mamba" in (row["family"] + row["attention"]).lower(), say("Mamba layers")),
    (lambda row: row["task"] == "lora", say("LoRA: most weights are frozen")),
    (lambda row: row["quantity"] in ("time_to_train", "gpu_hours_total") and row.number(
        "norm_tokens_per_s_per_gpu") is None, say("time to a quality, or GPU-hours, not a speed")),
    (lambda row: row["quantity"].startswith("layer"), say("the time of one layer, not of a step")),
    (lambda row: any(row.number(c) is None for c in ("tp", "pp", "dp", "micro_batch", "global_batch")),
     say("the layout is not known: tp, pp, dp, micro-batch or batch")),
    (lambda row: row["precision"] not in _PRECISION, say("the number type is not known")),
)  # fmt: skip


def _architecture(row: _Row) -> Architecture:
    heads, hidden = row.whole("heads"), row.whole("hidden")
    experts = row.whole("n_experts")
    stated = re.search(r"head_dim (\d+)", row["attention"])
    known = dict(KNOWN.get(row["model"], {}))
    if stated:
        known["head_dim"] = int(stated[1])
    old = row["precision"] == "FP16"
    return Architecture(
        name=row["model"],
        layers=row.whole("layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=row.whole("kv_heads", heads),
        ffn=row.whole("ffn", 0 if experts else 4 * hidden),
        vocab=row.whole("vocab", GPT_VOCAB),
        gated=bool(row.whole("gated_mlp", 0 if old else 1)),
        tied=not row.whole("gated_mlp", 0 if old else 1),
        positions=row.whole("seq") if old else 0,
        bias=old,
        experts=experts,
        top_k=row.whole("top_k"),
        shared_experts=row.whole("shared_experts"),
        expert_ffn=row.whole("expert_ffn"),
        **known,
    )


def _layout(row: _Row, notes: list[str]) -> dict[str, Any]:
    """The layout; a run in FP16 is of the years before fused attention and gradients that travel early."""
    old = row["precision"] == "FP16"
    fsdp, tp = row.whole("fsdp"), row.whole("tp", 1)
    return {
        "tp": tp, "pp": row.whole("pp", 1), "vpp": row.whole("vpp", 1), "dp": row.whole("dp", 1),
        "cp": row.whole("cp", 1), "ep": row.whole("ep", 1), "micro_batch": row.whole("micro_batch"),
        "global_batch": row.whole("global_batch"), "seq_len": row.whole("seq"),
        "sequence_parallel": row.whole("seq_parallel", int(tp > 1 and not old)),
        "zero": "fsdp" if fsdp > 1 else "none" if old else "zero1", "shards": fsdp if fsdp > 1 else 0,
        "recompute": row["recompute"] if row["recompute"] in ("none", "selective", "full") else None,
        "dtype": _dtype(row, notes), "attention": _attention(row),
        "overlap": int(not old),
    }  # fmt: skip


def _attention(row: _Row) -> str:
    """Which kernel; with ALiBi it was the first fused one, as no other took a bias then."""
    if row["precision"] == "FP16":
        return "unfused"
    return "fused_2022" if "ALiBi" in row["attention"] else "fused"


def _dtype(row: _Row, notes: list[str]) -> str:
    """The number type; where a row's own MFU tells another one, that."""
    stated = _PRECISION[row["precision"]]
    tflops, mfu = row.number("tflops_per_gpu"), row.number("mfu_pct")
    fp8 = gpus()[resolve_product(row["gpu"]).id].fp8_tflops
    if stated == "bf16" and tflops and mfu and fp8 and abs(tflops / mfu * 100 / fp8 - 1) < 0.02:
        notes.append(say("BF16 is read as FP8: the row's MFU is a share of the FP8 peak"))
        return "fp8"
    return stated


def _step_s(row: _Row, model: Architecture, layout: Mapping[str, Any]) -> float | None:
    """Seconds per step, from whatever speed was published."""
    rate = row.number("norm_tokens_per_s_per_gpu")
    value = row.number("value") or 0.0
    if rate is None and row["quantity"] == "step_time" and row["unit"] == "s":
        return value
    if rate is None and row["quantity"] == "tokens_per_s_per_gpu":
        rate = value
    if rate is None and row["quantity"].endswith("tflops_per_gpu"):
        rate = value * 1e12 / _published_flops(model, layout, hardware=row["quantity"].startswith("hardware"))
    if rate is None:
        return None
    return float(layout["global_batch"] * layout["seq_len"] / rate / row.whole("n_gpus"))


def _published_flops(model: Architecture, layout: Mapping[str, Any], *, hardware: bool) -> float:
    """FLOPs per token as Narayanan et al. (2021) count: attention without the mask; a full recomputation."""
    h, s, n = model.hidden, layout["seq_len"], model.layers
    passes = 96 if hardware and layout["recompute"] == "full" else 72
    return float(passes * n * h**2 * (1 + s / (6 * h) + model.vocab / (16 * n * h)))


def _network(text: str, domain: int) -> tuple[int, float]:
    """GPUs of a scale-up domain and Gb/s of the network per GPU, of a text such as "NVLink4 x8 + 3200Gb/s per
    node".

    >>> _network("NVLink5 1.8TB/s x72 + 400Gb/s per GPU", 8)
    (72, 400.0)
    >>> _network("NVLink3 x8 + 1600Gb/s RoCE per node", 8)
    (8, 200.0)
    """
    stated = re.search(r"\bx(\d+)\b", text)
    size = int(stated[1]) if stated else domain
    rate = re.search(r"(?:(\d+)x)?(\d+)\s?Gb/s", text)
    if not rate:
        return size, 200.0 if "HDR" in text else 0.0
    gbps = float(rate[1] or 1) * float(rate[2])
    return size, gbps / 8 if "per node" in text else gbps


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
