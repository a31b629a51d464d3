"""How a state travels between kernels: by one pointer.

A NamedTuple of sixty arrays is passed to a compiled function as four hundred numbers, in every call, and
every array taken out of it is counted as one more reference: that made kernels slow to compile and slow to
run. So a compiled kernel gets a ``Ref``: the address of a block of memory in which the fields lie as Numba's
own array structures, read without counting. With ``NUMBA_DISABLE_JIT=1`` it gets the NamedTuple itself: the
kernels' source is the same. The ``Ref`` keeps the arrays alive; its fields never change while a kernel runs,
and the compiler is told so."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np import numpy_support

from gpufleet.base.arrays import Floats, Ints
from gpufleet.engine.jit import JITTED
from gpufleet.engine.masks import masks_of
from gpufleet.engine.own_code import compiled
from gpufleet.engine.rows import RowsType, load_rows
from gpufleet.world.layout import (
    BEST_FIT,
    BEYOND_DEPTH,
    CONSOLIDATE,
    KILL,
    N_REFUSALS,
    NO_BACKFILL,
    NO_WISH,
    OWN,
    UNKNOWN_S,
    ClassRules,
    Failures,
    Power,
    World,
)


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
    class_checkpoint_s: Ints
    class_restart_s: Ints
    class_preemptible: Ints
    class_wish: Ints
    class_level: Ints
    class_slice: Ints  # GPUs of a slice, 0 = no slices
    class_slice_level: Ints
    quota_t_s: Ints  # when quotas change
    fault_t_s: Ints  # when nodes fail and are repaired
    fault_node: Ints
    fault_of: Ints  # number of the failure from 1 on; a repair has it with a minus
    node_group: Ints  # as in Masks, to the end of the arrays
    class_groups: Ints
    class_window: Ints
    class_masked: Ints
    option_masked: Ints
    option_future: Ints
    group_window: Ints
    window_from_s: Ints
    window_to_s: Ints
    open_t_s: Ints
    open_island: Ints
    class_account: Ints  # (n_classes, A)
    account_limit: Ints  # (n_accounts, n_products + 2): GPUs per product, of all products; jobs
    account_end_s: Ints
    class_gate: Ints
    class_source: Ints
    gate_first: Ints  # (n_gates + 1,) first condition
    gate_after: Ints  # per condition
    gate_any: Ints
    source_last_s: Ints
    gate_t_s: Ints  # when gates are looked at whatever happens, ascending
    power_site: Ints  # (n_cells,) site, with power
    power_idle_w: Ints  # (n_cells,)
    power_kind_w: Ints  # (n_kinds, n_cells)
    power_kind: Ints  # (n_classes,)
    cap_t_s: Ints
    cap_site: Ints
    cap_w: Ints
    power_most_w: Ints  # (n_sites,)
    class_kept: Ints  # (n_classes,)
    site_low: Ints  # (n_sites,)
    level_w: Ints  # (n_levels, n_kinds, n_cells), to the end of the arrays as in Power
    level_speed: Ints
    power_least_w: Ints  # (n_kinds, n_cells) at the lowest level of the cell's site
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
    chained: int  # 1 = nodes know the jobs on them; only forecasts and kills ask
    by_domain: int  # 1 = domains and blocks are counted by idle nodes
    shares: int  # 1 = admission by cycles
    evict_falling: int
    return_s: int
    return_last: int
    own_order: int  # address of the user's function
    own_placement: int
    own_take: int
    own_by_domain: int
    preemptions_at_most: int  # 0 = no bound
    accounts: int  # how many
    gates: int
    power: int  # 1 = sites have meters
    slows: int  # 1 = some site's cap slows jobs
    stop_over_cap: int
    n_causes: int  # refusals beyond these do not occur: their columns stay 0


def rules_of(world: World) -> Rules:
    """The rules of a world, with the array types that the kernels are compiled for."""
    ints = [
        *(world.classes.queue, world.classes.first_option, world.classes.n_options),
        *(world.options.cell, world.queues.quota, world.queues.island),
        *(world.capacity.t_s, world.capacity.kind, world.capacity.first_node, world.capacity.n_nodes),
        *(world.policy.overhead_gpus, world.policy.overhead_s),
    ]
    arrays: list[Any] = [own(array, np.int64) for array in ints]
    if len(world.policy.overhead_s) == 0:  # no band: no overhead
        arrays[-2:] = [np.zeros(1, np.int64), np.zeros(1, np.int64)]
    arrays.insert(4, own(world.options.speed, np.float64))
    arrays += _restart_arrays(world) + _shared_arrays(world) + _faults(world.failures)
    arrays += [own(array, np.int64) for array in masks_of(world)[0]]
    arrays += _account_arrays(world) + _gate_arrays(world) + _power_arrays(world)
    numbers = dict(zip(world.policy._fields[:13], world.policy[:13], strict=True)) | world.clock._asdict()
    kills = world.failures is not None or bool((world.capacity.kind == KILL).any())
    numbers["chained"] = bool(world.policy.backfill != NO_BACKFILL or kills)
    numbers["by_domain"] = counts_domains(world)
    numbers |= _shared_numbers(world) | _own_numbers(world)
    numbers |= {"accounts": len(world.accounts.jobs) if world.accounts else 0}
    numbers |= {"gates": int(world.gates.gate[-1]) + 1 if world.gates else 0}
    numbers |= {"power": int(world.power is not None)}
    numbers |= {"slows": int(world.power is not None and world.power.level_w.size > 0)}
    numbers |= {"stop_over_cap": world.power.over_cap if world.power else 0}
    plain = world.shared is None and world.accounts is None and world.power is None
    numbers |= {"n_causes": BEYOND_DEPTH + 1 if plain else N_REFUSALS}
    names = Rules._fields[len(arrays) :]
    return Rules(*arrays, *(float(numbers[n]) if n == "factor" else int(numbers[n]) for n in names))


def _restart_arrays(world: World) -> list[Any]:
    if world.restarts is None:
        n_classes = len(world.classes.queue)
        return [np.full(n_classes, UNKNOWN_S, np.int64), np.zeros(n_classes, np.int64)]
    return [own(column, np.int64) for column in world.restarts]


def _shared_arrays(world: World) -> list[Any]:
    shared = world.shared
    if shared is None:
        columns = [np.zeros(len(world.classes.queue), np.int64) for _ in ClassRules._fields]
        return [*columns, np.zeros(0, np.int64)]
    return [own(column, np.int64) for column in (*shared.classes, shared.change_t_s)]


def _faults(failures: Failures | None) -> list[Any]:
    """Failures and repairs as one list; at one second repairs come first, each by node."""
    if failures is None:
        return [np.zeros(0, np.int64) for _ in range(3)]
    number = np.arange(1, len(failures.t_s) + 1)
    t = np.r_[failures.t_s, failures.t_s + failures.repair_s]
    node, which = np.r_[failures.node, failures.node], np.r_[number, -number]
    order = np.lexsort((node, which > 0, t))
    return [own(column[order], np.int64) for column in (t, node, which)]


def _shared_numbers(world: World) -> dict[str, int]:
    shared = world.shared
    names = ("evict_falling", "return_s", "return_last", "preemptions_at_most")
    return {"shares": int(shared is not None)} | {name: getattr(shared, name, 0) for name in names}


def _own_numbers(world: World) -> dict[str, int]:
    """The functions of the user, compiled. Raises: OwnCompileError."""
    own = world.own
    codes = {"own_order": own and own.order, "own_placement": own and own.placement}
    addresses = {name: compiled(code.program).address if code else 0 for name, code in codes.items()}
    return addresses | {"own_take": own.take if own else 0, "own_by_domain": own.by_domain if own else 0}


def _account_arrays(world: World) -> list[Any]:
    if world.accounts is None:
        table: Any = np.zeros((0, 0), np.int64)
        return [table, table.copy(), np.zeros(0, np.int64)]
    of_class, limit, total, jobs, end_s = world.accounts
    return [own(array, np.int64) for array in (of_class, np.column_stack([limit, total, jobs]), end_s)]


def _gate_arrays(world: World) -> list[Any]:
    if world.gates is None:
        return [np.zeros(0, np.int64) for _ in range(7)]
    of_class, source, gate, after, any_end, last_s = world.gates
    first = np.searchsorted(gate, np.arange(gate[-1] + 2))
    times = np.unique(last_s)
    return [own(array, np.int64) for array in (of_class, source, first, after, any_end, last_s, times)]


def _power_arrays(world: World) -> list[Any]:
    if world.power is None:
        shapes = [(0,), (0,), (0, 0), *[(0,)] * 7, *[(0, 0, 0)] * 2, (0, 0)]
        return [np.zeros(shape, np.int64) for shape in shapes]
    power = world.power
    tables = (world.cells.site, *power[: power._fields.index("cell_speed")], least_w(world, power))
    return [own(array, np.int64) for array in tables]


def least_w(world: World, power: Power) -> Ints:
    """What a GPU of each kind and cell draws as slow as the cap of its site may make it, W."""
    if power.level_w.size == 0:
        return power.kind_w
    low = power.site_low[world.cells.site]
    return np.ascontiguousarray(power.level_w[low, :, np.arange(low.size)].T)


def counts_domains(world: World) -> bool:
    """Whether idle nodes are counted by domain and block: where the placement, or a job's wish, asks."""
    wishes = world.shared is not None and bool((world.shared.classes.wish != NO_WISH).any())
    if world.policy.placement == OWN and world.own is not None:
        return wishes or bool(world.own.by_domain)
    return wishes or world.policy.placement not in (CONSOLIDATE, BEST_FIT)


