"""What export law says about a shipment: one position for each of three authorities.

This is engineering data and no legal advice. How a verdict comes about stands in docs/explanation/export.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from gpufleet.base.say import Said, say
from gpufleet.models.export_inputs import INPUTS, Inputs
from gpufleet.models.export_policies import (
    AUTHORITIES,
    DUTY_FREE,
    NONE,
    POLICIES,
    UNKNOWN,
    Policy,
    strictest,
)
from gpufleet.models.export_rules import Rule, modifies, shipped_rules
from gpufleet.models.export_truth import Truth

NO_ADVICE: Final[Said] = say("This is engineering data, no legal advice.")


@dataclass(frozen=True, slots=True)
class Reading:
    """One rule that was in force, and whether it applies to a shipment."""

    rule: Rule
    applies: Truth
    undecided: tuple[str, ...]
    """Inputs that are not known and leave open whether it applies, or with which policy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The position of one authority.

    `licence_required` is yes, no, risk, unknown or n/a; `policy` a key of `POLICIES`. `decided_by` are the
    rules behind it: none where nothing applies. `undecided` are the inputs that are not known and on which it
    depends; `may_be` what the policy may be besides, if those were known and it is decided all the same: the
    first condition of a rule that is true decides, one before it may be unknown. `readings` has every rule of
    the authority that was in force.
    """

    authority_group: str
    licence_required: str
    policy: str
    decided_by: tuple[Rule, ...]
    undecided: tuple[str, ...]
    readings: tuple[Reading, ...]
    to_come: tuple[Rule, ...] = ()
    """The first rule of the authority, where none was in force yet."""
    may_be: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """What it comes to: not controlled, exception, licence, banned, risk, duty or unknown."""
        return POLICIES[self.policy].outcome

    @property
    def meaning(self) -> Policy:
        """The policy in words."""
        return POLICIES[self.policy]

    @property
    def cited(self) -> tuple[Rule, ...]:
        """The rules to cite: those behind it; if none applies, all that were read; else the first to come."""
        return self.decided_by or tuple(each.rule for each in self.readings) or self.to_come

    @property
    def not_counted(self) -> tuple[Reading, ...]:
        """Rules that might apply besides, if an input that is not known were known."""
        if self.policy == UNKNOWN:
            return ()
        return tuple(each for each in self.readings if each.applies is None)


class RuleSet:
    """Rules that are asked together; those of an authority on a date are found once.

    >>> len(shipped().rules), [rule.id for rule in shipped().in_force("cn", "2025-12-01")]
    (26, ['CN-2025-09-15', 'CN-2025-11-05'])
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._found: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def of(self, authority_group: str) -> tuple[Rule, ...]:
        """Rules of an authority that are evaluated, on whatever date."""
        return tuple(
            r for r in self.rules if r.row.authority_group == authority_group and r.row.role != "info"
        )

    def in_force(self, authority_group: str, on: str) -> tuple[Rule, ...]:
        """Rules of an authority on a date (YYYY-MM-DD)."""
        key = (authority_group, on)
        if key not in self._found:
            self._found[key] = tuple(rule for rule in self.of(authority_group) if rule.in_force(on))
        return self._found[key]

    def on_paper(self, authority_group: str, inputs: Inputs) -> tuple[Rule, ...]:
        """Rules that were never in force, announcements and guidance that would be about a shipment."""
        return tuple(r for r in self.rules if r.row.authority_group == authority_group and r.on_paper(inputs))

    def first_of(self, authority_group: str) -> tuple[Rule, ...]:
        """The earliest rule of an authority; empty if it has none."""
        return tuple(sorted(self.of(authority_group), key=lambda rule: str(rule.row.effective_from))[:1])

    @property
    def first_day(self) -> str:
        """The first day on which any rule was in force."""
        return min(r.row.effective_from for r in self.rules if r.row.role != "info" and r.row.effective_from)

    @property
    def read_on(self) -> str:
        """The last day that the sources of all rules reach."""
        return min(rule.row.read_on for rule in self.rules if rule.row.read_on)


@cache
def shipped() -> RuleSet:
    """The rules of the catalogue. Raises: GpufleetError C041, C042 if it is damaged."""
    return RuleSet(shipped_rules())


def verdicts(inputs: Inputs, rules: RuleSet | None = None) -> tuple[Verdict, ...]:
    """The positions of all authorities on a shipment.

    Args:    inputs: from `complete`; rules: else those of the catalogue.
    Source:  README of the compiled rules; held against the labelled cases in tests/against/test_export.py.

    >>> from gpufleet.models.export_inputs import complete
    >>> h20 = {"chip": "H20", "maker_hq": "US", "origin": "US", "dest": "CN", "hq": "CN", "tpp": 2368.0,
    ...        "pd": 2.909, "mem_bw_gbps": 4000.0, "io_gbps": 1028.0, "dc": 1.0}
    >>> [v.policy for v in verdicts(complete({**h20, "date": "2025-04-08"}))]
    ['none', 'none', 'none']
    >>> found = verdicts(complete({**h20, "date": "2025-10-01"}))
    >>> [(v.licence_required, v.policy) for v in found]
    [('yes', 'licence_with_15pct_revenue_share'), ('n/a', 'none'), ('n/a', 'buyer_side_stop')]
    >>> [rule.id for rule in found[0].decided_by]
    ['US-2025-08-11', 'US-2025-04-09']
    """
    return tuple(verdict(inputs, group, rules) for group in AUTHORITIES)


