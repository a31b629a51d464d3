"""What the functions of own policies may say: a small part of Python that always ends and only computes.

The rules are checked on the syntax tree; nothing of the file is run.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from gpufleet.base.errors import did_you_mean, nearest
from gpufleet.base.say import say
from gpufleet.plan.own_words import BUILTINS, MATH, MATH_NUMBERS, OPERATORS, WORDS


class Fault(NamedTuple):
    """What is wrong in a line of the file of an own policy."""

    code: str
    line: int
    says: str
    fix: str


class Known(NamedTuple):
    """What a function may speak of."""

    fields: Collection[str]  # of its record
    functions: Mapping[str, ast.FunctionDef]
    constants: Mapping[str, float]
    queues: Collection[str]
    has_math: bool  # the file says `import math`


class FunctionRules:
    """Checks one function. Afterwards `faults`, `calls`, `reads` and `steps` tell what was found."""

    def __init__(self, function: ast.FunctionDef, known: Known, *, is_policy: bool) -> None:
        self.function, self.known = function, known
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, int, int]] = []  # function, how often, line
        self.constants: set[str] = set()
        self.reads: set[str] = set()
        self.steps = 1
        self._times = 1
        self._depth = 0
        self._parameters = self._check_head(is_policy)
        self._record = self._parameters[0] if is_policy and self._parameters else ""
        self._check_ways(function.body)
        _, ends = self._block(function.body, set(self._parameters))
        if not ends:
            says = say("{name} may end without a result", name=function.name)
            self._fault("P124", function, says, say("end every way through it with `return NUMBER`"))

    # --- the head

    def _check_head(self, is_policy: bool) -> tuple[str, ...]:
        args, name = self.function.args, self.function.name
        plain = [arg.arg for arg in (*args.posonlyargs, *args.args)]
        odd = args.vararg or args.kwarg or args.kwonlyargs or args.defaults
        if self.function.decorator_list:
            at = self.function.decorator_list[0]
            says = say("{name} has a decorator", name=name)
            self._fault("P122", at, says, say("leave it out: gpufleet compiles the function itself"))
        if odd:
            says = say("{name} has parameters with defaults, or behind a `*`", name=name)
            self._fault("P124", self.function, says, say("use plain parameters only"))
        elif is_policy and len(plain) != 1:
            says = say("{name} has {n:,} parameters; it is asked with one", name=name, n=len(plain))
            self._fault("P124", self.function, says, say("write `def {name}(job):`", name=name))
        for word in plain:
            self._own_name(word, self.function)
        return tuple(plain)

    def _own_name(self, name: str, at: ast.AST) -> None:
        taken = name in self.known.constants or name in self.known.functions or name in (*BUILTINS, "math")
        if taken:
            says = say("`{name}` is the name of something else here", name=name)
            self._fault("P122", at, says, say("give the variable another name"))

    def _check_ways(self, body: list[ast.stmt]) -> None:
        if not self._without_text(body):
            says = say("{name} does nothing", name=self.function.name)
            self._fault("P124", self.function, says, say("let it return a number"))

    @staticmethod
    def _without_text(body: list[ast.stmt]) -> list[ast.stmt]:
        """Statements without a docstring."""
        first = body[0] if body else None
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return body[1:] if is_text and isinstance(first.value.value, str) else body  # type: ignore[union-attr]

    # --- statements: each gives the names that have a value behind it, and whether the function ends there

    def _block(self, body: list[ast.stmt], names: set[str]) -> tuple[set[str], bool]:
        ends = False
        for statement in self._without_text(body):
            names, ended = self._statement(statement, names)
            ends = ends or ended
        return names, ends

    def _statement(self, node: ast.stmt, names: set[str]) -> tuple[set[str], bool]:
        if isinstance(node, ast.Return):
            self._result(node, names)
            return names, True
        if isinstance(node, ast.If):
            self._value(node.test, names)
            yes, yes_ends = self._block(node.body, set(names))
            no, no_ends = self._block(node.orelse, set(names))
            left = yes & no if yes_ends == no_ends else no if yes_ends else yes
            return left, yes_ends and no_ends
        if isinstance(node, ast.For):
            return self._loop(node, names), False
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            return self._assign(node, names), False
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Break | ast.Continue) and self._depth):
            return names, False
        if isinstance(node, ast.Expr):
            self._value(node.value, names)
            if not self.faults:
                says = say("the value of this line is not used")
                self._fault("P122", node, says, say("return it, give it a name, or leave the line out"))
            return names, False
        self._refuse(node)
        return names, False

    def _result(self, node: ast.Return, names: set[str]) -> None:
        value = node.value
        if value is None or isinstance(value, ast.Tuple | ast.List | ast.Dict) or self._is_no_number(value):
            what = say("nothing") if value is None else say("`{text}`", text=ast.unparse(value)[:60])
            says = say("{name} returns {what}", name=self.function.name, what=what)
            self._fault("P124", node, says, say("return one number; smaller goes first"))
        else:
            self._value(value, names)

    @staticmethod
    def _is_no_number(value: ast.expr) -> bool:
        return isinstance(value, ast.Constant) and not isinstance(value.value, int | float)

    def _loop(self, node: ast.For, names: set[str]) -> set[str]:
        times = self._times_of(node.iter)
        if times is None:
            says = say("the loop is over `{text}`", text=ast.unparse(node.iter)[:60])
            fix = say("write `for i in range(N):` with numbers that stand in the file")
            self._fault("P123", node, says, fix)
            times = 1
        if node.orelse or not isinstance(node.target, ast.Name):
            self._refuse(node, say("a loop of this form"))
        before, self._times = self._times, self._times * max(times, 1)
        self.steps += self._times
        self._depth += 1
        inner = set(names)
        if isinstance(node.target, ast.Name):
            self._own_name(node.target.id, node)
            inner.add(node.target.id)
        self._block(node.body, inner)
        self._depth -= 1
        self._times = before
        return names

    def _times_of(self, node: ast.expr) -> int | None:
        """How often a loop over this runs; None if that is not known."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"):
            return None
        numbers = [self._whole(arg) for arg in node.args]
        known = [number for number in numbers if number is not None]
        if node.keywords or len(known) != len(numbers) or not 1 <= len(known) <= 3 or known[2:] == [0]:
            return None
        return len(range(*known))

    def _whole(self, node: ast.expr) -> int | None:
        """A whole number that stands in the file."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._whole(node.operand)
            return None if inner is None else -inner
        value: object = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.Name) and node.id in self.known.constants:
            self.constants.add(node.id)
            value = self.known.constants[node.id]
            value = int(value) if math.isfinite(value) and value == int(value) else None
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and abs(value) <= 1 << 40 else None  # type: ignore[arg-type,return-value]

    def _assign(self, node: ast.Assign | ast.AugAssign | ast.AnnAssign, names: set[str]) -> set[str]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if isinstance(node, ast.AugAssign):
            self._value(node.target, names)
            self._operator(node.op, node)
        parts = [part for target in targets for part in _parts(target)]
        values = list(_parts(node.value)) if node.value is not None else []
        if len(targets) > 1 or not values or len(values) != len(parts):
            self._refuse(node, say("an assignment of this form"))
        for value in values:
            self._value(value, names)
        for part in parts:
            if not isinstance(part, ast.Name):
                self._refuse(part, say("an assignment to `{text}`", text=ast.unparse(part)[:60]))
                continue
            self._own_name(part.id, part)
            if part.id == self._record:
                says = say("`{name}` is the parameter", name=part.id)
                self._fault("P122", part, says, say("give the variable another name"))
            names = names | {part.id}
        return names

    # --- expressions

    def _value(self, node: ast.expr, names: set[str]) -> None:
        """Check an expression; `names` have a value there."""
        if isinstance(node, ast.Constant):
            self._constant(node)
        elif isinstance(node, ast.Name):
            self._name(node, names)
        elif isinstance(node, ast.Attribute):
            self._field(node, names)
        elif isinstance(node, ast.Call):
            self._call(node, names)
        elif isinstance(node, ast.Compare):
            self._compare(node, names)
        elif isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.IfExp):
            for op in ast.iter_child_nodes(node):
                if isinstance(op, ast.expr):
                    self._value(op, names)
                else:
                    self._operator(op, node)
        else:
            self._refuse(node)

    def _operator(self, op: ast.AST, at: ast.AST) -> None:
        if not isinstance(op, OPERATORS):
            self._refuse(at, say("the operator in `{text}`", text=ast.unparse(at)[:60]))

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > 1 << 53):
            self._refuse(node, say("the value `{text}`", text=ast.unparse(node)[:60]))

    def _name(self, node: ast.Name, names: set[str]) -> None:
        name = node.id
        if name == self._record:
            says = say("`{name}` as a whole is no number", name=name)
            fields = ", ".join(f"{name}.{field}" for field in self.known.fields)
            self._fault("P124", node, says, say("it has {fields}", fields=fields))
            return
        if name in names:
            return
        if name in self.known.constants:
            self.constants.add(name)
            return
        assigned = {n.id for n in ast.walk(self.function) if isinstance(n, ast.Name) and _is_stored(n)}
        if name in assigned:
            says = say("`{name}` may have no value here", name=name)
            self._fault("P125", node, says, say("give it a value on every way that leads here"))
            return
        there = [*names, *self.known.constants, *self.known.functions, *BUILTINS]
        self._fault("P125", node, say("there is no `{name}`", name=name), did_you_mean(name, there))

    def _field(self, node: ast.Attribute, names: set[str]) -> None:
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id == "math" and self.known.has_math:
            if node.attr not in MATH_NUMBERS:
                says = say("a policy may not use `math.{name}`", name=node.attr)
                self._fault("P122", node, says, did_you_mean(node.attr, MATH))
            return
        if not isinstance(owner, ast.Name) or owner.id not in self._parameters:
            self._value(owner, names)
            if not self.faults or self.faults[-1].line != node.lineno:
                self._refuse(node)
            return
        if node.attr not in self.known.fields:
            says = say("`{owner}` has no `{name}`", owner=owner.id, name=node.attr)
            self._fault("P125", node, says, did_you_mean(node.attr, self.known.fields))
        self.reads.add(node.attr)

    def _call(self, node: ast.Call, names: set[str]) -> None:
        called = node.func
        own = isinstance(called, ast.Name) and called.id in self.known.functions
        for arg in node.args:
            if not (own and isinstance(arg, ast.Name) and arg.id == self._record):
                self._value(arg, names)
        if node.keywords:
            self._refuse(node, say("a call with named arguments"))
        if isinstance(called, ast.Attribute):
            is_math = isinstance(called.value, ast.Name) and called.value.id == "math" and self.known.has_math
            if not is_math or called.attr not in MATH or called.attr in MATH_NUMBERS:
                says = say("a policy may not call `{text}`", text=ast.unparse(called)[:60])
                fix = (
                    did_you_mean(called.attr, MATH)
                    if is_math
                    else say("compute with `math` and own functions")
                )
                self._fault("P122", node, says, fix)
        elif isinstance(called, ast.Name) and called.id in self.known.functions:
            wanted = len(self.known.functions[called.id].args.args)
            if len(node.args) != wanted:
                says = say("{name} wants {wanted}, gets {n}", name=called.id, wanted=wanted, n=len(node.args))
                self._fault("P124", node, says, say("call it with as many values as it has parameters"))
            self.calls.append((called.id, self._times, node.lineno))
        elif not (isinstance(called, ast.Name) and called.id in BUILTINS):
            says = say("a policy may not call `{text}`", text=ast.unparse(called)[:60])
            close = nearest(getattr(called, "id", ""), [*BUILTINS, *self.known.functions])
            fix = say("compute with `math` and own functions")
            fix = say("did you mean `{close}`?", close=close) if close else fix
            self._fault("P122", node, says, fix)
        elif (len(node.args) == 1) != (called.id == "abs") or not node.args:
            says = say("`{text}` has the wrong number of values", text=ast.unparse(node)[:60])
            self._fault("P124", node, says, say("abs takes one number, min and max take several"))

    def _compare(self, node: ast.Compare, names: set[str]) -> None:
        sides = [node.left, *node.comparators]
        if any(_is_queue(side) for side in sides):
            for op, side in zip((ast.Eq(), *node.ops), sides, strict=True):
                several = isinstance(op, ast.In | ast.NotIn)
                for part in _parts(side) if several else (side,):
                    self._queue_side(part, names)
                if not several:
                    self._operator(op, node)
            return
        for side in sides:
            self._value(side, names)
        for op in node.ops:
            self._operator(op, node)

    def _queue_side(self, node: ast.expr, names: set[str]) -> None:
        name = queue_name(node)
        if name is None:
            self._value(node, names)
        elif name not in self.known.queues:
            says = say("there is no queue `{name}`", name=name[:60])
            self._fault("P125", node, says, did_you_mean(name, self.known.queues))

    # --- faults

    def _refuse(self, node: ast.AST, what: str | None = None) -> None:
        word = WORDS.get(type(node))
        what = what or (say("`{word}`", word=word) if word else say("`{text}`", text=ast.unparse(node)[:60]))
        code = "P123" if isinstance(node, ast.While) else "P122"
        fix = say("compute with numbers, `if` and `for ... in range(...)` only")
        if code == "P123":
            fix = say("write `for i in range(N):` with numbers that stand in the file")
        self._fault(code, node, say("a policy may not use {what}", what=what), fix)

    def _fault(self, code: str, node: ast.AST, says: str, fix: str) -> None:
        fault = Fault(code, getattr(node, "lineno", self.function.lineno), says, fix)
        if fault not in self.faults:
            self.faults.append(fault)


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _parts(node: ast.expr) -> Iterable[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else (node,)


def _is_queue(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "queue"


def queue_name(node: ast.AST) -> str | None:
    """The name that a text constant is, None for other nodes."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def names_in(node: ast.AST) -> Iterator[str]:
    """All names that a piece of code mentions."""
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
