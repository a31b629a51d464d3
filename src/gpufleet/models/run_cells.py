"""One row of a table of published runs: its cells as numbers or text, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gpufleet.base.errors import Finding, GpufleetError, Place, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.catalog.load import resolve_product

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

MARKS: Final = {"row_id", "source_id", "micro_batch"}
"""A CSV file with these columns is meant as a table of training runs."""
LIMITS: Final = {
    "layers": 10_000, "hidden": 1_000_000, "heads": 10_000, "kv_heads": 10_000, "ffn": 10_000_000,
    "vocab": 10_000_000, "n_experts": 100_000, "top_k": 10_000, "expert_ffn": 10_000_000, "seq": 100_000_000,
    "n_gpus": 10_000_000, "tp": 100_000, "pp": 100_000, "vpp": 10_000, "dp": 10_000_000, "cp": 100_000,
    "ep": 100_000, "micro_batch": 1_000_000, "global_batch": 100_000_000, "value": 1e15,
    "norm_tokens_per_s_per_gpu": 1e9,
}  # fmt: skip
"""The largest that a cell may hold; the smallest is more than 0."""
MAY_BE_ZERO: Final = {"fsdp", "n_experts", "shared_experts", "gated_mlp", "seq_parallel"}
NO_CURVES: Final = ("TPU", "Gaudi", "Trainium", "Ascend")
"""Accelerators of which no matrix product was measured."""


class Cells:
    """One row: cells as numbers or text, and what is wrong with them."""

    def __init__(self, cells: Mapping[str, Any], at: Place) -> None:
        self.at = at
        self.wrong: list[Finding] = []
        self._text = {
            key: (value or "").strip() for key, value in cells.items() if isinstance(value, str | None)
        }
        self._numbers = {
            column: self._read(column)
            for column in (*LIMITS, *MAY_BE_ZERO, "mem_gib", "mfu_pct", "tflops_per_gpu")
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
        if self["gpu"] and not self["gpu"].startswith(NO_CURVES):
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
        least = value >= 0 if column in MAY_BE_ZERO else value > 0
        most = LIMITS.get(column, 1e15)
        if not (least and value <= most):
            says = say("{column} = {text} cannot be; it is more than 0 and at most {most:,.0f}",
                       column=column, text=text, most=most)  # fmt: skip
            self._fault(says, say("correct the cell, or leave it empty if it is not known"))
        return value

    def contradictions(self) -> list[Finding]:
        """What a run that is to be predicted lacks, or where its numbers do not agree."""
        for column in ("layers", "hidden", "heads", "seq", "n_gpus"):
            if self.number(column) is None:
                self._fault(
                    say("{column} is empty", column=column), say("a run cannot be predicted without it")
                )
        parts = {name: self.whole(name, 1) for name in ("tp", "pp", "dp", "cp")}
        product = parts["tp"] * parts["pp"] * parts["dp"] * parts["cp"]
        if not self.wrong and product != self.whole("n_gpus"):
            says = say("{n} GPUs are not tp {tp} x pp {pp} x dp {dp} x cp {cp} = {product}",
                       n=self.whole("n_gpus"), product=product, **parts)  # fmt: skip
            self._fault(says, say("correct n_gpus or the layout"))
        return self.wrong

    def _fault(self, says: str, fix: str) -> None:
        self.wrong.append(finding("M002", says, fix, self.at))
