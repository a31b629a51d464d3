"""Export law as one plan has it: its rules, and what they say of its lots, day by day.

The rules are those of the catalogue, less what the plan repeals, and with its hypothetical ones. A lot is
asked about where its site has a country and it has not come yet. This is no legal advice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.errors import Finding, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.catalog.load import export_chips, gpus, resolve_chip
from gpufleet.catalog.rows import ExportRule
from gpufleet.models.export import RuleSet, Verdict, shipped, verdict
from gpufleet.models.export_changes import turns
from gpufleet.models.export_chip import chip_inputs
from gpufleet.models.export_expression import ExpressionError, read_expression
from gpufleet.models.export_inputs import BY_COLUMN, Value, complete
from gpufleet.models.export_policies import AUTHORITIES, DUTY_FREE, NONE, UNKNOWN
from gpufleet.models.export_rules import Rule, compile_rules
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.chain_walk import crosses

if TYPE_CHECKING:
    from gpufleet.plan import Delivery, Plan
    from gpufleet.plan.law import Export, LawRule

GB300_TPP: Final = 60_000.0
"""Total processing performance of a GB300, in whose number rules count."""

PREFIX: Final = "rules."
"""What ids of hypothetical rules begin with: their path in the plan."""

PRACTICE: Final[Mapping[str, float]] = {
    "licence_with_15pct_revenue_share": 0.15,
    "licensed_to_named_buyer": 0.0,
}
"""Policies that say themselves that the licence is given, with the share of the revenue that it costs."""

_STRICTEST_FIRST: Final = (
    *("buyer_side_ban", "buyer_side_block", "buyer_side_stop", "duty_25_percent"),
    *("presumption_of_denial", "banned_in_practice", "case_by_case", "presumption_of_approval", UNKNOWN),
    *("approval_expected", *PRACTICE, "nac_notification", "nac_no_notification", "aca"),
    *("enforcement_risk", DUTY_FREE, NONE),
)
"""Every policy, of several authorities in one list."""

UNREADABLE_RULE: Final = explain_code(
    "P222",
    "expression of a hypothetical rule that cannot be read",
    "`when` is an expression as rules of export law have it: numbers, texts in quotes, names of inputs and "
    "groups, comparisons, `in`, `+`, `not`, `and`, `or`, brackets.",
    "rules:\n  feared: {to: KR, from: 2027-04-01, when: tpp=>4800}      # write tpp>=4800",
).code


class Band(NamedTuple):
    """What an authority says of a lot from one day to the day before another; None: no end."""

    first: date
    until: date | None
    verdict: Verdict


@dataclass(frozen=True)
class Law:
    """The rules of a plan, asked about its lots. Raises nothing: what is wrong is in `findings`.

    >>> from gpufleet.world.law import hypothetical
    >>> hypothetical("rules.freeze"), hypothetical("US-2025-04-09")
    (True, False)
    """

    plan: Plan
    rules: RuleSet  # of the catalogue, less what is repealed
    own: RuleSet  # of the plan
    findings: tuple[Finding, ...]
    _inputs: dict[str, dict[str, Value]] = field(default_factory=dict)
    _verdicts: dict[tuple[str, str], Mapping[str, Verdict]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Law:
        """The law as a plan has it."""
        found: list[Finding] = []
        own = RuleSet(_own_rules(plan, found))
        return cls(plan, RuleSet(_left(plan)), own, tuple(found))

    @cached_property
    def days(self) -> tuple[str, ...]:
        """Days on which any verdict may turn, by rules of the catalogue and of the plan."""
        evaluated = (rule for rule in self.every_rule if rule.row.role != "info")
        return tuple(sorted(turns(evaluated)))

    @property
    def read_on(self) -> date:
        """The last day that the sources of the rules of the catalogue reach."""
        return date.fromisoformat(shipped().read_on)

    @property
    def every_rule(self) -> tuple[Rule, ...]:
        """Rules of the catalogue, in the times in which they are left, and of the plan."""
        return (*self.rules.rules, *self.own.rules)

    def held(self, lot: Delivery) -> bool:
        """Whether law is asked about a lot: it crosses a border, and is not cancelled before it comes."""
        return crosses(self.plan, lot) and not (lot.stopped and lot.at >= NEVER)

    def authorities(self, lot: Delivery) -> tuple[str, ...]:
        """Authorities that have a say: where no border is crossed, only that of the buyer's side."""
        inputs = self.inputs(lot)
        return ("cn",) if inputs["origin"] == inputs["dest"] else tuple(AUTHORITIES)

    def inputs(self, lot: Delivery) -> Mapping[str, Value]:
        """What rules read of a lot, but the date."""
        if lot.name not in self._inputs:
            self._inputs[lot.name] = self._inputs_of(lot)
        return self._inputs[lot.name]

    def verdicts(self, lot: Delivery, day: date) -> Mapping[str, Verdict]:
        """The verdicts of all authorities that have a say, on a day at the lot's site."""
        key = lot.name, self._turn(day)
        if key not in self._verdicts:
            asked = {**self.inputs(lot), "date": day.isoformat()}
            self._verdicts[key] = {
                group: _stricter(verdict(asked, group, self.rules), verdict(asked, group, self.own))
                for group in self.authorities(lot)
            }
        return self._verdicts[key]

    def bands(self, lot: Delivery, first: date, until: date) -> Iterator[Band]:
        """The verdicts on a lot over some days, each as long as it stays the same; `until` is not asked."""
        days = [first, *(day for text in self.days if first < (day := date.fromisoformat(text)) < until)]
        for group in self.authorities(lot):
            begun, now = first, self.verdicts(lot, first)[group]
            for day in days[1:]:
                then = self.verdicts(lot, day)[group]
                if not _same(now, then):
                    yield Band(begun, day, now)
                    begun, now = day, then
            yield Band(begun, None, now)

    def place(self, verdict: Verdict) -> Place | None:
        """The line of the first hypothetical rule behind a verdict."""
        found = (rule.at for rule in verdict.decided_by if hypothetical(rule.id))
        return next(found, None)

    def midnight(self, lot: Delivery, day: date) -> datetime:
        """When a day begins at the site of a lot, UTC."""
        zone = ZoneInfo(self.plan.sites[lot.to].time_zone)
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    def _turn(self, day: date) -> str:
        """The last day up to a day on which any verdict may have turned."""
        at = bisect_right(self.days, day.isoformat())
        return self.days[at - 1] if at else ""

    def _inputs_of(self, lot: Delivery) -> dict[str, Value]:
        plan, site = self.plan, self.plan.sites[lot.to]
        tenant = plan.tenants[lot.tenant] if lot.tenant else None
        stated = _stated(lot.export)
        given = {**chip_of(plan.systems[lot.system].product), **stated}
        buyer = lot.buyer.name if lot.buyer and lot.buyer.name else lot.tenant or ""
        headquarters = (lot.buyer and lot.buyer.hq) or (tenant and tenant.hq) or site.country
        given |= {
            "dest": site.country,
            "hq": headquarters,
            "origin": lot.ships_from or given["maker_hq"] or "US",
            "buyer": self._as_named(buyer),
            "date": "",
        }
        if "quantity" not in stated:
            given["quantity"] = self._quantity(lot)
        return complete(given)

    def _as_named(self, buyer: str) -> str:
        """A buyer as rules write it, whatever its capitals."""
        named = {
            word for rule in self.every_rule for e in rule.expressions for word in e.words.get("buyer", ())
        }
        return next((word for word in sorted(named) if word.casefold() == buyer.casefold()), buyer)

    def _quantity(self, lot: Delivery) -> float | None:
        """GB300 equivalents of a lot and of those before it to the same buyer in the same country."""
        total = 0.0
        for other in _before(self.plan, lot):
            tpp = _stated(other.export).get("tpp") or chip_of(self.plan.systems[other.system].product)["tpp"]
            if not isinstance(tpp, float):
                return None
            total += other.gpus * tpp / GB300_TPP
        return total


