"""What the functions of own policies may use, and what other parts of Python are called."""

from __future__ import annotations

import ast
from typing import Final

MOST_STEPS: Final = 10_000
"""How often all loops of a function may run, for one question."""
BUILTINS: Final = ("abs", "max", "min")
MATH: Final = (
    *(
        "acos",
        "asin",
        "atan",
        "atan2",
        "cos",
        "cosh",
        "e",
        "exp",
        "expm1",
        "fabs",
        "hypot",
        "inf",
        "isfinite",
    ),
    *("isinf", "isnan", "log", "log10", "log1p", "log2", "pi", "pow", "sin", "sinh", "sqrt", "tan", "tanh"),
)
MATH_NUMBERS: Final = ("e", "inf", "pi")

WORDS: Final = {
    ast.While: "while", ast.Try: "try", ast.With: "with", ast.Import: "import", ast.ImportFrom: "import",
    ast.Global: "global", ast.Nonlocal: "nonlocal", ast.Raise: "raise", ast.Assert: "assert",
    ast.Delete: "del", ast.Lambda: "lambda", ast.Yield: "yield", ast.YieldFrom: "yield", ast.Await: "await",
    ast.ListComp: "[... for ...]", ast.SetComp: "{... for ...}", ast.DictComp: "{... for ...}",
    ast.GeneratorExp: "(... for ...)", ast.JoinedStr: "f\"...\"", ast.NamedExpr: ":=", ast.List: "[...]",
    ast.Dict: "{...}", ast.Set: "{...}", ast.Subscript: "[...]", ast.Starred: "*", ast.Match: "match",
    ast.AsyncFor: "async", ast.AsyncWith: "async", ast.ClassDef: "class", ast.FunctionDef: "def",
    ast.AsyncFunctionDef: "async",
}  # fmt: skip
OPERATORS: Final = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.USub, ast.UAdd, ast.Not, ast.And, ast.Or),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
