from __future__ import annotations

import time
import zipfile

import numpy as np
import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.world.build import build
from gpufleet.world.save import load_world, save_world, world_bytes

TEXT = """
systems: {box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}}
sites: {lab: {}}
deliveries: [{name: x, to: lab, system: box, gpus: 20, at: 2026-01-01}]
tenants: {á: {}, b: {}}
workloads: {w: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02}}
"""


@pytest.fixture
def parts(plan_of):
    built = build(plan_of(TEXT))
    return built.world, built.demand.arrivals, built.names


def test_a_world_comes_back_as_it_was(parts, tmp_path):
    world, arrivals, names = parts
    save_world(tmp_path / "world.npz", *parts)
    again = load_world(tmp_path / "world.npz")
    assert again[2] == names
    np.testing.assert_array_equal(arrivals.workload, again[1].workload)
    assert world.shared is again[0].shared is None  # else: test_shared.py
    assert world.own is again[0].own is None  # else: tests/stories/test_own_policy.py
    for before, after in ((arrivals.jobs, again[1].jobs), *zip(world[:-2], again[0][:-2], strict=True)):
        assert type(before) is type(after)
        for x, y in zip(before, after, strict=True):
            np.testing.assert_array_equal(x, y)
            assert type(x) is type(y)
            assert getattr(x, "dtype", None) == getattr(y, "dtype", None)


def test_the_bytes_do_not_depend_on_the_time(parts, monkeypatch):
    first = world_bytes(*parts)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert world_bytes(*parts) == first


def test_numpy_reads_the_arrays(parts, tmp_path):
    save_world(tmp_path / "world.npz", *parts)
    with np.load(tmp_path / "world.npz", allow_pickle=False) as arrays:
        assert arrays["nodes.size"].tolist() == [8, 8, 4]


@pytest.mark.parametrize("damage", ["missing", "rubbish", "cut", "other", "field"])
def test_what_is_no_world_is_refused(parts, tmp_path, damage):
    path = tmp_path / "world.npz"
    whole = world_bytes(*parts)
    if damage == "rubbish":
        path.write_bytes(b"rubbish" * 100)
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other":
        np.savez(path, x=np.zeros(3))
    elif damage == "field":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("about.json", '{"format": "gpufleet.world/1", "names": {}}')
    with pytest.raises(GpufleetError) as caught:
        load_world(path)
    assert caught.value.findings[0].code == "R060"
