"""One-dimensional arrays inside kernels, without what kernels do not need.

Numba's own arrays can be strided, counted, and indexed from the end; each access brings the machine code for
that. A ``Rows`` is an address and a length: indexing a row of records gives a pointer to it, indexing a row
of numbers loads the number."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from gpufleet.engine.jit import JITTED


class RowsType(types.Type):  # type: ignore[misc]
    """Rows of one record or number type."""

    def __init__(self, dtype: Any, itemsize: int) -> None:
        self.dtype, self.itemsize = dtype, itemsize
        super().__init__(name=f"Rows({dtype})")


@register_model(RowsType)
class _RowsModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("data", types.voidptr), ("length", types.intp)])


@infer_global(operator.getitem)
class _GetRow(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, _kws: Any) -> Any:
        rows, index = args
        if isinstance(rows, RowsType) and isinstance(index, types.Integer):
            return signature(rows.dtype, rows, types.intp)
        return None


@infer_global(operator.setitem)
class _SetRow(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, _kws: Any) -> Any:
        rows, index, _value = args
        if isinstance(rows, RowsType) and isinstance(index, types.Integer):
            return signature(types.none, rows, types.intp, rows.dtype)
        return None


@infer_global(len)
class _LenRows(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, _kws: Any) -> Any:
        return signature(types.intp, *args) if isinstance(args[0], RowsType) else None


def _place(context: Any, builder: Any, kind: Any, rows: Any, index: Any) -> Any:
    """Pointer to a row."""
    data = cgutils.create_struct_proxy(kind)(context, builder, rows).data
    at = builder.mul(index, ir.Constant(index.type, kind.itemsize), flags=["nsw"])
    return builder.gep(data, [at], inbounds=True)


@lower_builtin(operator.getitem, RowsType, types.intp)  # type: ignore[untyped-decorator]
def _get_row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    place = _place(context, builder, kind, *args)
    value_type = context.get_value_type(kind.dtype)
    if isinstance(kind.dtype, types.Record):
        return builder.bitcast(place, value_type)
    return builder.load(builder.bitcast(place, value_type.as_pointer()))


@lower_builtin(operator.setitem, RowsType, types.intp, types.Any)  # type: ignore[untyped-decorator]
def _set_row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    rows, index, value = args
    place = _place(context, builder, kind, rows, index)
    builder.store(value, builder.bitcast(place, value.type.as_pointer()))
    return context.get_dummy_value()


@lower_builtin(len, RowsType)  # type: ignore[untyped-decorator]
def _len_rows(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0]).length


def load_rows(context: Any, builder: Any, kind: Any, structure: Any) -> Any:
    """Rows from the address of Numba's array structure, whose fields never change while a kernel runs."""
    rows = cgutils.create_struct_proxy(kind)(context, builder)
    for name, at in (("data", 32), ("length", 16)):
        place = builder.gep(structure, [ir.Constant(ir.IntType(64), at)], inbounds=True)
        member = getattr(rows, name)
        value = builder.load(builder.bitcast(place, member.type.as_pointer()))
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        setattr(rows, name, value)
    return rows._getvalue()


def _lower_prefetch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Ask for the first three cache lines of a row."""
    place = _place(context, builder, sig.args[0], *args)
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    ask = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0i8"
    )
    for at in range(0, sig.args[0].itemsize, 64):
        line = builder.gep(place, [ir.Constant(ir.IntType(64), at)], inbounds=True)
        builder.call(ask, [line, *(ir.Constant(number, n) for n in (1, 3, 1))])
    return context.get_dummy_value()


if JITTED:

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(typingctx: Any, rows: Any, index: Any) -> Any:
        """Have a row that is needed soon brought near to the processor; changes nothing."""
        return types.none(rows, types.intp), _lower_prefetch

else:

    def prefetch(rows: Any, index: int) -> None:
        """Have a row that is needed soon brought near to the processor; changes nothing."""
