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
    from gpufleet.base.errors import GpufleetError
    from gpufleet.plan.load import load_plan
    from gpufleet.results.run import Run
    from gpufleet.study import simulate

__version__ = "0.1.0"
__all__ = ["GpufleetError", "Run", "__version__", "load_plan", "simulate"]

_HOMES: Final = {
    "GpufleetError": "gpufleet.base.errors",
    "Run": "gpufleet.results.run",
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
