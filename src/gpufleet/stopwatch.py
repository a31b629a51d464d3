"""Times matrix products, copies and collectives of this machine's GPUs with PyTorch, if it is there."""

from __future__ import annotations

import importlib.util
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gpufleet.base.arrays import Floats
from gpufleet.base.say import say
from gpufleet.calibrator import Measured, refuse
from gpufleet.models.collectives import OPERATIONS

GEMM_ROWS: Final = (256, 1024, 2048, 4096, 8192, 16384)
GEMM_WIDTHS: Final = ((1024, 4096), (4096, 1024), (4096, 4096), (8192, 8192), (14336, 4096), (8192, 28672))
"""Rows, and widths n and k: those of layers of models, whole and cut by tensor parallelism."""
MESSAGE_BYTES: Final = tuple(2**power for power in range(18, 31, 2))
COPY_BYTES: Final = 2**30
LEAST_S: Final = 0.05
"""A time is the mean over so long, or over 10 runs if these take longer."""


def measure(device: str = "cuda", tell: Callable[[str], None] = lambda _: None) -> Measured:
    """Measure this machine: all number types of the first GPU, collectives over 2, 4, ... of its GPUs.

    Args:   device: cuda, as PyTorch calls it (ROCm too); cpu is for tests. tell: is told what is being done.
    Raises: GpufleetError U055 without PyTorch, or where it sees no GPU.
    """
    if importlib.util.find_spec("torch") is None:
        refuse("U055", say("PyTorch is not installed here"))
    import torch  # type: ignore[import-not-found, unused-ignore]

    if device == "cuda" and not torch.cuda.is_available():
        refuse("U055", say("PyTorch {version} sees no GPU", version=torch.__version__))
    on = _Device(torch, device)
    gemm = {}
    for dtype in on.dtypes():
        tell(say("matrix products in {dtype}", dtype=dtype.upper()))
        gemm[dtype] = on.products(dtype)
    tell(say("copies"))
    copy = on.copy_bw()
    return Measured(
        on.name, f"gpufleet calibrate, PyTorch {torch.__version__}", gemm, _collectives(on, tell), copy
    )


class _Device:
    """One GPU."""

    def __init__(self, torch: Any, kind: str) -> None:
        self.torch, self.kind = torch, kind
        self.name = torch.cuda.get_device_name(0) if kind == "cuda" else "CPU"
        self.count = torch.cuda.device_count() if kind == "cuda" else 2

    def dtypes(self) -> list[str]:
        """Number types that are measured: BF16, and FP8 where the GPU has it."""
        fp8 = self.kind == "cuda" and self.torch.cuda.get_device_capability(0) >= (8, 9)
        return ["bf16", "fp8"] if fp8 else ["bf16"]

    def products(self, dtype: str) -> Floats:
        """Rows of m, n, k, seconds; sizes that do not fit in memory are left out."""
        rows, widths = (
            (GEMM_ROWS, GEMM_WIDTHS) if self.kind == "cuda" else ((64, 128, 256), ((128, 256),) * 3)
        )
        times = []
        for m, (n, k) in itertools.product(rows, widths):
            try:
                times.append((m, n, k, self._product_s(m, n, k, dtype)))
            except self.torch.cuda.OutOfMemoryError:
                continue
        return np.array(times, dtype=np.float64)

    def _product_s(self, m: int, n: int, k: int, dtype: str) -> float:
        torch = self.torch
        a = torch.randn(m, k, device=self.kind, dtype=torch.bfloat16)
        b = torch.randn(n, k, device=self.kind, dtype=torch.bfloat16)
        if dtype == "bf16":
            return self.timed(lambda: a @ b.t())
        largest = torch.finfo(torch.float8_e4m3fn).max
        weights = b.to(torch.float8_e4m3fn)
        one = torch.ones((), device=self.kind, dtype=torch.float32)

        def run() -> Any:
            """The cast belongs to it: a step casts every input."""
            scale = (a.abs().amax().float() / largest).clamp(min=1e-12)
            small = (a / scale).to(torch.float8_e4m3fn)
            return torch._scaled_mm(small, weights.t(), scale_a=scale, scale_b=one, out_dtype=torch.bfloat16)

        return self.timed(run)

    def copy_bw(self) -> float:
        """Bytes per second that a large copy reads and writes."""
        torch = self.torch
        size = COPY_BYTES if self.kind == "cuda" else 2**22
        a = torch.empty(size, device=self.kind, dtype=torch.uint8)
        b = torch.empty_like(a)
        return 2 * size / self.timed(lambda: b.copy_(a))

    def timed(self, run: Callable[[], Any]) -> float:
        """Seconds of a run, once warm."""
        for _ in range(3):
            run()
        self.wait()
        once = self.passed(run, 1)
        return self.passed(run, max(10, min(int(LEAST_S / max(once, 1e-7)), 10_000)))

    def passed(self, run: Callable[[], Any], times: int) -> float:
        """Seconds of a run, the mean of several."""
        begin = time.perf_counter()
        for _ in range(times):
            run()
        self.wait()
        return (time.perf_counter() - begin) / times

    def wait(self) -> None:
        """Until the GPU has done all that it was given."""
        if self.kind == "cuda":
            self.torch.cuda.synchronize()


