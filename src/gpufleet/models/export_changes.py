"""What would change a verdict: each input moved alone, the others as they are, and the shipment asked again.

Where to look follows from the rules: a number changes nothing but where a rule compares it. Every change that
is told was found by evaluating all rules again, so it holds for the verdict and not only for one rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias, TypeVar

from gpufleet.catalog.load import countries
from gpufleet.models.export import RuleSet, Verdict, position, shipped, verdicts
from gpufleet.models.export_expression import Expression
from gpufleet.models.export_inputs import INPUTS, Inputs, Value
from gpufleet.models.export_rules import Rule

A = TypeVar("A")
_OF_THE_PART: Final = ("chip", "maker_hq", "item_kind")
"""Another chip, maker or kind is another shipment, not a change of this one."""
Position: TypeAlias = tuple[str, str]
"""`licence_required` and `policy`."""


class Span(NamedTuple):
    """Numbers between two bounds; a bound of None is no bound. Each bound says if it is one of them."""

    low: float
    low_in: bool
    high: float | None
    high_in: bool

    def holds(self, value: float) -> bool:
        """Whether a number is one of them."""
        above = value > self.low or (self.low_in and value == self.low)
        return above and (self.high is None or value < self.high or (self.high_in and value == self.high))


@dataclass(frozen=True, slots=True)
class Change:
    """An input, what it would have to be, and the position that follows.

    `span` for numbers, with `by` how far the number is from there (None if it is not known); `values` for
    countries, words and flags; `first` and `last` for dates.
    """

    name: str
    licence_required: str
    policy: str
    span: Span | None = None
    by: float | None = None
    values: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Margin:
    """How far one number is from where a rule would apply, or would not apply any more.

    >>> from gpufleet.models.export_rules import shipped_rules
    >>> rule = next(each for each in shipped_rules() if each.id == "US-2023-10-17")
    >>> h20 = {"item_kind": "ic", "tpp": 2368.0, "pd": 2.909, "dc": 1.0, "declared_not_3a090": 0.0,
    ...        "dest": "CN", "hq": "CN"}
    >>> [(m.name, m.by, m.span.low) for m in margins(rule, h20)]
    [('tpp', 32.0, 2400.0), ('pd', 0.291, 3.2)]
    """

    name: str
    value: float
    span: Span
    by: float

    @property
    def under(self) -> bool:
        """Whether the number is too low, not too high."""
        return self.value <= self.span.low


@dataclass(frozen=True, slots=True)
class Explained:
    """A verdict with everything behind it: how near each rule's numbers are to where it turns (by id), what
    would change the verdict, and what would apply on paper only.
    """

    verdict: Verdict
    margins: Mapping[str, Sequence[Margin]]
    changes: Sequence[Change]
    on_paper: Sequence[Rule]


def explain(inputs: Inputs, rules: RuleSet | None = None) -> list[Explained]:
    """The positions of all authorities with everything behind them.

    Args: inputs: from `complete`; rules: else those of the catalogue.
    """
    return [
        Explained(
            found,
            {each.rule.id: margins(each.rule, inputs) for each in found.readings},
            changes(inputs, found.authority_group, rules),
            (rules or shipped()).on_paper(found.authority_group, inputs),
        )
        for found in verdicts(inputs, rules)
    ]


def margins(rule: Rule, inputs: Inputs) -> list[Margin]:
    """For each number that a rule compares: the nearest value at which it would turn, the others as they are.

    Numbers that alone turn nothing are not in it; nor is any, where it is not known what the rule covers.
    """
    now = rule.covers(inputs)
    found: list[Margin] = []
    for name in () if now is None else _numbers(rule.expressions):
        value = inputs[name]
        if not isinstance(value, float):
            continue
        pieces = spans(name, inputs, _limits([rule], name, inputs), rule.covers)
        turned = [
            Margin(name, value, span, _distance(value, span)) for span, truth in pieces if truth is not now
        ]
        found += sorted(turned, key=lambda each: each.by)[:1]
    return found


def changes(inputs: Inputs, authority_group: str, rules: RuleSet | None = None) -> list[Change]:
    """All that would change the position of an authority, one input at a time.

    >>> from gpufleet.models.export_inputs import complete
    >>> h20 = {"chip": "H20", "maker_hq": "US", "origin": "US", "dest": "CN", "hq": "CN", "tpp": 2368.0,
    ...        "pd": 2.909, "mem_bw_gbps": 4000.0, "io_gbps": 1028.0, "dc": 1.0, "date": "2025-05-01"}
    >>> found = changes(complete(h20), "us_export")
    >>> [(c.name, c.policy, c.first or c.last) for c in found if c.name == "date"]
    [('date', 'none', '2025-04-08'), ('date', 'approval_expected', '2025-07-14')]
    >>> [(c.name, c.policy, c.by) for c in found if c.name == "tpp"]
    [('tpp', 'presumption_of_denial', 2432.0)]
    """
    rules = rules or shipped()
    ask = partial(position, authority_group=authority_group, rules=rules)
    now = ask(inputs)
    read = rules.in_force(authority_group, str(inputs["date"]))
    names = {name for rule in read for each in rule.expressions for name in each.names}
    found: list[Change] = []
    for name, known in INPUTS.items():
        if name == "date":
            found += _dates(inputs, rules.of(authority_group), now, ask)
        elif name in names and known.kind == "number":
            found += _of_number(name, inputs, _limits(read, name, inputs), now, ask)
        elif name in names and name not in _OF_THE_PART:
            found += _of_choice(name, inputs, _choices(name, read), now, ask)
    return found


def spans(
    name: str, inputs: Inputs, limits: Iterable[float], ask: Callable[[Inputs], A]
) -> list[tuple[Span, A]]:
    """All numbers from zero up, cut where the answer changes.

    >>> [(s.low, s.high) for s, _ in spans("pd", {"pd": 1.0}, [1.6, 5.92], lambda i: i["pd"] >= 5.92)]
    [(0.0, 5.92), (5.92, None)]
    """
    points = sorted({0.0, *(limit for limit in limits if limit > 0)})
    pieces: list[tuple[Span, float]] = []
    for low, high in pairwise([*points, None]):
        assert low is not None
        pieces.append((Span(low, True, low, True), low))
        pieces.append((Span(low, False, high, False), low + 1 if high is None else (low + high) / 2))
    found: list[tuple[Span, A]] = []
    for span, sample in pieces:
        answer = ask({**inputs, name: sample})
        if found and found[-1][1] == answer:
            before = found.pop()[0]
            span = Span(before.low, before.low_in, span.high, span.high_in)
        found.append((span, answer))
    return found


def _of_number(
    name: str, inputs: Inputs, limits: Sequence[float], now: Position, ask: Callable[[Inputs], Position]
) -> Iterator[Change]:
    """The spans beside that of a number; if it is not known, all that lead elsewhere."""
    pieces = spans(name, inputs, limits, ask)
    value = inputs[name]
    if not isinstance(value, float):
        others = [(span, answer) for span, answer in pieces if answer != now]
    else:
        here = next((at for at, (span, _) in enumerate(pieces) if span.holds(value)), 0)
        others = [pieces[at] for at in (here - 1, here + 1) if 0 <= at < len(pieces)]
    for span, (licence, policy) in others:
        by = _distance(value, span) if isinstance(value, float) else None
        yield Change(name, licence, policy, span=span, by=by)


def _of_choice(
    name: str, inputs: Inputs, choices: Iterable[Value], now: Position, ask: Callable[[Inputs], Position]
) -> Iterator[Change]:
    """Other countries, words or flags, together where they lead to the same."""
    found: dict[Position, list[str]] = {}
    for each in choices:
        if each != inputs[name] and (answer := ask({**inputs, name: each})) != now:
            found.setdefault(answer, []).append(f"{each:.0f}" if isinstance(each, float) else str(each))
    for (licence, policy), values in found.items():
        yield Change(name, licence, policy, values=tuple(values))


def _choices(name: str, rules: Iterable[Rule]) -> Iterable[Value]:
    known = INPUTS[name]
    if known.kind == "flag":
        return (0.0, 1.0)
    if known.kind == "country":
        return tuple(countries())
    named = {word for rule in rules for each in rule.expressions for word in each.words.get(name, ())}
    return known.choices or tuple(sorted(named))


def _dates(
    inputs: Inputs, rules: Iterable[Rule], now: Position, ask: Callable[[Inputs], Position]
) -> Iterator[Change]:
    """The last day before, and the first day after, on which the position is another."""
    on = str(inputs["date"])
    days = sorted(turns(rules))
    for day in reversed([each for each in days if each <= on]):
        before = _next(day, -1)
        if (answer := ask({**inputs, "date": before})) != now:
            yield Change("date", *answer, last=before)
            break
    for day in (each for each in days if each > on):
        if (answer := ask({**inputs, "date": day})) != now:
            yield Change("date", *answer, first=day)
            break


def turns(rules: Iterable[Rule]) -> set[str]:
    """Days (YYYY-MM-DD) on which something may be otherwise than on the day before.

    >>> from gpufleet.models.export_rules import shipped_rules
    >>> sorted(turns(rule for rule in shipped_rules() if rule.id == "US-2025-07-14"))
    ['2025-07-14', '2025-08-11']
    """
    days: set[str] = set()
    for rule in rules:
        days |= {rule.row.effective_from or ""}
        days |= {_next(rule.row.effective_to, 1)} if rule.row.effective_to else set()
        named = {day for each in rule.expressions for day in each.dates}
        days |= named | {_next(day, 1) for day in named}
    return days - {""}


def _next(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _limits(rules: Iterable[Rule], name: str, inputs: Inputs) -> list[float]:
    """Numbers at which a comparison with an input turns."""
    every = (
        threshold.limit_of(name, inputs)
        for rule in rules
        for each in rule.expressions
        for threshold in each.thresholds
    )
    return sorted({limit for limit in every if limit is not None})


def _numbers(expressions: Iterable[Expression]) -> list[str]:
    named = {name for each in expressions for name in each.names}
    return [name for name, known in INPUTS.items() if name in named and known.kind == "number"]


def _distance(value: float, span: Span) -> float:
    """How far a number is from a span, without the noise of binary fractions."""
    away = span.low - value if value <= span.low else value - (span.high or value)
    return float(f"{away:.10g}")
