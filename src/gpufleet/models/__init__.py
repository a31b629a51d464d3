"""Closed forms and rules: pure functions of numbers, each held against what was published."""