def asks_law(plan: Plan) -> bool:
    """Whether a plan asks about export law: a site has a country, or it has licences or rules."""
    return bool(plan.licences or plan.rules or any(site.country for site in plan.sites.values()))


def hypothetical(rule_id: str) -> bool:
    """Whether a rule is one of the plan and not of the catalogue."""
    return rule_id.startswith(PREFIX)


def cited(verdict: Verdict) -> str:
    """The rules behind a verdict, to be looked up; hypothetical ones are marked."""
    rules = [
        say("{rule} ({place}, hypothetical)", rule=rule.id, place=str(rule.at))
        if hypothetical(rule.id)
        else rule.citation
        for rule in verdict.cited
    ]
    return say("{rules:; }", rules=rules)


def chip_of(product: str) -> dict[str, Value]:
    """What rules read of a product; of one of the plan's own nothing is known but its name.

    >>> chip_of("H20")["tpp"], chip_of("my own")["tpp"]
    (2368.0, None)
    """
    if product in gpus() or product in export_chips():
        return chip_inputs(resolve_chip(product))
    return {"chip": product, "maker_hq": "", "tpp": None}


def ready_of(lot: Delivery) -> datetime:
    """When a lot would be shipped if no law held it: as planned."""
    return lot.to_ship or lot.at


def in_order(plan: Plan) -> list[int]:
    """Rows of deliveries in the order in which they are planned."""
    return sorted(range(len(plan.deliveries)), key=lambda i: (ready_of(plan.deliveries[i]), i))


def _before(plan: Plan, lot: Delivery) -> Iterator[Delivery]:
    """The lots of the same buyer in the same country up to this one, and this one."""
    whose = _whose(plan, lot)
    rows = [plan.deliveries[i] for i in in_order(plan)]
    if not whose[0] or lot.name not in (each.name for each in rows):
        yield lot
        return
    for each in rows:
        if each.name == lot.name:
            yield lot
            return
        if _whose(plan, each) == whose:
            yield each


def _whose(plan: Plan, lot: Delivery) -> tuple[str, str | None]:
    name = (lot.buyer.name if lot.buyer else "") or lot.tenant or ""
    return name.casefold(), plan.sites[lot.to].country


