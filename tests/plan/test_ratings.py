"""Power that is not known is an error where it must be counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpufleet.base.errors import Finding, GpufleetError
from gpufleet.plan import Plan

Load = Callable[..., Plan]


def errors(load: Load, text: str) -> list[Finding]:
    with pytest.raises(GpufleetError) as error:
        load(text)
    return [found for found in error.value.findings if found.severity == "error"]


def test_a_system_of_the_catalogue_without_a_rating(load: Load, small: str) -> None:
    (found,) = errors(load, small.replace("DGX B200", "HGX B200"))
    assert (found.code, str(found.at)) == ("P060", "plan.yaml:8")
    assert "HGX-B200" in found.says
    assert "lab" in found.says
    assert "node_power" in found.fix
    assert "DGX-B200" in found.fix


def test_an_own_system_without_a_rating(load: Load, small: str) -> None:
    own = small.replace("DGX B200", "dark") + "systems: {dark: {product: my-gpu, gpus_per_node: 8}}\n"
    (found,) = errors(load, own.replace("{B200: 32}", "{my-gpu: 32}"))
    assert found.fix == "add `node_power` to systems.dark"


def test_without_a_limit_of_power_nothing_is_asked(load: Load, small: str) -> None:
    text = small.replace("DGX B200", "HGX B200").replace("{power: 200 kW, pue: 1.3}", "{}")
    assert load(text).warnings == ()
