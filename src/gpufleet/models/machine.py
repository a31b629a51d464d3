"""A kind of GPU and how many of them hang together, as the numbers that the model of training needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from gpufleet.base.arrays import Floats, Ints
from gpufleet.base.errors import GpufleetError, explain_code, finding
from gpufleet.base.say import say
from gpufleet.catalog.curves import collective_curves, gemm_curves, left_out, training_constants
from gpufleet.catalog.load import gpus, resolve_product, resolve_system, systems
from gpufleet.catalog.rows import Gpu, SystemRow
from gpufleet.models.collectives import OPERATIONS, collective_s, moved
from gpufleet.models.gemm import BYTES, CAST, gemm_s
from gpufleet.models.layout import DTYPES

explain_code(
    "M005",
    "no network is known for a product",
    "Training on several nodes needs the rate of the network. It is that of a system; a product that no "
    "system of the catalogue holds has none.",
    "gpufleet catalog systems",
)

FABRIC_START_S: Final = 15e-6
FABRIC_HOP_S: Final = 5e-6
"""What a collective across domains takes to begin, and from one domain to the next: usual for NCCL."""
NEWER_HOST: Final = 1.4
"""How much faster one thread of the hosts of Hopper and later is than those of A100. Source: PassMark's
single-thread ratings, EPYC 9654 (2,893) and EPYC 7742 (about 2,060)."""
OTHER_MAKERS: Final = 0.65
"""Rate of matrix products over peak on GPUs of other makers than the measured, as a share of H100's. Source:
SemiAnalysis, MI300X vs H100 vs H200 (2024-12): 620 of 1,307 TFLOP/s, where H100 reaches 720 of 989."""
_LAST_RESORT: Final = "H100-SXM5-80GB"


class Constants(NamedTuple):
    """What is common to all machines and was fitted to published runs; units in
    catalog/training_constants.csv.

    >>> 0 < Constants.shipped().tp_exposed <= 1
    True
    """

    gemm_sustained: float
    hopper_power: float
    hopper_power_fp8: float
    blackwell_power: float
    attention_rate: float
    elementwise: float
    cast: float
    grouped: float
    kernel_us: float
    host_us: float
    tp_exposed: float
    cp_exposed: float
    ep_exposed: float
    pp_exposed: float
    dp_hidden: float
    contention: float
    fabric_efficiency: float
    step_ms: float

    @classmethod
    def shipped(cls) -> Constants:
        """Those of the catalogue."""
        table = training_constants()
        return cls(*(table[name].value for name in cls._fields))

    @classmethod
    def without(cls, source: str) -> Constants:
        """Those that were fitted without the runs of a source; where it was not fitted anyway, the shipped
        ones.

        >>> Constants.without("of my own") == Constants.shipped()
        True
        """
        fitted = left_out().get(source)
        return cls(**fitted) if fitted else cls.shipped()

    @classmethod
    def priors(cls) -> Constants:
        """What is believed before any run of training is looked at."""
        table = training_constants()
        return cls(*(table[name].prior for name in cls._fields))


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """GPUs of one product. Arrays by row of `DTYPES` or `OPERATIONS`; a rate of nan: not supported."""

    name: str
    product: str
    curve_of: str  # the product whose measured curves are used
    peak_flops: Floats  # FLOP/s, dense, per dtype
    gemm: Floats  # rows: efficiency, depth, area, memory efficiency, wave, split; columns: dtypes
    memory_bytes: float
    memory_bw: float  # bytes/s
    domain: int  # GPUs of a scale-up domain
    scaleup_bw: float  # bytes/s per GPU and direction
    fabric_bw: float  # bytes/s per GPU and direction
    collectives: Floats  # rows: start_s, hop_s, efficiency, copy, ramp; columns: operations
    generation: str  # architecture of the product
    gpu_power_w: float
    host_power_w: float  # of a node's rest, per GPU
    constants: Constants

    def supports(self, dtype: str) -> bool:
        """Whether the product computes in a number type.

        >>> [machine("H100").supports(each) for each in DTYPES]
        [True, True, True, False]
        """
        return bool(np.isfinite(self.peak_flops[DTYPES.index(dtype)]))

    @property
    def sustained(self) -> Floats:
        """Rate of matrix products in a step over that of the measured curve, per dtype."""
        c = self.constants
        limits = {
            "Hopper": (c.hopper_power, c.hopper_power_fp8, c.hopper_power_fp8, c.hopper_power_fp8),
            "Blackwell": (c.blackwell_power,) * len(DTYPES),
            "Blackwell Ultra": (c.blackwell_power,) * len(DTYPES),
        }
        return c.gemm_sustained * np.array(limits.get(self.generation, (1.0,) * len(DTYPES)))

    @property
    def host_s(self) -> float:
        """Seconds in which the host launches the forward pass of a dense layer."""
        newer = self.generation not in ("Volta", "Turing", "Ampere")
        return self.constants.host_us * 1e-6 / (NEWER_HOST if newer else 1.0)

    def linear_s(self, m: Any, n: Any, k: Any, dtype: Ints, *, cast: bool, copies: Any = 1.0) -> Floats:
        """Seconds for matrix products in a training step.

        Args: m, n, k: elements, shape (n_layouts,) or one for all; dtype: rows of DTYPES; cast: whether the m
              x k matrix is still BF16; copies: groups of a grouped product.
        """
        efficiency, depth, area, memory, wave, split = self.gemm[:, dtype]
        rate = self.peak_flops[dtype] * efficiency * self.sustained[dtype]
        return gemm_s(
            m,
            n,
            k,
            rate=rate,
            depth=depth,
            area=area,
            launch=0.0,
            bandwidth=self.memory_bw * memory,
            size=BYTES[dtype],
            cast=CAST[dtype] * (self.constants.cast if cast else 0.0),
            copies=copies,
            wave=wave,
            split=split,
        )

    def collective(self, operation: str, size: Any, n: Any, stride: Any, far_share: Any = 1.0) -> Floats:
        """Seconds for a collective of n GPUs, each `stride` GPUs from the next.

        Those inside a domain go over its links. Where a group reaches over several domains, what leaves a
        domain is shared by the network cards of its members there; both go on at the same time, the slower
        one counts.

        Args: size: bytes, as in `collectives.moved`; far_share: of what goes to other domains, what need be
              sent.

        >>> h100 = machine("DGX-H100")
        >>> inside, across = (float(h100.collective("all_gather", 1e9, 8, stride)) for stride in (1, 8))
        >>> inside < across / 5
        True
        """
        n = np.asarray(n, dtype=np.float64)
        inside = np.clip(self.domain // np.maximum(stride, 1), 1, n)
        outside = np.ceil(n / inside)
        start, hop, efficiency, copy, ramp = self.collectives[:, OPERATIONS.index(operation)]
        near = collective_s(
            moved(operation, size, n),
            inside,
            start=start,
            hop=hop,
            copied=copy * size,
            ramp=ramp,
            rate=self.scaleup_bw * efficiency,
        )
        leaves = far_share * moved(operation, size, outside) / (1.0 if operation == "all_to_all" else inside)
        # A ring passes through every GPU of each domain; an all-reduce can take a tree of domains.
        hops = 1.0 + 2.0 * np.ceil(np.log2(outside)) if operation == "all_reduce" else outside
        far = collective_s(
            leaves,
            hops,
            start=FABRIC_START_S,
            hop=FABRIC_HOP_S + (inside - 1) * hop,
            copied=0.0,
            ramp=1.0,
            rate=self.fabric_bw * self.constants.fabric_efficiency,
        )
        return np.maximum(near, far)

    def send_s(self, size: Any, stride: Any) -> Floats:
        """Seconds to send bytes to the GPU `stride` further, over the fabric if that is in another domain."""
        near = np.asarray(stride) < self.domain
        rate = np.where(near, self.scaleup_bw * 0.8, self.fabric_bw * self.constants.fabric_efficiency)
        return np.asarray(np.where(near, 5e-6, FABRIC_START_S) + size / rate)

    def with_constants(self, constants: Constants) -> Machine:
        """The same machine under other constants."""
        return replace(self, constants=constants)


def machine(name: str, *, fabric_gbps: float | None = None, constants: Constants | None = None) -> Machine:
    """The machine of a system or product of the catalogue.

    A product alone stands in the system that the catalogue lists first for it.

    Args:   fabric_gbps: of the network, per GPU, if it is not the system's; constants: else the shipped ones.
    Raises: GpufleetError C001, C002 for a name; C003 for a cell that is empty: memory, bandwidth, a network;
            M005 for a product without a system.

    >>> m = machine("GB200-NVL72")
    >>> m.product, m.domain, m.fabric_bw / 1e9
    ('GB200', 72, 50.0)
    >>> machine("A100-SXM4-40GB").curve_of
    'A100-SXM4-80GB'
    """
    product, system = _rows(name)
    link = product.scaleup_bw_gbs
    domain = (system.scaleup_domain_gpus if system else product.scaleup_domain) or 1
    nic = fabric_gbps or _network_gbps(product, system)
    measured, rate = _measured(product)
    node_w = (system.node_power_max_w or 0.0) / (system.gpus_per_node or 1) if system else 0.0
    gpu_w = product.tdp_w or node_w or np.nan
    return Machine(
        name=system.id if system else product.id,
        product=product.id,
        curve_of=measured,
        peak_flops=_peaks(product),
        gemm=_gemm(measured, rate),
        memory_bytes=product.need("memory_gb") * 1e9,
        memory_bw=product.need("memory_bw_gbs") * 1e9,
        domain=domain if link else 1,
        scaleup_bw=(link or product.pcie_gbs or 64.0) * 1e9 / 2,
        fabric_bw=nic * 1e9 / 8,
        collectives=_collectives(measured),
        generation=product.architecture,
        gpu_power_w=gpu_w,
        host_power_w=max(node_w - gpu_w, 0.0),
        constants=constants or Constants.shipped(),
    )


def _network_gbps(product: Gpu, system: SystemRow | None) -> float:
    """Gb/s of the network per GPU. Raises: GpufleetError C003 or M005 if the catalogue does not know it."""
    if system is not None:
        return system.need("nic_gbps_per_gpu")
    says = say("{product} stands in no system of the catalogue with a known network", product=product.id)
    fix = say("name a system, or give the network's rate per GPU")
    raise GpufleetError(finding("M005", says, fix))


def _rows(name: str) -> tuple[Gpu, SystemRow | None]:
    """A product and its system; from the name of either."""
    try:
        system = systems()[resolve_system(name).id]
    except GpufleetError:
        product = gpus()[resolve_product(name).id]
        first = (row for row in systems().values() if row.product == product.id and row.nic_gbps_per_gpu)
        return product, next(first, None)
    if system.product is None:
        system.need("gpus_per_node")
        raise ValueError(f"{system.id} has no product")
    return gpus()[system.product], system


def _measured(product: Gpu) -> tuple[str, float]:
    """Whose measured curves a product takes, and which share of their efficiency; the rules of transfer.

    Its own; else those of the measured product of the same generation with the nearest BF16 rate; else
    H100's, and of other makers a share of it.
    """
    known = {row_product for row_product, dtype in gemm_curves() if dtype == "bf16"}
    if product.id in known:
        return product.id, 1.0
    near = [gpus()[each] for each in known if gpus()[each].architecture == product.architecture]
    if not near and product.vendor == "NVIDIA":
        near = [
            gpus()[each] for each in known if (gpus()[each].launch_year or 0) <= (product.launch_year or 0)
        ]
        near = sorted(near, key=lambda row: (row.launch_year or 0, row.id))[-1:]
    if near:
        rate = product.bf16_tflops or product.fp16_tflops or 0.0
        return min(near, key=lambda row: (abs((row.bf16_tflops or 0.0) - rate), row.id)).id, 1.0
    return _LAST_RESORT, 1.0 if product.vendor == "NVIDIA" else OTHER_MAKERS


def _peaks(product: Gpu) -> Floats:
    bf16 = product.bf16_tflops or product.fp16_tflops
    rates = [bf16, product.fp8_tflops, product.fp8_tflops, product.fp4_tflops]
    return np.array([np.nan if each is None else each * 1e12 for each in rates])


def _gemm(measured: str, share: float) -> Floats:
    """Rows of `Machine.gemm`; a number type that was not measured takes the curve of the wider one."""
    columns: list[tuple[float, ...]] = []
    for dtype in DTYPES:
        row = gemm_curves().get((measured, dtype))
        if row is None:
            columns.append(columns[-1])
        else:
            waves = (row.wave or 0.0, row.split_depth or 0.0)
            columns.append((row.efficiency * share, row.depth, row.area, row.memory_efficiency, *waves))
    return np.array(columns).T


def _collectives(measured: str) -> Floats:
    columns = []
    for operation in OPERATIONS:
        curves = collective_curves()
        row = curves.get((measured, operation)) or curves[_LAST_RESORT, operation]
        columns.append((row.start_us * 1e-6, row.hop_us * 1e-6, row.efficiency, row.copy, row.ramp))
    return np.array(columns).T
