"""How a state travels between kernels: by one pointer.

A NamedTuple of sixty arrays is passed to a compiled function as four hundred numbers, in every call; that made kernels
slow to compile and slow to call. So a compiled kernel gets a reference to a structure with the same fields
(Numba's ``structref``), and with ``NUMBA_DISABLE_JIT=1`` it gets the NamedTuple itself: the kernels' source is the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.experimental import structref

from gpufleet.base.arrays import Floats, Ints
from gpufleet.engine.jit import JITTED, kernel
from gpufleet.engine.state import State
from gpufleet.world.layout import World


class Rules(NamedTuple):
    """What does not change while the clock runs: the world but its nodes, flat."""

    class_queue: Ints
    class_option: Ints  # first option
    class_options: Ints  # number of options
    option_cell: Ints
    option_speed: Floats
    quota: Ints
    queue_island: Ints
    change_t_s: Ints
    change_kind: Ints
    change_first_node: Ints
    change_n_nodes: Ints
    overhead_gpus: Ints
    overhead_s: Ints
    order: int
    strict: int
    backfill: int
    placement: int
    interval_s: int
    depth: int
    window_s: int
    resolution_s: int
    estimate: int
    factor: float
    over_limit: int
    finish_lag_s: int
    select: int
    end_s: int
    finish: int
    grid_s: int


def rules_of(world: World) -> Rules:
    """The rules of a world, with the array types that the kernels are compiled for."""
    ints = [
        *(world.classes.queue, world.classes.first_option, world.classes.n_options),
        *(world.options.cell, world.queues.quota, world.queues.island),
        *(world.capacity.t_s, world.capacity.kind, world.capacity.first_node, world.capacity.n_nodes),
        *(world.policy.overhead_gpus, world.policy.overhead_s),
    ]
    arrays: list[Any] = [own(array, np.int64) for array in ints]
    arrays.insert(4, own(world.options.speed, np.float64))
    numbers = dict(zip(world.policy._fields[:13], world.policy[:13], strict=True)) | world.clock._asdict()
    names = Rules._fields[len(arrays) :]
    return Rules(*arrays, *(float(numbers[n]) if n == "factor" else int(numbers[n]) for n in names))


def own(array: Any, dtype: Any) -> Any:
    """A contiguous, writable array of this type: every other kind would be compiled for once more."""
    return np.require(array, dtype, ["C", "W", "A"])


if JITTED:

    class _RefType(types.StructRef):  # type: ignore[misc]
        def preprocess_fields(self, fields: Any) -> Any:
            return tuple((name, types.unliteral(typ)) for name, typ in fields)

    @structref.register  # type: ignore[untyped-decorator]
    class StateRefType(_RefType):
        """Type of a state inside kernels."""

    @structref.register  # type: ignore[untyped-decorator]
    class RulesRefType(_RefType):
        """Type of the rules inside kernels."""

    class StateRef(structref.StructRefProxy):  # type: ignore[misc]
        """A state as kernels see it."""

    class RulesRef(structref.StructRefProxy):  # type: ignore[misc]
        """Rules as kernels see them."""

    structref.define_proxy(StateRef, StateRefType, list(State._fields))
    structref.define_proxy(RulesRef, RulesRefType, list(Rules._fields))

    @kernel
    def _state_ref(fields: Any) -> Any:
        return StateRef(*fields)

    @kernel
    def _rules_ref(fields: Any) -> Any:
        return RulesRef(*fields)


def state_ref(state: State) -> Any:
    """The state as kernels take it. It shares the arrays."""
    return _state_ref(tuple(state)) if JITTED else state


def rules_ref(rules: Rules) -> Any:
    """The rules as kernels take them."""
    return _rules_ref(tuple(rules)) if JITTED else rules
