"""When a lot may lawfully be shipped: the gate of export law, with the licences that a plan has.

The verdicts on a lot stay the same between the days on which a rule begins or ends; licences hold from a day
to another. So time is walked in steps: where nothing is needed the lot ships, where a licence is needed it
ships under those that hold, as far as they reach, else it waits. This is no legal advice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from gpufleet.base.errors import Place
from gpufleet.base.say import say
from gpufleet.models.export import Verdict
from gpufleet.models.export_policies import POLICIES, UNKNOWN
from gpufleet.plan.chain_times import NEVER
from gpufleet.plan.chain_walk import crosses
from gpufleet.world.law import PRACTICE, Law, cited, in_order, ready_of, undecided

if TYPE_CHECKING:
    from gpufleet.plan import Delivery, Plan
    from gpufleet.plan.law import Licence


class Wait(NamedTuple):
    """A time in which law, or a buyer's side, lets nothing of a lot pass."""

    from_: datetime
    until: datetime | None  # None: for ever, as far as is known
    says: str
    place: Place | None  # the line of the plan behind it: a hypothetical rule, a licence, else the lot
    citation: str
    hypothetical: bool = False  # a rule of the plan holds it, not one of the catalogue


class Shipment(NamedTuple):
    """GPUs of a lot that may be shipped from a moment on, under which licences of the plan."""

    at: datetime
    gpus: int
    licences: tuple[str, ...]  # none: no licence of the plan is needed
    revenue_share: float  # of their price, that the licence costs


class Gate(NamedTuple):
    """When the whole of a lot may be shipped; None: never, as far as is known."""

    at: datetime | None
    waits: tuple[Wait, ...]
    shipments: tuple[Shipment, ...] = ()  # several where a licence is for fewer GPUs than the lot has


class _Need(NamedTuple):
    """A licence that is needed, and the verdict that wants it."""

    authority: str
    verdict: Verdict


def gate_of(plan: Plan, lot: Delivery, ready: datetime) -> Gate:
    """The first moment at or after `ready` at which a lot may be shipped and its buyer may take it.

    Args:    lot: a delivery of the plan, or a part of one under its name; ready: aware, when it could be
             shipped if no law held it.
    Returns: `at` = `ready` for a lot that law does not ask about: its site has no country, or it has come.
             Licences with a ceiling are used in the order in which lots are planned; where one is used up
             before the lot is whole, `at` is when its last GPU may go, and `shipments` has all parts.
    Source:  rules of the catalogue; docs/explanation/export.md.
    """
    return gates(plan).gate(lot, ready)


def gates(plan: Plan) -> Gates:
    """The gates of a plan, made once."""
    for known in _made:
        if known.law.plan is plan:
            return known
    _made.append(Gates(Law.of(plan)))
    del _made[:-_KEPT]
    return _made[-1]


_KEPT = 4
_made: list[Gates] = []
"""Gates of the last plans: a plan is asked for each of its lots."""


