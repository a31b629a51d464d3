"""Functions of the user as machine code: compiled once, kept in the cache folder, called by their address.

A kernel gets the address as a number of its rules. So it is compiled without knowing the function, once, and
is found in the cache whatever the function is. With ``NUMBA_DISABLE_JIT=1`` the number is a row of a list of
Python functions.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numba
from numba import config, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from gpufleet.engine.jit import JITTED, cache_folder, compiling, tell_of_miss

N_FIELDS: Final = 8
"""Numbers that a function is told."""

PLAIN_FILE: Final = "<own policy>"
"""What tracebacks call a program as Python runs it."""

Decide = Callable[..., float]


class OwnCompileError(Exception):
    """A function cannot be compiled. Its text is what the compiler says."""

    def __init__(self, says: str, line: int) -> None:
        super().__init__(says)
        self.line = line  # of the program, 0 = not known


class Compiled(NamedTuple):
    """A function of the user, ready to be called."""

    address: int
    decide: Decide  # calls what kernels call
    plain: ModuleType  # the program as Python runs it
    kept: Any  # keeps the machine code alive


_compiled: dict[str, Compiled] = {}
_plain: list[Decide] = []


def compiled(program: str) -> Compiled:
    """Compile a checked program (`world.layout.OwnCode`), or take it from the cache.

    Raises: OwnCompileError.
    """
    if program not in _compiled:
        plain = _module("own_plain", program, lambda function: function)
        _plain.append(plain.decide)
        if JITTED:
            made = _machine_code(program)
            _compiled[program] = Compiled(made.address, made.ctypes, plain, made)
        else:
            _compiled[program] = Compiled(len(_plain) - 1, plain.decide, plain, None)
    return _compiled[program]


def _machine_code(program: str) -> Any:
    digest = hashlib.sha256(program.encode()).hexdigest()[:24]
    path = _kept_source(program, digest)
    if not any(cache_folder().rglob(f"{path.stem}.*.nbi")):
        tell_of_miss(path.stem)
    # Numba's cache keeps the name of the module, and looks for it there.
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
    try:
        with compiling():
            module = _module(f"gpufleet_own_{digest}", program, numba.njit(nogil=True), str(path))
            signature = types.float64(*[types.float64] * N_FIELDS)
            return numba.cfunc(signature, nopython=True, cache=True)(module.decide)
    except NumbaError as error:
        where = getattr(error, "loc", None)
        raise OwnCompileError(str(error), getattr(where, "line", 0) or 0) from error
    finally:
        config.CACHE_DIR = before


def _kept_source(program: str, digest: str) -> Path:
    """The program as a file, whose name is its content: Numba keeps machine code beside a source."""
    folder = cache_folder() / "own"
    folder.mkdir(exist_ok=True)
    path = folder / f"own_{digest}.py"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as part:
            part.write(program)
        os.replace(part.name, path)
    return path


def _module(name: str, program: str, decorator: Any, file: str = PLAIN_FILE) -> ModuleType:
    module = ModuleType(name)
    module.__dict__["compiled"] = decorator
    sys.modules[name] = module
    exec(compile(program, file, "exec"), module.__dict__)
    return module


if JITTED:

    @intrinsic  # type: ignore[untyped-decorator]
    def call_own(
        typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
    ) -> Any:
        """What the function at an address says of eight numbers."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            from llvmlite import ir

            number = ir.DoubleType()
            kind = ir.FunctionType(number, [number] * N_FIELDS).as_pointer()
            return builder.call(builder.inttoptr(args[0], kind), args[1:])

        return types.float64(types.int64, *[types.float64] * N_FIELDS), codegen

else:

    def call_own(address: int, *numbers: float) -> float:
        """What the function at an address says of eight numbers."""
        return _plain[address](*map(float, numbers))
