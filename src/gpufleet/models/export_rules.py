"""Rules of export law, read from rows of the catalogue: when they are in force, for whom, for what.

A rule is data. Nothing here knows any one of them; a new rule is a row of ``catalog/export_rules.csv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.catalog.load import export_rules
from gpufleet.catalog.rows import ExportRule
from gpufleet.models.export_expression import Expression, ExpressionError, read_expression
from gpufleet.models.export_inputs import INPUTS, Inputs, is_date
from gpufleet.models.export_policies import AUTHORITIES
from gpufleet.models.export_truth import Truth, all_true, any_true, not_true

_CODES: Final = """
C041 an expression of an export rule that cannot be read
An export rule says in expressions for whom it is and what it covers. They hold numbers, texts in quotes, the
names of inputs and groups, comparisons, `in`, `+`, `not`, `and`, `or` and brackets, and nothing else.
    tpp=>4800      # write tpp>=4800

C042 an export rule that cannot be used
Something other than an expression is wrong with a rule: a date, a role, a policy that no authority has, an id
that another rule has, one that replaces the policy of a rule that is not there.
    role: impose      # did you mean `imposes`?
"""

explain_codes(_CODES)

ROLES: Final = ("imposes", "sets_policy", "info")
_COMBINE: Final = ("OR", "AND")
_EXPRESSIONS: Final = ("destination_expr", "entity_hq_expr", "formula_a", "formula_b", "exclusion_expr")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that can be asked.

    >>> rule = next(each for each in shipped_rules() if each.id == "US-2022-08-26")
    >>> rule.in_force("2022-08-25"), rule.in_force("2022-08-26")
    (False, True)
    >>> rule.citation
    'company letters under EAR 744.21/744.23, 2022-08-31'
    """

    row: ExportRule
    at: Place
    destination: Expression
    headquarters: Expression
    formulas: tuple[Expression, ...]
    exclusion: Expression | None
    branches: tuple[tuple[Expression | None, str], ...]
    """Conditions and policies, the last without condition."""

    @property
    def id(self) -> str:
        """The name of its row."""
        return self.row.id

    @property
    def citation(self) -> str:
        """Where it stands; of letters and practice, what and when it was."""
        instrument, published = self.row.instrument, self.row.published
        return self.row.citation or (instrument if published in instrument else f"{instrument}, {published}")

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All of its expressions."""
        conditions = (condition for condition, _ in self.branches if condition)
        excluded = (self.exclusion,) if self.exclusion else ()
        return (self.destination, self.headquarters, *self.formulas, *excluded, *conditions)

    def in_force(self, on: str) -> bool:
        """Whether the rule is in force on a date (YYYY-MM-DD)."""
        return self.row.role != "info" and self._covers_date(on)

    def on_paper(self, inputs: Inputs) -> bool:
        """Whether it is for information only, and would apply to a shipment if it were a rule in force."""
        dated = self.row.role == "info" and self._covers_date(str(inputs["date"]))
        return dated and self.applies(inputs) is True

    def _covers_date(self, on: str) -> bool:
        first, last = self.row.effective_from, self.row.effective_to
        return first is not None and first <= on and (not last or on <= last)

    def concerns(self, inputs: Inputs) -> Truth:
        """Whether it is for this destination and headquarters."""
        both = (self.destination.truth(inputs), self.headquarters.truth(inputs))
        return any_true(both) if self.row.combine == "OR" else all_true(both)

    def covers(self, inputs: Inputs) -> Truth:
        """Whether it is about these goods: one of its formulas, and not excluded."""
        covered = any_true([each.truth(inputs) for each in self.formulas])
        if self.exclusion is None or covered is False:
            return covered
        return all_true((covered, not_true(self.exclusion.truth(inputs))))

    def applies(self, inputs: Inputs) -> Truth:
        """Whether it applies to a shipment, if it is in force."""
        concerned = self.concerns(inputs)
        return False if concerned is False else all_true((concerned, self.covers(inputs)))

    def not_met(self, inputs: Inputs) -> tuple[str, ...]:
        """Conditions of what it covers that are false, as they are written; of two formulas none.

        >>> rule = next(each for each in shipped_rules() if each.id == "US-2024-12-02")
        >>> rule.not_met({"item_kind": "ic", "hbm_density": None})
        ("item_kind=='hbm_stack'",)
        """
        if len(self.formulas) > 1:
            return ()
        return tuple(
            text for formula in self.formulas for text, truth in formula.conditions if truth(inputs) is False
        )

    def policy(self, inputs: Inputs) -> str:
        """The policy of the first condition that is true; one that is unknown is passed over."""
        return next(policy for held, policy in self._branches(inputs) if held)

    def policies(self, inputs: Inputs) -> tuple[str, ...]:
        """What the policy may be, if all inputs were known; one, if it does not depend on those that are not.

        A flag that is not known is tried both ways, because conditions that read the same flag hang together.
        """
        open_branches = list(self._open_branches(inputs))
        found = tuple(dict.fromkeys(policy for _, policy in open_branches))
        if len(found) == 1:
            return found
        unknown = {name for each, _ in open_branches if each for name in each.undecided(inputs)}
        flag = min((name for name in unknown if INPUTS[name].kind == "flag"), default=None)
        if flag is None:
            return found
        tried = (self.policies({**inputs, flag: value}) for value in (0.0, 1.0))
        return tuple(dict.fromkeys(policy for each in tried for policy in each))

    def undecided(self, inputs: Inputs) -> frozenset[str]:
        """Inputs that are not known and leave open whether it applies, or with which policy."""
        applies = self.applies(inputs)
        if applies is False:
            return frozenset()
        asked: list[Expression] = []
        if applies:
            asked = [condition for condition, _ in self._open_branches(inputs) if condition]
        elif any_true([each.truth(inputs) for each in self.formulas]) is None:
            asked = list(self.formulas)
        if applies is None:
            asked += [self.destination, self.headquarters, *filter(None, (self.exclusion,))]
        return frozenset().union(*(each.undecided(inputs) for each in asked))

    def _branches(self, inputs: Inputs) -> Iterator[tuple[Truth, str]]:
        """Whether each condition is true, with its policy; the last always is."""
        for condition, policy in self.branches:
            yield True if condition is None else condition.truth(inputs), policy

    def _open_branches(self, inputs: Inputs) -> Iterator[tuple[Expression | None, str]]:
        """Branches that may be the first true one."""
        for condition, policy in self.branches:
            held = True if condition is None else condition.truth(inputs)
            if held is not False:
                yield condition, policy
            if held:
                return


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules of the catalogue. Raises: GpufleetError C041, C042 with the line of each that is damaged."""
    return compile_rules((row, Place(row.file, row.line)) for row in export_rules().values())


