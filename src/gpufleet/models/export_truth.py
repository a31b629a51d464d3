"""Three values (True, False, None for what is not known), and comparisons of numbers that turn somewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from gpufleet.models.export_inputs import Inputs

Truth: TypeAlias = bool | None
"""True, False, or None for what is not known."""


def all_true(values: Sequence[Truth]) -> Truth:
    """Whether all are true.

    >>> all_true([True, None]), all_true([None, False]), all_true([])
    (None, False, True)
    """
    if False in values:
        return False
    return None if None in values else True


def any_true(values: Sequence[Truth]) -> Truth:
    """Whether one is true.

    >>> any_true([True, None]), any_true([None, False]), any_true([])
    (True, None, False)
    """
    if True in values:
        return True
    return None if None in values else False


def not_true(value: Truth) -> Truth:
    """The opposite; of unknown it is unknown."""
    return None if value is None else not value


class Threshold(NamedTuple):
    """A comparison of numbers: the sum of some inputs against a number.

    >>> both = Threshold(("mem_bw_gbps", "io_gbps"), ">=", 1700.0)
    >>> both.limit_of("io_gbps", {"mem_bw_gbps": 1000.0, "io_gbps": 64.0})
    700.0
    """

    names: tuple[str, ...]
    sign: str  # as if the inputs stood left of it
    limit: float

    def value(self, inputs: Inputs) -> float | None:
        """The sum of the inputs; None if one is not known."""
        return total(self.names, inputs)

    def limit_of(self, name: str, inputs: Inputs) -> float | None:
        """At which value of one of the inputs the comparison turns, the others as they are."""
        others = total([each for each in self.names if each != name], inputs)
        return None if others is None or name not in self.names else self.limit - others


def unknown(names: Sequence[str], inputs: Inputs) -> frozenset[str]:
    """Those of some inputs that are not known."""
    return frozenset(name for name in names if inputs[name] is None)


def total(names: Sequence[str], inputs: Inputs) -> float | None:
    """The sum of some inputs; None if one is not known.

    >>> total(["tpp", "pd"], {"tpp": 2.0, "pd": 0.5}), total(["pd"], {"pd": None})
    (2.5, None)
    """
    found = 0.0
    for name in names:
        value = inputs[name]
        if not isinstance(value, float):
            return None
        found += value
    return found