def verdict(inputs: Inputs, authority_group: str, rules: RuleSet | None = None) -> Verdict:
    """The position of one authority; as `verdicts`."""
    rules = rules or shipped()
    found = _Question(inputs, authority_group, rules)
    policy, decided_by = found.policy()
    may_be = found.may_be(policy)
    behind = decided_by if policy == UNKNOWN else found.deciding() if may_be else ()
    return Verdict(
        authority_group,
        found.licence,
        policy,
        decided_by,
        _in_order(found.open_inputs(behind)),
        tuple(Reading(r, truth, _in_order(r.undecided(inputs))) for r, truth in found.read),
        () if found.read else rules.first_of(authority_group),
        may_be,
    )


def position(inputs: Inputs, authority_group: str, rules: RuleSet | None = None) -> tuple[str, str]:
    """`licence_required` and `policy` alone, quicker.

    >>> from gpufleet.models.export_inputs import complete
    >>> h200 = {"chip": "H200 SXM", "maker_hq": "US", "tpp": 15832.0, "mem_bw_gbps": 4800.0, "origin": "TW"}
    >>> position(complete({**h200, "date": "2026-02-01", "dest": "US", "hq": "US"}), "us_import")
    ('no', 'duty_25_percent')
    """
    found = _Question(inputs, authority_group, rules or shipped())
    return found.licence, found.policy()[0]


class _Question:
    """A shipment before one authority: every rule in force is read once."""

    def __init__(self, inputs: Inputs, authority_group: str, rules: RuleSet) -> None:
        self.inputs, self.group = inputs, authority_group
        in_force = rules.in_force(authority_group, str(inputs["date"]))
        self.read = [(rule, rule.applies(inputs)) for rule in in_force]
        self.imposing = [(rule, truth) for rule, truth in self.read if rule.row.role == "imposes"]
        self.applying = [rule for rule, truth in self.imposing if truth]
        self.licence = self._licence()

    def _licence(self) -> str:
        if self.group == "us_import":
            return "no" if self.inputs["dest"] == "US" else "n/a"  # a duty is no licence
        if self.group == "cn":
            return "n/a"
        for word in AUTHORITIES[self.group].licences:
            truths = [truth for rule, truth in self.imposing if rule.row.licence_required == word]
            if True in truths:
                return word
            if None in truths:
                return UNKNOWN
        return "no"

    def policy(self) -> tuple[str, tuple[Rule, ...]]:
        """The policy, and the rules behind it."""
        unknown = tuple(rule for rule, truth in self.imposing if truth is None)
        if self.licence == UNKNOWN:
            return UNKNOWN, unknown
        if not self.applying:
            if unknown and self.group != "us_export":
                return UNKNOWN, unknown
            return (DUTY_FREE if self.licence == "no" and self.group == "us_import" else NONE), ()
        if (setting := self._setting()) is not None:
            return self._of([setting], [rule for rule in self.applying if modifies(setting, rule)])
        return self._of(self.applying, ())

    def _setting(self) -> Rule | None:
        """The latest rule that replaces the policy of one that applies."""
        found = [
            rule
            for rule, truth in self.read
            if truth
            and rule.row.role == "sets_policy"
            and any(modifies(rule, each) for each in self.applying)
        ]
        return max(found, key=lambda rule: str(rule.row.effective_from), default=None)

    def _of(self, rules: Sequence[Rule], replaced: Sequence[Rule]) -> tuple[str, tuple[Rule, ...]]:
        """The strictest policy of some rules, and those that have it."""
        offered = [(rule, rule.policy(self.inputs)) for rule in rules]
        if len(offered) == 1:
            (rule, policy) = offered[0]
            return policy, (rule, *replaced)
        (policy,) = strictest(self.group, [(policy,) for _, policy in offered])
        return policy, (*(rule for rule, each in offered if each == policy), *replaced)

    def deciding(self) -> Sequence[Rule]:
        """The rules whose policies count: those that apply, or the one that replaces theirs."""
        setting = self._setting()
        return self.applying if setting is None else [setting]

    def may_be(self, policy: str) -> tuple[str, ...]:
        """What the policy may be besides, where it hangs on an input that is not known."""
        if policy == UNKNOWN or not self.applying:
            return ()
        found = strictest(self.group, [rule.policies(self.inputs) for rule in self.deciding()])
        return tuple(each for each in found if each != policy)

    def open_inputs(self, rules: Sequence[Rule]) -> frozenset[str]:
        """Inputs that are not known and leave these rules open."""
        return frozenset().union(*(rule.undecided(self.inputs) for rule in rules))


def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in INPUTS if name in names) if names else ()