@dataclass
class Gates:
    """The gates of all lots of a plan.

    `planned` has those of lots that law is asked about, by name, each from the day on which it is planned.
    """

    law: Law
    planned: dict[str, Gate] = field(default_factory=dict)
    _left: dict[str, dict[str, int]] = field(default_factory=dict)  # GPUs that licences have for each lot

    def __post_init__(self) -> None:
        plan, pool = self.law.plan, self._ceilings()
        for row in in_order(plan):
            lot = plan.deliveries[row]
            self._left[lot.name] = dict(pool)
            if self.law.held(lot) and ready_of(lot) < NEVER:
                self.planned[lot.name] = self._walk(lot, ready_of(lot), pool)

    def gate(self, lot: Delivery, ready: datetime) -> Gate:
        """The gate of one lot from a moment on; as `gate_of`."""
        if not crosses(self.law.plan, lot):
            return Gate(ready, (), (Shipment(ready, lot.gpus, (), 0.0),))
        left = self._left.get(lot.name)
        return self._walk(lot, ready, self._ceilings() if left is None else dict(left))

    def needs(self, lot: Delivery, day: date) -> tuple[_Need, ...]:
        """Licences that a lot needs on a day."""
        may = (lot.unknown_law or self.law.plan.unknown_law) == "open"
        found = self.law.verdicts(lot, day)
        return tuple(_Need(group, each) for group, each in found.items() if needs_licence(each, unknown=may))

    def holding(self, lot: Delivery, authority: str, day: date) -> Iterator[str]:
        """Licences of the plan under which a lot may be shipped on a day, the earliest first."""
        found = [name for name in self.licences_for(lot, authority) if self._holds(name, day)]
        licences = self.law.plan.licences
        yield from sorted(found, key=lambda name: (licences[name].until is None, licences[name].until))

    def licences_for(self, lot: Delivery, authority: str) -> Iterator[str]:
        """Licences of the plan that are for this lot, at whatever time and of whatever status."""
        plan, inputs = self.law.plan, self.law.inputs(lot)
        for name, licence in plan.licences.items():
            product = plan.systems[lot.system].product
            if (
                licence.authority == authority
                and (not licence.to or inputs["dest"] in licence.to)
                and (not licence.products or product in licence.products)
                and (not licence.systems or lot.system in licence.systems)
                and (not licence.buyer or licence.buyer.casefold() == str(inputs["buyer"]).casefold())
            ):
                yield name

    def _ceilings(self) -> dict[str, int]:
        return {name: each.gpus for name, each in self.law.plan.licences.items() if each.gpus is not None}

    def _holds(self, name: str, day: date) -> bool:
        first, until = self.days(name)
        granted = self.law.plan.licences[name].status != "expected"
        return granted and first <= day and (until is None or day < until)

    def days(self, name: str) -> tuple[date, date | None]:
        """First day of a licence, and the first on which it does not hold any more."""
        licence = self.law.plan.licences[name]
        return _first(self.law.plan, licence), _until(self.law.plan, licence)

    def _walk(self, lot: Delivery, ready: datetime, pool: dict[str, int]) -> Gate:
        """Go through time from `ready` on, taking GPUs from the licences in `pool`."""
        left, parts, waits = lot.gpus, list[Shipment](), list[Wait]()
        for here, there in pairwise([ready, *self._turns(lot, ready), None]):
            assert here is not None
            day = self.law.plan.local(here, lot.to).date()
            needs = self.needs(lot, day)
            taken, used = self._take(lot, needs, day, left, pool)
            if taken:
                parts.append(Shipment(here, taken, used, self._share(lot, used, day)))
            left -= taken
            if not left:
                return Gate(here, tuple(waits), tuple(parts))
            _add(waits, self._wait(lot, needs, (here, there), pool), begins=bool(taken))
        return Gate(None, tuple(waits), tuple(parts))

    def _turns(self, lot: Delivery, ready: datetime) -> list[datetime]:
        """Moments after `ready` at which a rule or a licence begins or ends at the lot's site."""
        days = {date.fromisoformat(day) for day in self.law.days}
        for authority in self.law.authorities(lot):
            for name in self.licences_for(lot, authority):
                days |= {day for day in self.days(name) if day}
        moments = {self.law.midnight(lot, day) for day in days}
        return sorted(moment for moment in moments if moment > ready)

    def _take(
        self, lot: Delivery, needs: tuple[_Need, ...], day: date, left: int, pool: dict[str, int]
    ) -> tuple[int, tuple[str, ...]]:
        """How many GPUs may be shipped on a day, and under which licences; `pool` is less by them."""
        by_need = [list(self.holding(lot, need.authority, day)) for need in needs]
        most = min([left, *(sum(pool.get(name, left) for name in names) for names in by_need)])
        used: list[str] = []
        for names in by_need if most else ():
            rest = most
            for name in names:
                part = min(rest, pool.get(name, rest))
                if part:
                    used.append(name)
                    rest -= part
                if name in pool:
                    pool[name] -= part
        return most, tuple(used)

    def _share(self, lot: Delivery, used: tuple[str, ...], day: date) -> float:
        """The share of the revenue that licences cost: the plan's, else what practice asks for."""
        if used:
            return max(self.law.plan.licences[name].revenue_share for name in used)
        return max((PRACTICE.get(v.policy, 0.0) for v in self.law.verdicts(lot, day).values()), default=0.0)

    def _wait(
        self,
        lot: Delivery,
        needs: tuple[_Need, ...],
        span: tuple[datetime, datetime | None],
        pool: Mapping[str, int],
    ) -> Wait:
        day = self.law.plan.local(span[0], lot.to).date()
        lacking = [each for each in needs if not self._reaches(lot, each, day, pool)] or list(needs)
        reasons = [self._why(lot, need, day, pool) for need in lacking]
        says = (
            reasons[0][0] if len(reasons) == 1 else say("{reasons:; }", reasons=[says for says, _ in reasons])
        )
        place = next((at for _, at in reasons if at), lot.line)
        citations = list(dict.fromkeys(cited(need.verdict) for need in lacking))
        citation = citations[0] if len(citations) == 1 else say("{rules:; }", rules=citations)
        return Wait(*span, says, place, citation, any(self.law.place(need.verdict) for need in lacking))

    def _reaches(self, lot: Delivery, need: _Need, day: date, pool: Mapping[str, int]) -> bool:
        return any(pool.get(name, 1) for name in self.holding(lot, need.authority, day))

    def _why(
        self, lot: Delivery, need: _Need, day: date, pool: Mapping[str, int]
    ) -> tuple[str, Place | None]:
        """Why a lot lacks a licence, and the line of the plan behind it."""
        found, licences = need.verdict, self.law.plan.licences
        policy: str = found.meaning.says
        decided = _closes(found.policy)
        if not decided:
            policy = say("not decided: {inputs} not known", inputs=list(undecided(found)))
        at = self.law.place(found)
        names = list(self.licences_for(lot, need.authority))
        for name in names:
            licence, (first, until) = licences[name], self.days(name)
            if not (first <= day and (until is None or day < until)):
                continue
            words = {"policy": policy, "licence": name}
            if licence.status == "expected":
                says = say("{policy}; the licence {licence} is only expected and ships nothing", **words)
                return says, at or licence.line
            if pool.get(name) == 0:
                says = say(
                    "{policy}; the {gpus:,} GPUs of the licence {licence} are used up",
                    gpus=licence.gpus or 0,
                    **words,
                )
                return says, at or licence.line
        to_come = [name for name in names if licences[name].status != "expected"]
        later = sorted((self.days(name)[0], name) for name in to_come if self.days(name)[0] > day)
        if later:
            first, name = later[0]
            says = say(
                "{policy}; the licence {licence} holds from {first}", policy=policy, licence=name, first=first
            )
            return says, at or licences[name].line
        ended = [(until, name) for name in names if (until := self.days(name)[1]) and until <= day]
        if ended:
            until, name = max(ended)
            says = say(
                "{policy}; the licence {licence} held until {until}", policy=policy, licence=name, until=until
            )
            return says, at or licences[name].line
        if need.authority == "us_export" and decided:
            return say("{policy}; the plan has no licence for it", policy=policy), at
        return policy, at


