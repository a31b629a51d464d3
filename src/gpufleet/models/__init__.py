"""Closed forms, pure functions of numbers, each held against published measurements."""
