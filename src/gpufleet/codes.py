"""All codes that a finding can have, for ``gpufleet explain`` and the reference page."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Final

import gpufleet
from gpufleet.base.errors import Explanation, explanations

_WITHOUT_CODES: Final = ("base", "engine", "report")


def all_codes() -> Mapping[str, Explanation]:
    """Every code with its explanation, sorted. Imports every module that defines codes.

    >>> all_codes()["P006"].title
    'unknown key'
    """
    for module in pkgutil.walk_packages(gpufleet.__path__, "gpufleet."):
        if module.name.split(".")[1] not in _WITHOUT_CODES:
            importlib.import_module(module.name)
    return dict(sorted(explanations.items()))
