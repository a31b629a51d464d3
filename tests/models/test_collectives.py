"""Collectives: bytes by hand, and what distance costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.models.collectives import OPERATIONS, moved
from gpufleet.models.machine import machine

H100, NVL72 = machine("DGX-H100"), machine("GB200-NVL72")


def test_bytes_by_hand() -> None:
    # A ring over 4 GPUs passes 3 of 4 parts of 100 on; an all-reduce does so twice.
    assert [float(moved(each, 400.0, 4)) for each in OPERATIONS] == [300, 300, 600, 300]


def test_one_gpu_has_nothing_to_send() -> None:
    for operation in OPERATIONS:
        assert H100.collective(operation, 1e9, 1, 1) == 0


def test_a_large_gather_inside_a_domain_is_near_what_was_measured() -> None:
    # 537 MB over 8 H100: 1.40 ms (NCCL 2.27, the shipped curve's source).
    assert float(H100.collective("all_gather", 536.87e6, 8, 1)) == pytest.approx(1.40e-3, rel=0.1)


def test_across_domains_the_network_cards_of_a_domain_share_the_work() -> None:
    # 16 GPUs in two domains: half of 8 GB crosses, an eighth of it over each card.
    slow = machine("DGX-H100", fabric_gbps=50.0)
    far = float(slow.collective("all_gather", 8e9, 16, 1))
    rate = slow.fabric_bw * slow.constants.fabric_efficiency
    assert far == pytest.approx(4e9 / 8 / rate, rel=0.1)
    alone = float(slow.collective("all_gather", 8e9, 2, 8))
    assert alone == pytest.approx(4e9 / rate, rel=0.1)


def test_a_domain_of_72_keeps_a_group_of_64_off_the_network() -> None:
    inside = float(NVL72.collective("all_to_all", 1e9, 64, 1))
    outside = float(replace(NVL72, domain=8).collective("all_to_all", 1e9, 64, 1))
    assert outside > 5 * inside


@given(
    st.sampled_from(OPERATIONS),
    st.floats(1e3, 1e11),
    st.sampled_from([2, 8, 64, 1024]),
    st.sampled_from([1, 8]),
    st.floats(1, 10),
)
def test_more_bytes_never_take_less_and_faster_links_never_more(
    operation: str, size: float, n: int, stride: int, more: float
) -> None:
    took = float(H100.collective(operation, size, n, stride))
    assert float(H100.collective(operation, size * more, n, stride)) >= took
    faster = replace(H100, scaleup_bw=H100.scaleup_bw * more, fabric_bw=H100.fabric_bw * more)
    assert float(faster.collective(operation, size, n, stride)) <= took * (1 + 1e-12)


def test_many_at_once_are_as_one_by_one() -> None:
    sizes, members = np.array([1e6, 1e9]), np.array([8, 64])
    both = H100.collective("all_reduce", sizes, members, 1)
    one_by_one = [H100.collective("all_reduce", s, n, 1) for s, n in zip(sizes, members, strict=True)]
    np.testing.assert_allclose(both, np.array(one_by_one, dtype=np.float64))
