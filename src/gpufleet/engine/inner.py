"""How kernels that only kernels call are compiled: as far as LLVM's intermediate code, and no further.

Numba makes machine code of every function by itself, with everything that the function calls copied in and
optimised anew: what stands at the bottom of a chain of ten calls is optimised ten times. Here only an entry
becomes machine code, with all that it calls, once. That halves the time of a first compilation.

Such a kernel has no address: Python cannot call it, and Numba's cache cannot keep it. Entries have one.
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _InnerLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Intermediate code of a kernel and of what it calls, to be copied into an entry."""

    def finalize(self) -> None:
        """Join what the kernel calls; no optimisation, no machine code."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):  # type: ignore[misc]
    """Numba's lowering into an `_InnerLibrary`."""

    _name = "gpufleet_inner_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower, and make the kernel known to callers by a key instead of an address."""
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        made = state["cr"]
        about = made.fndesc
        nowhere = 0
        key = _dynfunc.make_function(
            about.lookup_module(), about.qualname, "", nowhere, made.env, (state.library,)
        )
        state.targetctx.insert_user_function(key, about, [state.library])
        state["cr"] = made._replace(cfunc=key)
        return True


class InnerCompiler(CompilerBase):  # type: ignore[misc]
    """For ``numba.njit(pipeline_class=...)``."""

    def define_pipelines(self) -> list[Any]:
        """Numba's pipeline with another last step."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_InnerLowering if step is NativeLowering else step, why) for step, why in passes.passes
        ]
        passes.finalize()
        return [passes]