def _collectives(on: _Device, tell: Callable[[str], None]) -> dict[str, Floats]:
    """Rows of GPUs, bytes, seconds by operation; nothing with a single GPU."""
    groups = [2**power for power in range(1, 7) if 2**power <= on.count]
    if not groups:
        return {}
    torch = on.torch
    found: dict[str, list[Floats]] = {}
    for gpus in groups:
        tell(say("collectives of {n} GPUs", n=gpus))
        with tempfile.TemporaryDirectory(prefix="gpufleet-") as folder:
            torch.multiprocessing.spawn(_member, (gpus, on.kind, folder), nprocs=gpus, join=True)
            for operation in OPERATIONS:
                found.setdefault(operation, []).append(np.load(Path(folder) / f"{operation}.npy"))
    return {operation: np.concatenate(parts) for operation, parts in found.items()}


def _member(rank: int, gpus: int, kind: str, folder: str) -> None:
    """One process of a group; the first writes what it measured."""
    import torch
    import torch.distributed as group  # type: ignore[import-not-found, unused-ignore]

    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    if kind == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if kind == "cuda" else "gloo"
    store = f"file://{folder}/store"
    group.init_process_group(backend, init_method=store, rank=rank, world_size=gpus)
    on = _Device(torch, kind)
    sizes = MESSAGE_BYTES if kind == "cuda" else tuple(2**power for power in range(10, 18))
    for operation in OPERATIONS:
        rows = [(gpus, size, _collective_s(on, torch, group, operation, size, gpus)) for size in sizes]
        if rank == 0:
            np.save(Path(folder) / f"{operation}.npy", np.array(rows, dtype=np.float64))
    group.destroy_process_group()


def _collective_s(on: _Device, torch: Any, group: Any, operation: str, size: int, gpus: int) -> float:
    """Seconds of a collective; size as in `collectives.moved`. All members run it as often."""
    whole = torch.zeros(size // 2, device=on.kind, dtype=torch.bfloat16)
    part = torch.zeros(size // 2 // gpus, device=on.kind, dtype=torch.bfloat16)
    runs: dict[str, Callable[[], Any]] = {
        "all_gather": lambda: group.all_gather_into_tensor(whole, part),
        "reduce_scatter": lambda: group.reduce_scatter_tensor(part, whole),
        "all_reduce": lambda: group.all_reduce(whole),
        "all_to_all": lambda: group.all_to_all_single(torch.empty_like(whole), whole),
    }
    run = runs[operation]
    for _ in range(5):
        run()
    on.wait()
    group.barrier()
    return on.passed(run, 20)
