"""Expressions of export rules: read once, checked against what rules may read, evaluated with three values.

The language is a small part of Python's: ``and or not ( )``, comparisons with chains, ``in`` and ``not in``
with a group of countries or a set of texts, ``+``, numbers and texts. Python's own parser reads it; what is
not in the list above is refused, and nothing of it is ever run as Python.

Three values: True, False, and None for what is not known. A comparison with an unknown number is unknown;
``and`` is false if one side is, ``or`` true if one side is, whatever is unknown beside it.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from gpufleet.base.errors import did_you_mean
from gpufleet.base.say import Said, say
from gpufleet.catalog.load import countries
from gpufleet.models.export_inputs import INPUTS, Inputs, Value, is_date
from gpufleet.models.export_truth import Threshold, Truth, not_true, total, unknown

_ORDER: Final[dict[type[ast.cmpop], tuple[str, Callable[[float | str, float | str], bool]]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
}
_SWAPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_GROUPS: Final = ("MO", "D1", "D4", "D5", "A5", "A6")
_MOST_CHARACTERS: Final = 4000
"""Longest text that is read: Python's parser needs memory for what is nested."""


class ExpressionError(ValueError):
    """A text is no expression: `says` what is wrong, `fix` what to do."""

    def __init__(self, says: str, fix: str) -> None:
        super().__init__(says)
        self.says, self.fix = says, fix


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was read.

    Args of `truth` and `undecided`: the inputs of a shipment.

    >>> e = read_expression("tpp >= 4800 or (tpp >= 1600 and pd >= 5.92)")
    >>> e.truth({"tpp": 5000.0, "pd": None}), e.truth({"tpp": 2000.0, "pd": None})
    (True, None)
    >>> sorted(e.undecided({"tpp": 2000.0, "pd": None})), [t.limit for t in e.thresholds]
    (['pd'], [4800.0, 1600.0, 5.92])
    """

    text: str
    truth: Callable[[Inputs], Truth]
    undecided: Callable[[Inputs], frozenset[str]]
    """Inputs that are unknown and leave the expression unknown."""
    names: frozenset[str]
    thresholds: tuple[Threshold, ...]
    dates: frozenset[str]
    words: Mapping[str, frozenset[str]]
    """Texts that an input is compared with."""
    conditions: tuple[tuple[str, Callable[[Inputs], Truth]], ...]
    """Its parts with ``and`` between them, each with its text; the whole if there are none."""


class _Node(NamedTuple):
    """A part of an expression that is true or not."""

    truth: Callable[[Inputs], Truth]
    undecided: Callable[[Inputs], frozenset[str]]


class _Term(NamedTuple):
    """A part of an expression that has a value: a sum of inputs and a number, or a text."""

    kind: str  # number, country, date, word; text for a literal
    value: Callable[[Inputs], Value]
    names: tuple[str, ...]
    literal: Value


_NOTHING: Final[frozenset[str]] = frozenset()


def read_expression(text: str) -> Expression:
    """Read an expression.

    Raises:  ExpressionError with the first thing that is wrong.

    >>> read_expression("dest in MO_D5 and hq == 'CN'").truth({"dest": "KR", "hq": "CN"})
    False
    >>> read_expression("tpp >> 3")
    Traceback (most recent call last):
    gpufleet.models.export_expression.ExpressionError: `tpp >> 3` is nothing that an expression may hold
    """
    return _Reader(text.strip()).read()


@cache
def group(name: str) -> frozenset[Value] | None:
    """Countries of a group, or of several with ``_`` between their names; None if there is no such group.

    >>> sorted(group("MO_D5") & {"MO", "CN", "VN", "KR"}), group("B1")
    (['CN', 'MO'], None)
    """
    names = name.split("_")
    if not set(names) <= set(_GROUPS):
        return None
    return frozenset(row.id for row in countries().values() for each in names if getattr(row, each.lower()))


@dataclass
class _Reader:
    """Turns the tree of Python's parser into functions; collects what is compared with what."""

    text: str
    names: set[str] = field(default_factory=set)
    thresholds: list[Threshold] = field(default_factory=list)
    dates: set[str] = field(default_factory=set)
    words: dict[str, set[str]] = field(default_factory=dict)

    def read(self) -> Expression:
        tree = self._tree()
        node = self._truth(tree)
        parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
        conditions = tuple((self._source(each), self._truth(each).truth) for each in parts)
        return Expression(
            self.text,
            node.truth,
            node.undecided,
            frozenset(self.names),
            tuple(dict.fromkeys(self.thresholds)),
            frozenset(self.dates),
            {name: frozenset(texts) for name, texts in self.words.items()},
            conditions,
        )

    def _tree(self) -> ast.expr:
        if not self.text:
            raise ExpressionError(say("there is no expression"), say("write `True` for what always holds"))
        if len(self.text) > _MOST_CHARACTERS:
            says = say("it has {n:,} characters, more than {most:,}", n=len(self.text), most=_MOST_CHARACTERS)
            raise ExpressionError(says, say("make several rules of it"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            column = error.offset or 1
            says = say("at character {column:,}: {why}", column=column, why=error.msg)
            raise ExpressionError(says, self._syntax_fix()) from None
        except (ValueError, RecursionError, MemoryError):
            raise ExpressionError(say("it cannot be read"), self._syntax_fix()) from None

    def _syntax_fix(self) -> Said:
        example = "dest in MO_D5 and (tpp>=4800 or pd>=5.92)"
        return say("write it like `{example}`", example=example)

    def _truth(self, tree: ast.expr) -> _Node:
        if isinstance(tree, ast.BoolOp):
            return _joined([self._truth(each) for each in tree.values], isinstance(tree.op, ast.And))
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
            inner = self._truth(tree.operand)
            return _Node(lambda inputs: not_true(inner.truth(inputs)), inner.undecided)
        if isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
            constant = tree.value
            return _Node(lambda inputs: constant, lambda inputs: _NOTHING)
        if isinstance(tree, ast.Compare):
            sides = [tree.left, *tree.comparators]
            pairs = [
                self._pair(left, sign, right)
                for left, sign, right in zip(sides, tree.ops, sides[1:], strict=False)
            ]
            return pairs[0] if len(pairs) == 1 else _joined(pairs, True)
        if isinstance(tree, ast.Name | ast.Constant):
            says = say("`{part}` alone is neither true nor false", part=self._source(tree))
            raise ExpressionError(says, say("compare it with something, as in `{part}`", part="dc==1"))
        raise self._foreign(tree)

    def _pair(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> _Node:
        if isinstance(sign, ast.In | ast.NotIn):
            return self._member(self._term(left), right, isinstance(sign, ast.In))
        if type(sign) not in _ORDER:
            raise self._foreign(left)
        return self._comparison(self._term(left), type(sign), self._term(right))

    def _member(self, term: _Term, right: ast.expr, wanted: bool) -> _Node:
        """``value in group`` or ``value in {'text', ...}``."""
        texts = self._texts(right, term)
        value, names = term.value, term.names

        def truth(inputs: Inputs) -> Truth:
            given = value(inputs)
            return None if given is None else (given in texts) is wanted

        return _Node(truth, lambda inputs: unknown(names, inputs))

    def _texts(self, right: ast.expr, term: _Term) -> frozenset[Value]:
        if isinstance(right, ast.Name) and right.id not in INPUTS:
            members = group(right.id)
            if members is None:
                says = say("`{name}` is no group of countries", name=right.id)
                raise ExpressionError(says, did_you_mean(right.id, _GROUPS))
            if term.kind != "country":
                raise self._unlike(term.kind, say("a group of countries"))
            return members
        if not isinstance(right, ast.Set):
            says = say(
                "what stands right of `in` is neither a group nor a set: {part}", part=self._source(right)
            )
            raise ExpressionError(says, say("write e.g. {example}", example="{'CN','HK'}"))
        terms = [self._term(each) for each in right.elts]
        for each in terms:
            self._alike(term, each)
        return frozenset(each.literal for each in terms)

    def _comparison(self, left: _Term, sign: type[ast.cmpop], right: _Term) -> _Node:
        self._alike(left, right)
        symbol, compare = _ORDER[sign]
        if left.kind != "number" and symbol not in ("==", "!=") and "date" not in (left.kind, right.kind):
            says = say("only numbers and dates are larger or smaller, not {kind}", kind=left.kind)
            raise ExpressionError(says, say("compare with == or `in`"))
        if left.kind == "number":
            if left.names and not right.names:
                self._threshold(left, symbol, right)
            elif right.names and not left.names:
                self._threshold(right, _SWAPPED[symbol], left)
        of_left, of_right = left.value, right.value

        def truth(inputs: Inputs) -> Truth:
            a, b = of_left(inputs), of_right(inputs)
            return None if a is None or b is None else compare(a, b)

        names = (*left.names, *right.names)
        return _Node(truth, lambda inputs: unknown(names, inputs))

    def _threshold(self, inputs: _Term, symbol: str, number: _Term) -> None:
        limit = number.value({})
        own = inputs.literal or 0.0
        assert isinstance(limit, float)
        assert isinstance(own, float)
        self.thresholds.append(Threshold(inputs.names, symbol, limit - own))

    def _alike(self, left: _Term, right: _Term) -> None:
        """Both sides are numbers, or texts of which a literal is one that the other may be."""
        if (left.kind == "number") != (right.kind == "number"):
            raise self._unlike(left.kind, right.kind)
        if left.kind == "number":
            return
        for one, other in ((left, right), (right, left)):
            if one.kind != "text" and other.kind == "text":
                self._literal(one, str(other.literal))
        if "text" not in (left.kind, right.kind) and left.kind != right.kind:
            raise self._unlike(left.kind, right.kind)

    def _literal(self, term: _Term, text: str) -> None:
        """Check a text that an input is compared with, and keep it."""
        name = term.names[0]
        if term.kind == "country" and text not in countries():
            says = say("`{text}` is no country of the catalogue", text=text)
            raise ExpressionError(says, say("`gpufleet catalog countries` lists all"))
        if term.kind == "date":
            if not is_date(text):
                says = say("`{text}` is no date", text=text)
                raise ExpressionError(says, say("write e.g. {example}", example="'2025-04-09'"))
            self.dates.add(text)
        choices = INPUTS[name].choices
        if choices and text not in choices:
            says = say("`{name}` is never `{text}`", name=name, text=text)
            raise ExpressionError(says, did_you_mean(text, choices))
        self.words.setdefault(name, set()).add(text)

    def _term(self, tree: ast.expr) -> _Term:
        if isinstance(tree, ast.Name):
            return self._variable(tree.id)
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            text = tree.value
            return _Term("text", lambda inputs: text, (), text)
        if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
            number = float(tree.value)  # type: ignore[arg-type]
            return _Term("number", lambda inputs: number, (), number)
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
            return self._plus(self._term(tree.left), self._term(tree.right))
        raise self._foreign(tree)

    def _variable(self, name: str) -> _Term:
        if name not in INPUTS:
            says = say("`{name}` is nothing that a rule may read", name=name)
            raise ExpressionError(says, did_you_mean(name, INPUTS, limit=len(INPUTS)))
        self.names.add(name)
        kind = INPUTS[name].kind
        return _Term("number" if kind == "flag" else kind, lambda inputs: inputs[name], (name,), None)

    def _plus(self, left: _Term, right: _Term) -> _Term:
        for each in (left, right):
            if each.kind != "number":
                raise self._unlike(each.kind, say("number"))
        names = (*left.names, *right.names)
        number = float(left.literal or 0) + float(right.literal or 0)

        def value(inputs: Inputs) -> Value:
            found = total(names, inputs)
            return None if found is None else found + number

        return _Term("number", value, names, number)

    def _unlike(self, left: str, right: str) -> ExpressionError:
        says = say("{left} is compared with {right}", left=left, right=right)
        return ExpressionError(says, say("texts stand in quotes, numbers do not"))

    def _foreign(self, tree: ast.expr) -> ExpressionError:
        says = say("`{part}` is nothing that an expression may hold", part=self._source(tree))
        return ExpressionError(says, self._syntax_fix())

    def _source(self, tree: ast.expr) -> str:
        return ast.get_source_segment(self.text, tree) or self.text


def _joined(nodes: Sequence[_Node], every: bool) -> _Node:
    """Several nodes with ``and`` (every) or ``or`` between them."""
    truths, opens = [each.truth for each in nodes], [each.undecided for each in nodes]
    decisive = not every

    def truth(inputs: Inputs) -> Truth:
        found: Truth = every
        for each in truths:
            value = each(inputs)
            if value is decisive:
                return decisive
            if value is None:
                found = None
        return found

    def undecided(inputs: Inputs) -> frozenset[str]:
        if truth(inputs) is not None:
            return _NOTHING
        return frozenset().union(
            *(opened(inputs) for value, opened in zip(truths, opens, strict=True) if value(inputs) is None)
        )

    return _Node(truth, undecided)