def own(array: Any, dtype: Any) -> Any:
    """A contiguous, writable array of this type: every other kind would be compiled for once more."""
    return np.require(array, dtype, ["C", "W", "A"])


class Ref:
    """The fields of a NamedTuple of arrays and numbers as compiled kernels see them."""

    def __init__(self, fields: Any) -> None:
        self.fields = fields
        words: list[int] = []
        for value in fields:
            words += _array_words(value) if isinstance(value, np.ndarray) else _number_words(value)
        self.block = np.array(words, np.int64)
        self.address = int(self.block.ctypes.data)
        layout = tuple((name, _type_of(value)) for name, value in zip(fields._fields, fields, strict=True))
        self.numba_type = RefType(type(fields).__name__, layout)


def _array_words(array: Any) -> list[int]:
    """Numba's array structure: no reference count, no parent, size, item size, data, shape, strides."""
    return [0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]


def _number_words(value: float | int) -> list[int]:
    kind = np.float64 if isinstance(value, float) else np.int64
    return [int(np.array(value, kind).view(np.int64))]


def _type_of(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return types.float64 if isinstance(value, float) else types.int64
    kind = numpy_support.from_dtype(value.dtype)
    return RowsType(kind, value.itemsize) if value.ndim == 1 else types.Array(kind, value.ndim, "C")


class RefType(types.Type):  # type: ignore[misc]
    """Type of a ``Ref`` inside kernels: a pointer to a structure of these fields."""

    def __init__(self, label: str, layout: tuple[tuple[str, Any], ...]) -> None:
        self.layout = layout
        # The name is part of the symbol of every kernel: written out, the layout would be most of the code.
        digest = hashlib.sha256(str(layout).encode()).hexdigest()[:12]
        super().__init__(name=f"{label}_{digest}")


@typeof_impl.register(Ref)  # type: ignore[untyped-decorator]
def _typeof_ref(ref: Ref, _context: Any) -> Any:
    return ref.numba_type


register_model(RefType)(models.OpaqueModel)


@unbox(RefType)  # type: ignore[untyped-decorator]
def _unbox_ref(_typ: Any, ref: Any, c: Any) -> Any:
    address = c.pyapi.object_getattr_string(ref, "address")
    pointer = c.pyapi.long_as_voidptr(address)
    c.pyapi.decref(address)
    return NativeValue(pointer)


@infer_getattr
class _RefAttribute(AttributeTemplate):  # type: ignore[misc]
    key = RefType

    def generic_resolve(self, typ: Any, name: str) -> Any:
        return dict(typ.layout).get(name)


@lower_getattr_generic(RefType)  # type: ignore[untyped-decorator]
def _load_field(context: Any, builder: Any, typ: Any, pointer: Any, name: str) -> Any:
    at = 0
    for member, kind in typ.layout:
        if member == name:
            break
        at += 8 * _words_of(kind)
    place = builder.gep(pointer, [ir.Constant(ir.IntType(64), at)], inbounds=True)
    if isinstance(kind, RowsType):
        return load_rows(context, builder, kind, place)
    value = builder.load(builder.bitcast(place, context.get_value_type(kind).as_pointer()))
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _words_of(kind: Any) -> int:
    if isinstance(kind, RowsType):
        return 7
    return 5 + 2 * kind.ndim if isinstance(kind, types.Array) else 1


def pack(fields: Any) -> Any:
    """A NamedTuple as kernels take it. It shares the arrays."""
    return Ref(fields) if JITTED else fields
