"""A plain model of what NVIDIA's KAI scheduler decides: jobs on nodes, round after round.

It follows KAI's own definitions for whole and shared GPUs. What it has not, it says: `UnsupportedError`.
"""
