"""The code of an own policy: what of a file belongs to it, whether it obeys the rules, and its program.

To a policy belong its function, the functions that this calls, and the constants that they use; the rest of
the file is neither read nor run. The program is the same in other words: constants and names of queues are
numbers, and one function ``decide`` takes all fields of the record.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gpufleet.base.errors import did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.own_codes import FIELDS
from gpufleet.plan.own_rules import Fault, FunctionRules, Known, names_in, queue_name
from gpufleet.plan.own_words import BUILTINS, MATH_NUMBERS, MOST_STEPS

OwnKind = Literal["order", "placement"]

MOST_CHARACTERS: Final = 200_000
_MOST_DEEP: Final = 100
_HEAD: Final = """\
import math
from collections import namedtuple
Record = namedtuple("Record", "{fields}")
"""
_TAIL: Final = """\
def decide({parameters}):
    try:
        return float({function}(Record({parameters})))
    except Exception:
        return math.nan
"""


class OwnCodeError(Exception):
    """The code cannot be used; `faults` say why."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.says for fault in faults))
        self.faults = faults


@dataclass(frozen=True)
class OwnCode:
    """An own policy that obeys the rules."""

    function: str
    line: int  # of its `def`, in the text that was read
    source: str  # its part of the text; reading that gives the same program
    source_lines: tuple[int, ...]  # line in the text of each line of `source`
    reads: frozenset[str]  # fields of its record
    program: str
    program_lines: Mapping[int, int]  # line in the text, by line of the program


def read_code(text: str, function: str, kind: OwnKind, queues: Collection[str]) -> OwnCode:
    """The policy that a function of a text is.

    Args:   text: of a Python file; kind: what it decides; queues: their names, in the order of their codes.
    Raises: OwnCodeError with every fault.

    >>> code = read_code("def order(job):\\n    return -job.gpus\\n", "order", "order", ["lab"])
    >>> code.line, sorted(code.reads)
    (1, ['gpus'])
    >>> read_code("def order(job):\\n    return job.gpu\\n", "order", "order", [])
    Traceback (most recent call last):
    gpufleet.plan.own_code.OwnCodeError: `job` has no `gpu`
    """
    file = _File(_parse(text))
    if function not in file.functions:
        says = say("the file has no function `{name}`", name=function[:60])
        raise OwnCodeError(Fault("P120", 0, says, did_you_mean(function, file.functions)))
    rules = _checked(file, function, kind, queues)
    used = [name for name in file.functions if name in rules]
    constants = {name for each in rules.values() for name in each.constants}
    pieces = sorted(
        [*(file.functions[name] for name in used), *file.needed(constants)], key=lambda node: node.lineno
    )
    lines = [number for node in pieces for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)]
    if any("math" in names_in(node) for node in pieces):
        lines = [*file.math_lines, *lines]
    rows = text.splitlines()
    program, program_lines = _program(file, used, function, kind, queues)
    return OwnCode(
        function=function,
        line=file.functions[function].lineno,
        source="".join(f"{rows[number - 1].rstrip()}\n" for number in lines),
        source_lines=tuple(lines),
        reads=frozenset().union(*(each.reads for each in rules.values())),
        program=program,
        program_lines=program_lines,
    )


def _parse(text: str) -> ast.Module:
    """Raises: OwnCodeError (P121)"""
    if len(text) > MOST_CHARACTERS:
        says = say("{n:,} characters; a policy is a few lines", n=len(text))
        raise OwnCodeError(Fault("P121", 0, says, say("put the function into a file of its own")))
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        says = say("Python says: {error}", error=error.msg)
        raise OwnCodeError(Fault("P121", error.lineno or 0, says, say("correct the line"))) from error
    except (ValueError, RecursionError, MemoryError) as error:
        says = say("Python cannot read it: {error}", error=str(error) or type(error).__name__)
        raise OwnCodeError(Fault("P121", 0, says, say("write it more simply"))) from error
    return tree


class _File:
    """What a file declares at its top level."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        maths = [node for node in tree.body if isinstance(node, ast.Import) and _is_math(node)]
        self.math_lines = [node.lineno for node in maths[:1]]
        self._assigned = {name: (node, value) for node in tree.body for name, value in _target(node)}
        self.constants = dict(self._numbers())

    def _numbers(self) -> Iterator[tuple[str, float]]:
        known: dict[str, float] = {}
        for name, (_, expression) in self._assigned.items():
            value = _number(expression, known)
            if value is not None:
                known[name] = value
                yield name, value

    def needed(self, names: Collection[str]) -> list[ast.stmt]:
        """The assignments of constants, and of those that they use."""
        todo, found = sorted(names), dict[str, ast.stmt]()
        while todo:
            name = todo.pop()
            if name in self._assigned and name not in found:
                found[name], value = self._assigned[name]
                todo += names_in(value)
        return list(found.values())


def _is_math(node: ast.Import) -> bool:
    return any(alias.name == "math" and alias.asname is None for alias in node.names) and len(node.names) == 1


def _target(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The name that an assignment at top level gives a value, and that value."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node.value


def _number(node: ast.expr, known: Mapping[str, float]) -> float | None:
    """The value of a constant, None if it is no number."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value) if abs(node.value) <= 1e300 else None  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and node.attr in MATH_NUMBERS and ast.unparse(node.value) == "math":
        return float(getattr(math, node.attr))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand, known)
        return None if inner is None else -inner
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _number(node.left, known), _number(node.right, known)
    return None if left is None or right is None else _combined(node.op, left, right)


