"""What was measured of products as small fitted curves, and the constants of the model of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import ClassVar

from gpufleet.catalog.rows import Row, read


@dataclass(frozen=True, kw_only=True, slots=True)
class GemmCurve(Row):
    """How long a matrix product takes on one product in one number type: the numbers of a closed form."""

    file: ClassVar[str] = "catalog/gemm_curves.csv"
    product: str
    dtype: str
    efficiency: float
    depth: float
    area: float
    launch_us: float
    memory_efficiency: float
    wave: float | None = None
    split_depth: float | None = None
    rows: int
    error_pct: float
    large_error_pct: float
    source: str
    trust: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectiveCurve(Row):
    """How long a collective takes inside one scale-up domain: five numbers of a closed form."""

    file: ClassVar[str] = "catalog/collective_curves.csv"
    product: str
    operation: str
    start_us: float
    hop_us: float
    efficiency: float
    copy: float
    ramp: float
    rows: int
    error_pct: float
    large_error_pct: float
    source: str
    trust: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant(Row):
    """A constant of the model of training: what is believed beforehand, what published runs make of it."""

    file: ClassVar[str] = "catalog/training_constants.csv"
    value: float
    prior: float
    prior_spread: float
    unit: str | None
    meaning: str
    source: str
    trust: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut(Row):
    """A constant as it is when a source is left out of the fit."""

    file: ClassVar[str] = "catalog/training_left_out.csv"
    source_id: str
    constant: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure(Row):
    """How often something stops a job, as published: GPU-hours between two events."""

    file: ClassVar[str] = "catalog/failures.csv"
    system: str
    event: str
    gpus: int | None
    days: float | None
    gpu_hours_between: float
    source: str
    url: str
    trust: str


@cache
def gemm_curves() -> Mapping[tuple[str, str], GemmCurve]:
    """Curves of matrix products by product and number type.

    >>> 0.7 < gemm_curves()["H100-SXM5-80GB", "bf16"].efficiency < 0.9
    True
    """
    return MappingProxyType({(row.product, row.dtype): row for row in read(GemmCurve)})


@cache
def collective_curves() -> Mapping[tuple[str, str], CollectiveCurve]:
    """Curves of collectives by product and operation.

    >>> 0.5 < collective_curves()["H100-SXM5-80GB", "all_gather"].efficiency < 2
    True
    """
    return MappingProxyType({(row.product, row.operation): row for row in read(CollectiveCurve)})


@cache
def training_constants() -> Mapping[str, Constant]:
    """Constants of the model of training by name.

    >>> 0.5 < training_constants()["gemm_sustained"].value < 1.1
    True
    """
    return MappingProxyType({row.id: row for row in read(Constant)})


@cache
def left_out() -> Mapping[str, Mapping[str, float]]:
    """Constants of the model of training fitted without a source, by source and name.

    >>> sorted(left_out())[:2]
    ['korthikanti-2022', 'llm-foundry-mpt']
    """
    sources: dict[str, dict[str, float]] = {}
    for row in read(LeftOut):
        sources.setdefault(row.source_id, {})[row.constant] = row.value
    return MappingProxyType(sources)


@cache
def failures() -> Mapping[str, Failure]:
    """Published rates of failures by row number.

    >>> failures()["1"].event, round(failures()["1"].gpu_hours_between)
    ('unexpected interruptions', 50676)
    """
    return MappingProxyType({row.id: row for row in read(Failure)})