def compile_rules(rows: Iterable[tuple[ExportRule, Place]], beside: Iterable[Rule] = ()) -> tuple[Rule, ...]:
    """Read rules.

    Args:    rows: with the place of each; beside: rules that are there already, and are part of the result.
    Raises:  GpufleetError C041, C042 with everything that is wrong with all of them.
    """
    rules, found = list(beside), []
    known = {rule.id: rule.at for rule in rules}
    for row, at in rows:
        rule, wrong = _compile(row, at)
        if row.id in known:
            says = say("{id} is there already ({at})", id=row.id, at=str(known[row.id]))
            wrong.append(finding("C042", says, say("give it another id"), at))
        known[row.id] = at
        found += wrong
        if rule and not wrong:
            rules.append(rule)
    for rule in () if found else rules:
        for name in _modified(rule.row):
            if name not in known:
                says = say("modifies: there is no rule `{name}`", name=name)
                found.append(finding("C042", says, did_you_mean(name, known), rule.at))
    if found:
        raise GpufleetError(*found)
    return tuple(rules)


def modifies(rule: Rule, other: Rule) -> bool:
    """Whether one rule names the other as one whose policy it replaces."""
    return other.id in _modified(rule.row)


def _modified(row: ExportRule) -> list[str]:
    return [name.strip() for name in (row.modifies or "").split(";") if name.strip()]