def _stated(export: Export | None) -> dict[str, Value]:
    """What a lot says itself, by the names of inputs."""
    if export is None:
        return {}
    said = {column: getattr(export, column) for column in type(export).model_fields if column in BY_COLUMN}
    return {
        BY_COLUMN[column].name: float(value) if isinstance(value, int | float) else value
        for column, value in said.items()
        if value is not None
    }


def _stricter(catalogue: Verdict, own: Verdict) -> Verdict:
    """What two sets of rules say together. A policy that a rule of the catalogue replaces is replaced in the
    catalogue only: a hypothetical ban holds whatever practice there is.
    """
    strict, other = sorted((catalogue, own), key=lambda each: _STRICTEST_FIRST.index(each.policy))
    return replace(strict, readings=(*strict.readings, *other.readings)) if other.readings else strict


def _same(one: Verdict, other: Verdict) -> bool:
    return (one.licence_required, one.policy, one.decided_by, one.undecided) == (
        other.licence_required,
        other.policy,
        other.decided_by,
        other.undecided,
    )


def undecided(verdict: Verdict) -> tuple[str, ...]:
    """Columns of the inputs that are not known and on which a verdict hangs; empty if it is decided."""
    names = {each.name: column for column, each in BY_COLUMN.items()}
    return tuple(names[name] for name in verdict.undecided)


# --- rules --------------------------------------------------------------------------------------------------


def _left(plan: Plan) -> Iterator[Rule]:
    """The rules of the catalogue, in the times in which the plan does not repeal them."""
    for rule in shipped().rules:
        spans = [
            _days(plan, each) for each in plan.rules.values() if rule.id in each.repeals and not _empty(each)
        ]
        yield from _cut(rule, sorted(spans)) if spans else (rule,)


_NEVER: Final = "9999-12-31"


def _cut(rule: Rule, gone: Iterable[tuple[str, str]]) -> Iterator[Rule]:
    """A rule without some times: what is left of it, each as a rule of the same id."""
    first, last = rule.row.effective_from or "", rule.row.effective_to or ""
    for begins, until in gone:
        if first < begins:
            yield _dated(rule, first, min(filter(None, (last, _day_before(begins)))))
        first = max(first, until) if until else _NEVER
    if first != _NEVER and (not last or first <= last):
        yield _dated(rule, first, last)


def _dated(rule: Rule, first: str, last: str) -> Rule:
    return replace(rule, row=replace(rule.row, effective_from=first, effective_to=last or None))


def _days(plan: Plan, rule: LawRule) -> tuple[str, str]:
    """First day of a rule, and the first day on which it does not hold any more; "" = none."""
    until = plan.local(rule.until).date().isoformat() if rule.until else ""
    return plan.local(rule.from_).date().isoformat(), until


def _day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _empty(rule: LawRule) -> bool:
    """Whether a rule never holds: where ranges of its dates overlap, it may be so at their ends."""
    return rule.until is not None and rule.until <= rule.from_


def _own_rules(plan: Plan, found: list[Finding]) -> Iterator[Rule]:
    """The hypothetical rules of a plan; what is wrong with them is told."""
    for name, rule in plan.rules.items():
        if rule.imposes is None or _empty(rule):
            continue
        at = plan.line(f"{PREFIX}{name}.when") or rule.line
        try:
            if rule.when:
                read_expression(rule.when)
        except ExpressionError as error:
            says = say("`when`: {says}", says=error.says)
            found.append(finding(UNREADABLE_RULE, says, error.fix, at))
            continue
        yield from compile_rules([(_row(plan, name, rule), rule.line)])


def _row(plan: Plan, name: str, rule: LawRule) -> ExportRule:
    """A rule of the plan as a row of the catalogue."""
    first, until = _days(plan, rule)
    covers = [_among("chip", (chip_of(each)["chip"] for each in rule.products))] if rule.products else []
    covers += [f"({rule.when})"] if rule.when else []
    licence = {"us_import": "no", "cn": "n/a"}.get(rule.authority, "yes")
    return ExportRule(
        id=f"{PREFIX}{name}",
        line=rule.line.line,
        title=rule.title or name,
        instrument="hypothetical rule of the plan",
        citation=None,
        published=first,
        effective_from=first,
        effective_to=_day_before(until) if until else None,
        read_on=shipped().read_on,
        authority=rule.authority,
        authority_group=rule.authority,
        role="imposes",
        modifies=None,
        destination_expr=_among("dest", rule.to),
        entity_hq_expr=_among("hq", rule.hq),
        combine="AND",
        formula_a=" and ".join(covers) or "True",
        formula_b=None,
        exclusion_expr=None,
        licence_required="risk" if rule.imposes == "enforcement_risk" else licence,
        policy_expr=f"else => {rule.imposes}",
        scope="",
        excluded=None,
        exceptions=None,
        conditions=None,
        status="hypothetical",
        source=rule.source,
        trust="assumption",
        note=None,
    )


def _among(name: str, words: Iterable[Value]) -> str:
    named = sorted({repr(str(word)) for word in words})
    return f"{name} in {{{','.join(named)}}}" if named else "True"