def _combined(op: ast.operator, left: float, right: float) -> float | None:
    try:
        if isinstance(op, ast.Add):
            return left + right
        if isinstance(op, ast.Sub):
            return left - right
        if isinstance(op, ast.Mult):
            return left * right
        return left / right if isinstance(op, ast.Div) else None
    except ArithmeticError:
        return None


# --- the rules, function by function ------------------------------------------------------------------------


def _checked(file: _File, function: str, kind: OwnKind, queues: Collection[str]) -> dict[str, FunctionRules]:
    """The function and all that it calls. Raises: OwnCodeError."""
    known = Known(FIELDS[kind], file.functions, file.constants, queues, bool(file.math_lines))
    rules: dict[str, FunctionRules] = {}
    faults: list[Fault] = []
    todo = [function]
    while todo:
        name = todo.pop()
        if name in rules:
            continue
        try:
            rules[name] = FunctionRules(file.functions[name], known, is_policy=name == function)
        except RecursionError:
            line = file.functions[name].lineno
            says = say("{name} is nested too deeply", name=name)
            raise OwnCodeError(Fault("P122", line, says, say("write it more simply"))) from None
        faults += rules[name].faults
        todo += [called for called, _, _ in rules[name].calls]
    faults += _endless(function, rules) if not faults else []
    if faults:
        raise OwnCodeError(*dict.fromkeys(faults))
    return rules


def _endless(function: str, rules: Mapping[str, FunctionRules]) -> list[Fault]:
    """Functions that call themselves, or loop for too long."""
    steps: dict[str, int] = {}
    faults: list[Fault] = []

    def count(name: str, above: tuple[str, ...]) -> int:
        if name not in steps:
            total = rules[name].steps
            for called, times, line in rules[name].calls:
                if called in (*above, name) or len(above) > _MOST_DEEP:
                    says = say("{name} calls itself", name=called)
                    faults.append(Fault("P123", line, says, say("write a loop over `range` instead")))
                else:
                    total += times * count(called, (*above, name))
            steps[name] = total
        return steps[name]

    n = count(function, ())
    if n > MOST_STEPS and not faults:
        says = say("its loops run {n:,} times for one question; at most {most:,}", n=n, most=MOST_STEPS)
        line = _first_loop(rules[function].function)
        faults.append(Fault("P123", line, says, say("let the loops run less often, or use a formula")))
    return faults


def _first_loop(function: ast.FunctionDef) -> int:
    lines = [node.lineno for node in ast.walk(function) if isinstance(node, ast.For)]
    return min(lines, default=function.lineno)


# --- the program --------------------------------------------------------------------------------------------


def _program(
    file: _File, used: list[str], function: str, kind: OwnKind, queues: Collection[str]
) -> tuple[str, dict[int, int]]:
    """The program as text, and the line of the file of each of its lines."""
    numbers = _Numbers(file.constants, list(queues))
    body = [ast.fix_missing_locations(numbers.visit(copy.deepcopy(file.functions[name]))) for name in used]
    for node in body:
        node.name = f"own_{node.name}"
        node.decorator_list = [ast.copy_location(ast.Name("compiled", ast.Load()), node)]
    fields = list(FIELDS[kind])
    head = _HEAD.format(fields=" ".join(fields))
    tail = _TAIL.format(parameters=", ".join(fields), function=f"own_{function}")
    text = head + "\n".join(map(ast.unparse, body)) + "\n" + tail
    again = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    lines: dict[int, int] = {}
    for old, new in zip(body, again, strict=False):
        for before, after in zip(ast.walk(old), ast.walk(new), strict=False):
            if hasattr(after, "lineno") and hasattr(before, "lineno"):
                lines.setdefault(after.lineno, before.lineno)
    return text, lines


class _Numbers(ast.NodeTransformer):
    """Everything as floats, but for the bounds of loops."""

    def __init__(self, constants: Mapping[str, float], queues: list[str]) -> None:
        self.constants, self.queues = constants, queues

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Without annotations and docstring; functions of the file get a name of their own."""
        node.returns = None
        for arg in (*node.args.posonlyargs, *node.args.args):
            arg.annotation = None
        first = node.body[0]
        if isinstance(first, ast.Expr) and queue_name(first.value) is not None:
            node.body = node.body[1:]
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """A variable with a note of its type."""
        assert node.value is not None
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)

    def visit_For(self, node: ast.For) -> ast.For:
        """Bounds stay whole numbers."""
        assert isinstance(node.iter, ast.Call)
        node.iter.args = [self._whole(arg) for arg in node.iter.args]
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def _whole(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.UnaryOp):
            node.operand = self._whole(node.operand)
        if isinstance(node, ast.Name):
            return ast.copy_location(ast.Constant(int(self.constants[node.id])), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Functions of the file are called by their new names."""
        if isinstance(node.func, ast.Name) and node.func.id not in BUILTINS:
            node.func = ast.copy_location(ast.Name(f"own_{node.func.id}", ast.Load()), node.func)
        node.args = [self.visit(arg) for arg in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A constant of the file is its value."""
        if isinstance(node.ctx, ast.Load) and node.id in self.constants:
            return ast.copy_location(_float(self.constants[node.id]), node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A queue is its number."""
        value = float(self.queues.index(node.value)) if isinstance(node.value, str) else node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return node
        return ast.copy_location(ast.Constant(float(value)), node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A text between statements says nothing."""
        return ast.copy_location(ast.Pass(), node)


def _float(value: float) -> ast.expr:
    """A number as code. A negative one is a sign before a number: `-2 ** 2` means another thing."""
    if value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)
