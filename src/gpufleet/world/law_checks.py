"""What `check` says of export law in a plan: lots that wait, or never ship, and what has no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding, Place, complete
from gpufleet.base.say import Said, say
from gpufleet.models.export import NO_ADVICE
from gpufleet.plan.check import check, run_checks
from gpufleet.plan.promised import contradictions
from gpufleet.world.chain import with_law
from gpufleet.world.law import PREFIX, asks_law, chip_of, ready_of, undecided
from gpufleet.world.licences import Gates, gates, needs_licence

if TYPE_CHECKING:
    from datetime import datetime

    from gpufleet.plan import Delivery, Plan


def law_findings(plan: Plan) -> tuple[list[Finding], list[str]]:
    """What is wrong with export law in a plan, and what its readers should know.

    Returns: findings, errors among them; remarks.
    """
    if not asks_law(plan):
        return [], []
    found = gates(plan)
    if found.law.findings:
        return list(found.law.findings), []
    found = gates(with_law(plan))  # each lot asked for the day on which its chain lets it go
    return [*_statuses(found), *run_checks(found, "law")], [about(found)]


def _statuses(found: Gates) -> Iterator[Finding]:
    """Statuses of lots that law is asked about and lets go at once: the others are late by law."""
    plan = found.law.plan
    for lot in plan.deliveries:
        gate = found.planned.get(lot.name)
        if gate is not None and not gate.waits:
            yield from (complete(each, "P087", "warning") for each in contradictions(plan, lot))


def about(found: Gates) -> Said:
    """What stands beside everything that export law says of a plan."""
    return say(
        "{advice} Rules of export law as they were read on {date:%Y-%m-%d}.",
        advice=NO_ADVICE,
        date=found.law.read_on,
    )


@check("P223", "lot waits for export law", needs="law")
def waits(found: Gates) -> Iterator[Finding]:
    """A licence is needed that the plan does not have yet, or the buyer's side takes nothing, on the day on
    which the lot could be shipped. It ships when that has passed. This is engineering data, no legal advice.

    Example::

        sites:      {hall: {country: CN}}
        systems:    {box: {product: H20, gpus_per_node: 8}}
        deliveries: [{to: hall, system: box, gpus: 64, at: 2025-05-01}]      # until licences are given
    """
    plan = found.law.plan
    for lot in plan.deliveries:
        gate = found.planned.get(lot.name)
        if gate is None or gate.at is None or not gate.waits:
            continue
        worst = max(gate.waits, key=lambda wait: (wait.until or wait.from_) - wait.from_)
        says = say(
            "{lot} ({gpus:,} GPUs) waits from {first} to {until}: {why} ({citation})",
            lot=lot.name,
            gpus=lot.gpus,
            first=_day(plan, lot, gate.waits[0].from_),
            until=_day(plan, lot, gate.at),
            why=worst.says,
            citation=worst.citation,
        )
        fix = say(
            "add the licence that it ships under, or plan it for {until}", until=_day(plan, lot, gate.at)
        )
        yield Finding(at=_line(plan, lot), says=says, fix=fix)


@check("P224", "lot can never be shipped by export law", needs="law")
def never(found: Gates) -> Iterator[Finding]:
    """From the day on which the lot could be shipped, as far as is known, a licence is needed that the plan
    does not have, or the buyer's side takes nothing. This is engineering data, no legal advice.

    Example::

        sites:      {hall: {country: SA}}
        deliveries: [{to: hall, system: DGX B300, gpus: 64, at: 2026-05-01}]
        licences:   {}                                       # {ours: {to: SA, from: 2026-03-01}}
    """
    plan = found.law.plan
    for lot in plan.deliveries:
        gate = found.planned.get(lot.name)
        if gate is None or gate.at is not None:
            continue
        last = gate.waits[-1]
        shipped = sum(part.gpus for part in gate.shipments)
        values = {
            "lot": lot.name,
            "gpus": lot.gpus - shipped,
            "first": _day(plan, lot, last.from_),
            "why": last.says,
            "citation": last.citation,
        }
        says = say("{lot}: {gpus:,} GPUs never ship, from {first} on: {why} ({citation})", **values)
        fix = say("add a licence for it, or another destination, product or date")
        needs = found.needs(lot, plan.local(last.from_, lot.to).date())
        if any(undecided(need.verdict) for need in needs):
            fix = say("say what is not known in its `export`, or choose `unknown_law`")
        yield Finding(at=_line(plan, lot), says=says, fix=fix)


@check("P225", "export law is not decided", needs="law")
def not_decided(found: Gates) -> Iterator[Finding]:
    """An input that rules read of a lot is not known, and the verdict hangs on it. The plan chooses with
    `unknown_law`, of the plan or of the lot, whether such a lot may ship; else it may not.

    Example::

        sites:       {hall: {country: VN}}
        systems:     {box: {product: our own chip, gpus_per_node: 8}}     # export: {tpp: 1200}
        deliveries:  [{to: hall, system: box, gpus: 64, at: 2026-05-01}]
    """
    plan = found.law.plan
    for lot in plan.deliveries:
        if not found.law.held(lot):
            continue
        day = plan.local(ready_of(lot), lot.to).date()
        closed = [v for v in found.law.verdicts(lot, day).values() if needs_licence(v, unknown=False)]
        names = {name for each in closed for name in undecided(each)}
        if not names:
            continue
        chosen = lot.unknown_law or plan.unknown_law
        values = {"lot": lot.name, "names": sorted(names), "day": day}
        if chosen == "open":
            says = say("{lot}: {names} not known on {day}; it ships, by `unknown_law: open`", **values)
        elif chosen == "closed":
            says = say("{lot}: {names} not known on {day}; it waits, by `unknown_law: closed`", **values)
        else:
            says = say("{lot}: {names} not known on {day}; it waits: the plan does not choose", **values)
        fix = say("say it in `export` of the lot, or set `unknown_law: open` or `closed`")
        yield Finding(at=_line(plan, lot), says=says, fix=fix)


@check("P226", "licence that no lot can use", needs="law")
def unused_licence(found: Gates) -> Iterator[Finding]:
    """No lot of the plan is of such a product or system, to such a country and buyer.

    Example::

        licences:   {ours: {to: CN, products: H20, from: 2025-08-08}}
        deliveries: [{to: hall, system: DGX B300, gpus: 64, at: 2026-05-01}]
    """
    plan = found.law.plan
    for name, licence in plan.licences.items():
        lots = [lot for lot in plan.deliveries if plan.sites[lot.to].country is not None]
        if any(name in found.licences_for(lot, licence.authority) for lot in lots):
            continue
        says = say("no lot to a site with a country can use the licence {licence}", licence=name)
        fix = say("correct its products, systems, buyer or countries, or leave it out")
        yield Finding(at=plan.line(f"licences.{name}"), says=says, fix=fix)


@check("P227", "hypothetical rule that changes nothing", needs="law")
def idle_rule(found: Gates) -> Iterator[Finding]:
    """It is never in force between the plan's start and its end, or what it repeals is not in force then, or
    it is about no lot of the plan.

    Example::

        start: 2026-01-01
        rules: {feared: {to: CN, from: 2025-04-01, until: 2025-07-01}}
    """
    plan = found.law.plan
    for name, rule in plan.rules.items():
        if rule.from_ >= plan.end or (rule.until is not None and rule.until <= plan.start):
            says = say(
                "the rule {rule} is never in force between {start} and {end}", rule=name, **_time(plan)
            )
        elif not rule.repeals and not _about(found, name):
            says = say("the rule {rule} is about no lot of the plan", rule=name)
        else:
            continue
        fix = say("correct its dates, or whom and what it is about, or leave it out")
        yield Finding(at=plan.line(f"{PREFIX}{name}"), says=says, fix=fix)


@check("P228", "said for export law, and nobody asks", needs="law")
def nobody_asks(found: Gates) -> Iterator[Finding]:
    """Export law is asked about lots to sites that have a `country`. What else is said for it has no effect.

    Example::

        sites:      {hall: {}}                          # {hall: {country: CN}}
        deliveries: [{to: hall, system: DGX B300, gpus: 64, at: 2026-05-01, buyer: {name: Somebody}}]
    """
    plan = found.law.plan
    keys = ("buyer", "ships_from", "export", "unknown_law")
    for lot in plan.deliveries:
        said = [key for key in keys if getattr(lot, key) is not None]
        if said and plan.sites[lot.to].country is None:
            says = say(
                "{lot} has {keys}; its site {site} has no country", lot=lot.name, keys=said, site=lot.to
            )
            fix = say("add `country` to sites.{site}, or leave it out", site=lot.to)
            yield Finding(at=_line(plan, lot, said[0]), says=says, fix=fix)


@check("P229", "product of a licence or rule that export law knows nothing of", needs="law")
def unknown_numbers(found: Gates) -> Iterator[Finding]:
    """A licence or a rule that is for one of the plan's own products is only as good as its name: rules of
    the catalogue read its numbers, and nothing is known of these.

    Example::

        systems:  {box: {product: our own chip, gpus_per_node: 8}}
        licences: {ours: {products: our own chip, to: CN, from: 2026-01-01}}
    """
    plan = found.law.plan
    parts = [(f"licences.{name}", each.products) for name, each in plan.licences.items()]
    parts += [(f"{PREFIX}{name}", each.products) for name, each in plan.rules.items()]
    for path, products in parts:
        for product in products:
            if chip_of(product)["tpp"] is None and not _states_tpp(plan, product):
                says = say("nothing is known of {product} but its name", product=product)
                fix = say("state `tpp` and the other numbers in `export` of its lots")
                yield Finding(at=plan.line(f"{path}.products"), says=says, fix=fix)


def _states_tpp(plan: Plan, product: str) -> bool:
    lots = [lot for lot in plan.deliveries if plan.systems[lot.system].product == product]
    return bool(lots) and all(lot.export is not None and lot.export.tpp is not None for lot in lots)


def _about(found: Gates, name: str) -> bool:
    """Whether a rule of the plan may apply to any lot that is asked about, at some time."""
    rule = next(each for each in found.law.own.rules if each.id == f"{PREFIX}{name}")
    day = rule.row.effective_from
    lots = (lot for lot in found.law.plan.deliveries if found.law.plan.sites[lot.to].country is not None)
    return any(rule.applies({**found.law.inputs(lot), "date": day}) is not False for lot in lots)


def _time(plan: Plan) -> dict[str, object]:
    return {"start": plan.local(plan.start).date(), "end": plan.local(plan.end).date()}


def _day(plan: Plan, lot: Delivery, moment: datetime) -> object:
    return plan.local(moment, lot.to).date()


def _line(plan: Plan, lot: Delivery, *keys: str) -> Place:
    """Where a key of a lot is written; else the lot."""
    row = next((str(i) for i, each in enumerate(plan.deliveries) if each.name == lot.name), "")
    paths: Iterable[str] = (f"deliveries.{name}.{key}" for key in (*keys, "at") for name in (lot.name, row))
    return next((plan.origins[path].at for path in paths if path in plan.origins), lot.line)
