"""Speed, memory and right answers, each beside a baseline of the same run: ``python -m benchmarks``."""