def needs_licence(verdict: Verdict, *, unknown: bool) -> bool:
    """Whether nothing may pass without a licence.

    Args: unknown: whether what is not decided may pass.
    """
    if verdict.authority_group == "us_import":
        return False  # a duty keeps nothing back
    if verdict.policy == UNKNOWN:
        return not unknown and any(_closes(policy) for policy in _possible(verdict))
    if _closes(verdict.policy):
        return True
    return not unknown and any(_closes(policy) for policy in verdict.may_be)


def _possible(verdict: Verdict) -> Iterator[str]:
    """Policies of the rules of which it is not known whether they apply."""
    for each in verdict.readings:
        if each.applies is None and each.rule.row.role == "imposes":
            yield from (policy for _, policy in each.rule.branches)


def _closes(policy: str) -> bool:
    """Whether nothing passes under a policy: not under a duty, an exception, a risk, or a licence given."""
    return policy not in PRACTICE and POLICIES[policy].outcome in ("licence", "banned")


def _first(plan: Plan, licence: Licence) -> date:
    assert licence.from_ is not None
    return plan.local(licence.from_).date()


def _until(plan: Plan, licence: Licence) -> date | None:
    return plan.local(licence.until).date() if licence.until else None


def _add(waits: list[Wait], wait: Wait, *, begins: bool) -> None:
    """Add a wait; one that goes on for the same reason is made longer, but if a part has gone between."""
    before = waits[-1] if waits else None
    if before and not begins and before.until == wait.from_ and before[2:] == wait[2:]:
        waits[-1] = before._replace(until=wait.until)
    else:
        waits.append(wait)
