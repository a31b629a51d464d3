"""The slow twin of export verdicts: written from docs/explanation/export.md alone, straight from the rows.

Reads every expression anew for every question, with a parser of its own, and shares nothing with
`gpufleet.models` but the rows of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpufleet.catalog import ExportRule, countries, export_rules

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|'([^']*)'|(<=|>=|==|!=|<|>|[(){},+])|([A-Za-z_]\w*))")
STRICTEST = {
    "us_export": [
        *("presumption_of_denial", "banned_in_practice", "case_by_case", "presumption_of_approval"),
        *("nac_notification", "nac_no_notification", "enforcement_risk"),
    ],
    "us_import": ["duty_25_percent"],
    "cn": ["buyer_side_ban", "buyer_side_block", "buyer_side_stop"],
}
Shipment = Mapping[str, Any]


def both(a: Any, b: Any) -> Any:
    return False if a is False or b is False else None if a is None or b is None else True


def either(a: Any, b: Any) -> Any:
    return True if a is True or b is True else None if a is None or b is None else False


def opposite(a: Any) -> Any:
    return None if a is None else not a


class Parser:
    """expr := and ("or" and)*;  and := not ("and" not)*;  not := "not" not | "(" expr ")" | test"""

    def __init__(self, text: str, shipment: Shipment) -> None:
        self.tokens = [m.groups() for m in TOKEN.finditer(text)]
        self.at, self.shipment = 0, shipment

    def next(self) -> str:
        return next((t for t in self.tokens[self.at][2:] if t), "") if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        if self.next() in words:
            self.at += 1
            return True
        return False

    def whole(self) -> Any:
        found = self.any()
        assert self.at == len(self.tokens)
        return found

    def any(self) -> Any:
        found = self.all()
        while self.take("or"):
            found = either(found, self.all())
        return found

    def all(self) -> Any:
        found = self.negated()
        while self.take("and"):
            found = both(found, self.negated())
        return found

    def negated(self) -> Any:
        if self.take("not"):
            return opposite(self.negated())
        if self.take("("):
            found = self.any()
            assert self.take(")")
            return found
        return self.test()

    def test(self) -> Any:
        left = self.value()
        if isinstance(left, bool):
            return left
        found: Any = True
        while (sign := self.next()) in ("<", "<=", ">", ">=", "==", "!=", "in", "not"):
            self.at += 1
            if sign == "not":
                assert self.take("in")
                found = both(found, opposite(self.member(left)))
            elif sign == "in":
                found = both(found, self.member(left))
            else:
                right = self.value()
                found = both(found, self.compared(left, sign, right))
                left = right
        return found

    @staticmethod
    def compared(a: Any, sign: str, b: Any) -> Any:
        if a is None or b is None:
            return None
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}[sign]

    def member(self, value: Any) -> Any:
        if self.take("{"):
            texts = set()
            while not self.take("}"):
                texts.add(self.value())
                self.take(",")
            return value in texts
        group = self.next()
        self.at += 1
        row = countries()[value]
        return any(getattr(row, name.lower()) for name in group.split("_"))

    def value(self) -> Any:
        number, text, _, name = self.tokens[self.at]
        self.at += 1
        found: Any = text
        if number:
            found = float(number)
        elif name in ("True", "False"):
            return name == "True"
        elif name:
            found = self.shipment[name]
        if self.take("+"):
            more = self.value()
            return None if found is None or more is None else found + more
        return found


def truth(text: str | None, shipment: Shipment) -> Any:
    return Parser(text, shipment).whole() if text else False


def applies(rule: ExportRule, shipment: Shipment) -> Any:
    where, whose = truth(rule.destination_expr, shipment), truth(rule.entity_hq_expr, shipment)
    who = either(where, whose) if rule.combine == "OR" else both(where, whose)
    what = either(truth(rule.formula_a, shipment), truth(rule.formula_b, shipment))
    return both(both(who, what), opposite(truth(rule.exclusion_expr, shipment)))


def policy_of(rule: ExportRule, shipment: Shipment) -> str:
    """The first that is true; what is unknown is not true."""
    branches = [
        [part.strip() for part in each.rsplit("=>", 1)] for each in (rule.policy_expr or "").split(";")
    ]
    for condition, policy in branches:
        found = True if condition == "else" else truth(condition, shipment)
        if found is True:
            return policy
    raise AssertionError(rule.id)


def twin(shipment: Shipment, group: str) -> tuple[str, str]:
    """`licence_required` and `policy` of an authority."""
    on = shipment["date"]
    rules = [
        (rule, applies(rule, shipment))
        for rule in export_rules().values()
        if rule.authority_group == group and rule.role != "info"
        if rule.effective_from <= on and (not rule.effective_to or on <= rule.effective_to)  # type: ignore[operator]
    ]
    imposing = [(rule, found) for rule, found in rules if rule.role == "imposes"]
    hits = [rule for rule, found in imposing if found]
    licence = licence_of(imposing, group, shipment["dest"] == "US")
    if licence == "unknown":
        return licence, "unknown"
    if not hits:
        if group != "us_export" and any(found is None for _, found in imposing):
            return licence, "unknown"
        return licence, "duty_0" if group == "us_import" and shipment["dest"] == "US" else "none"
    sets = [
        r for r, found in rules if found and r.role == "sets_policy" and r.modifies in {h.id for h in hits}
    ]
    if sets:
        return licence, policy_of(max(sets, key=lambda rule: str(rule.effective_from)), shipment)
    policies = {policy_of(rule, shipment) for rule in hits}
    return licence, min(policies, key=STRICTEST[group].index)


def licence_of(imposing: list[tuple[ExportRule, Any]], group: str, into_us: bool) -> str:
    if group == "cn":
        return "n/a"
    if group == "us_import":
        return "no" if into_us else "n/a"
    for word in ("yes", "risk"):
        found = [truth for rule, truth in imposing if rule.licence_required == word]
        if True in found:
            return word
        if None in found:
            return "unknown"
    return "no"