def _compile(row: ExportRule, at: Place) -> tuple[Rule | None, list[Finding]]:
    found = [finding("C042", says, fix, at) for says, fix in _faults(row)]
    read: dict[str, Expression | None] = {}
    for column in _EXPRESSIONS:
        text = getattr(row, column)
        needed = column in _EXPRESSIONS[:2]
        read[column] = _expression(text or "", column, at, found.append) if text or needed else None
    branches = _branches(row, at, found.append) if row.role != "info" else []
    destination, headquarters = read["destination_expr"], read["entity_hq_expr"]
    if destination is None or headquarters is None:
        return None, found
    formulas = tuple(each for each in (read["formula_a"], read["formula_b"]) if each)
    exclusion = read["exclusion_expr"]
    return Rule(row, at, destination, headquarters, formulas, exclusion, tuple(branches)), found


def _expression(text: str, column: str, at: Place, tell: Callable[[Finding], None]) -> Expression | None:
    try:
        return read_expression(text)
    except ExpressionError as error:
        tell(finding("C041", say("{column}: {says}", column=column, says=error.says), error.fix, at))
        return None


def _branches(
    row: ExportRule, at: Place, tell: Callable[[Finding], None]
) -> list[tuple[Expression | None, str]]:
    """``condition => policy; ... else => policy``."""
    branches: list[tuple[Expression | None, str]] = []
    parts = [part.strip() for part in (row.policy_expr or "").split(";") if part.strip()]
    authority = AUTHORITIES.get(row.authority_group)
    for number, part in enumerate(parts, 1):
        text, arrow, policy = (each.strip() for each in part.rpartition("=>"))
        last = number == len(parts)
        if not arrow or not text or (text == "else") is not last:
            says = say("policy_expr: `{part}` is no `condition => policy`, with `else` at the end", part=part)
            tell(finding("C041", says, say("write e.g. `{example}`", example=_EXAMPLE), at))
            continue
        if authority:
            words = authority.strictest_first
            if row.role == "sets_policy":
                words += authority.by_setting_only
            if policy not in words:
                says = say(
                    "policy_expr: `{policy}` is no policy of {group}",
                    policy=policy,
                    group=row.authority_group,
                )
                tell(finding("C042", says, did_you_mean(policy, words), at))
        condition = None if last else _expression(text, "policy_expr", at, tell)
        branches.append((condition, policy))
    if not parts:
        says = say("policy_expr is empty")
        tell(finding("C041", says, say("write e.g. `{example}`", example=_EXAMPLE), at))
    return branches


_EXAMPLE: Final = "hq in MO_D5 => presumption_of_denial; else => case_by_case"


def _faults(row: ExportRule) -> Iterator[tuple[str, str]]:
    """What is wrong beside the expressions: says, fix."""
    for column, words in (("role", ROLES), ("combine", _COMBINE), ("authority_group", tuple(AUTHORITIES))):
        given = getattr(row, column)
        if given not in words:
            yield say("{column} is `{given}`", column=column, given=given), did_you_mean(given, words)
    if row.role == "info":
        return
    if not (row.formula_a or row.formula_b):
        yield say("formula_a and formula_b are empty"), say("say what it covers, or make its role `info`")
    if row.role == "sets_policy" and not _modified(row):
        yield say("modifies is empty"), say("name the rule whose policy it replaces")
    yield from _licence(row)
    yield from _dates(row)


def _licence(row: ExportRule) -> Iterator[tuple[str, str]]:
    authority = AUTHORITIES.get(row.authority_group)
    if row.role == "imposes" and authority and row.licence_required not in authority.licences:
        says = say("licence_required is `{given}`", given=row.licence_required or "")
        yield (
            says,
            say("a rule of {group} has {words: or }", group=row.authority_group, words=authority.licences),
        )


def _dates(row: ExportRule) -> Iterator[tuple[str, str]]:
    first, last = row.effective_from, row.effective_to
    for column, given in (("effective_from", first or ""), ("effective_to", last)):
        if given is not None and not is_date(given):
            yield (
                say("{column} is `{given}`", column=column, given=given),
                say("write e.g. {example}", example="2025-04-09"),
            )
            return
    if first and last and last < first:
        yield (
            say(
                "it ends on {last}, before it begins on {first}",
                last=date.fromisoformat(last),
                first=date.fromisoformat(first),
            ),
            say("exchange the two dates"),
        )
