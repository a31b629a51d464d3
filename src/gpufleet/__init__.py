"""gpufleet: plan, simulate and explain fleets of GPUs.

The names below are imported when first used, so that a command does not wait for what it does not need.

>>> import gpufleet
>>> gpufleet.load_plan.__module__
'gpufleet.plan.load'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gpufleet.admit import admit_cycle, choose_victims
    from gpufleet.base.errors import GpufleetError
    from gpufleet.exchange.answers import answer_case
    from gpufleet.exchange.cases import load_cases
    from gpufleet.plan.load import load_plan
    from gpufleet.results.run import Run
    from gpufleet.study import simulate

__version__ = "0.1.0"
__all__ = [
    "GpufleetError",
    "Run",
    "__version__",
    "admit_cycle",
    "answer_case",
    "choose_victims",
    "load_cases",
    "load_plan",
    "simulate",
]

_HOMES: Final = {
    "GpufleetError": "gpufleet.base.errors",
    "Run": "gpufleet.results.run",
    "admit_cycle": "gpufleet.admit",
    "answer_case": "gpufleet.exchange.answers",
    "choose_victims": "gpufleet.admit",
    "load_cases": "gpufleet.exchange.cases",
    "load_plan": "gpufleet.plan.load",
    "simulate": "gpufleet.study",
}


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
