"""The event loop and its rules: Numba kernels over arrays. Defined in docs/explanation/engine.md."""
