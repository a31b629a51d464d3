from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpufleet import Run, load_plan, simulate

PROCESSORS = """\
gpufleet: 1
name: sdsc-sp2
start: 1998-04-01
end: 2000-04-01
after_end: finish
files: {{trace: {trace}}}
sites: {{sdsc: {{}}}}
systems: {{thin-node: {{product: SP2-processor, gpus_per_node: 1, nodes_per_domain: 128}}}}
deliveries: [{{name: sp2, to: sdsc, system: thin-node, nodes: 128, at: 1998-04-01, status: online}}]
tenants: {{all: {{}}}}
workloads: {{log: {{kind: trace, file: trace, queue: all}}}}
policy: {{order: fifo, over_limit: run-on, backfill: {backfill}, placement: best-fit}}
"""


@pytest.fixture
def data(shared: Path) -> Callable[..., Path]:
    """A folder of third-party data, or the test is skipped."""

    def folder(*parts: str) -> Path:
        path = shared.joinpath("data", *parts)
        if not path.is_dir():
            pytest.skip(f"needs third-party data: {path} is not there")
        return path

    return folder


@pytest.fixture
def run_sp2(tmp_path: Path) -> Callable[[Path, str], Run]:
    """Simulate a log of the 128-processor SP2 of the San Diego Supercomputer Center as 128 GPUs."""

    def run(trace: Path, backfill: str) -> Run:
        path = tmp_path / "sp2.yaml"
        path.write_text(PROCESSORS.format(trace=trace, backfill=backfill))
        return simulate(load_plan(path))

    return run
