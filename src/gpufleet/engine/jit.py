"""How kernels are compiled, cached and announced.

Compiled kernels live in the user's cache folder, under a name made from the engine's sources: an upgrade
never runs old machine code (Numba itself looks only at the file that holds the function, not at those it
calls), and a read-only installation caches as well as any other.
"""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import config, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

JITTED = not config.DISABLE_JIT


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Folder of the compiled kernels of these very sources, made if need be.

    ``NUMBA_CACHE_DIR`` or else ``XDG_CACHE_HOME`` is respected; where neither can be written, the
    system's temporary folder serves.
    """
    engine = Path(__file__).resolve().parent
    digest = hashlib.sha256(numba.__version__.encode())
    for source in [*sorted(engine.rglob("*.py")), engine.parent / "world" / "layout.py"]:
        digest.update(source.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    user = getattr(os, "getuid", lambda: 0)()
    for base in (
        os.environ.get("NUMBA_CACHE_DIR"),
        home / "gpufleet",
        f"{tempfile.gettempdir()}/gpufleet-{user}",
    ):
        if base and _writable(Path(base) / name):
            return Path(base) / name
    return Path(tempfile.mkdtemp(prefix="gpufleet-"))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def is_compiled() -> bool:
    """Whether kernels of these sources were compiled before by this user (a later call may still compile
    more)."""
    return not JITTED or any(cache_folder().rglob("*.nbi"))


_listeners: list[Callable[[str], None]] = []


def on_compile(listener: Callable[[str], None]) -> None:
    """Have ``listener(kernel_name)`` called when a kernel is not in the cache and is to be compiled."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell_of_miss(name: str) -> None:
    """Say that something is to be compiled."""
    for listener in _listeners:
        listener(name)


class _AnnouncingCache(FunctionCache):  # type: ignore[misc]
    """Numba's own cache, which tells of a miss: that is when a user starts to wait."""

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        self._py_func = py_func

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super().load_overload(sig, target_context)
        if found is None:
            tell_of_miss(self._py_func.__name__)
        return found


def kernel(function: F) -> F:
    """``numba.njit`` for a function that kernels call; with ``NUMBA_DISABLE_JIT=1`` the plain function.

    It may not allocate or raise. Python cannot call it: it becomes machine code only as a part of the entries
    that use it, see `gpufleet.engine.inner`."""
    return _compiled(function, inner=True)


def entry(function: F) -> F:
    """A kernel that Python calls too."""
    return _compiled(function, inner=False)


def _compiled(function: F, *, inner: bool) -> F:
    if not JITTED:
        return function
    from gpufleet.engine.inner import InnerCompiler

    # Numba reads its cache folder at decoration time only, so a user's own kernels stay where they were.
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
    try:
        dispatcher = numba.njit(
            nogil=True,
            _nrt=False,
            error_model="numpy",
            no_cfunc_wrapper=True,
            no_cpython_wrapper=inner,
            **({"pipeline_class": InnerCompiler} if inner else {}),
        )(function)
        if not inner:
            dispatcher._cache = _AnnouncingCache(function)
        resolve = dispatcher.get_call_template
        dispatcher.get_call_template = lambda args, kws: resolve(tuple(map(_widened, args)), kws)
    finally:
        config.CACHE_DIR = before
    return cast(F, dispatcher)


@contextmanager
def compiling() -> Iterator[None]:
    """Compile what is called in here in the quickest way that leaves quick kernels.

    No garbage collection: compilation leaves hundreds of thousands of objects alive. LLVM's second level of
    optimisation: the third takes a quarter longer, and the kernels are no faster. ``NUMBA_OPT`` is respected.
    """
    was_enabled, level = gc.isenabled(), config.OPT
    gc.disable()
    if "NUMBA_OPT" not in os.environ:
        config.OPT = type(level)(2)
    try:
        yield
    finally:
        config.OPT = level
        if was_enabled:
            gc.enable()


def _widened(kind: Any) -> Any:
    """The type for which a kernel called by a kernel is compiled: numbers are 64 bits wide, constants are
    numbers.

    Otherwise every mix of a constant, a flag and a counter among the arguments would be compiled once more.
    """
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) and kind.bitwidth < 64 else kind


if JITTED:

    @intrinsic  # type: ignore[untyped-decorator]
    def lowest_bit(typingctx: Any, word: Any) -> Any:
        """Position of the lowest 1 of a 64-bit word, which must not be 0."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            from llvmlite import ir

            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.uint64), codegen

else:

    def lowest_bit(word: Any) -> Any:
        """Position of the lowest 1 of a 64-bit word, which must not be 0."""
        value = int(word)
        return (value & -value).bit_length() - 1
