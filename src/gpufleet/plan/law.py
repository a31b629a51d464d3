"""Export law in a plan: who buys, licences that are held or hoped for, rules that are feared or gone.

What the law says is no part of a plan: `gpufleet.world.law` asks the rules of the catalogue. Days count at
the site that a lot goes to: a licence from 2025-08-08 holds from that day's first minute there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from typing_extensions import override

from gpufleet.base.errors import GpufleetError, did_you_mean, explain_code
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, Sourced
from gpufleet.plan.kinds import Choice, Count, Flag, Number, Text
from gpufleet.plan.moments import Duration, Moment
from gpufleet.plan.name_list import NameList
from gpufleet.plan.reader import Reader, under
from gpufleet.plan.tree import Leaf, Map

GRANTS: Final = ("granted", "assumed", "expected")
UNKNOWN_LAW: Final = ("open", "closed")

Grant = Literal["granted", "assumed", "expected"]
UnknownLaw = Literal["open", "closed"]

BANS: Final[Mapping[str, tuple[str, ...]]] = {
    "us_export": (
        *("banned_in_practice", "presumption_of_denial", "case_by_case", "presumption_of_approval"),
        *("nac_notification", "nac_no_notification", "enforcement_risk"),
    ),
    "us_import": ("duty_25_percent",),
    "cn": ("buyer_side_ban", "buyer_side_block", "buyer_side_stop"),
}
"""What a rule of each authority may say; the first is what it says if the plan does not."""

END_USES: Final = (
    *("re_export", "us_datacenter", "us_repair", "us_rnd", "us_startup"),
    *("consumer_non_dc", "civil_industrial_non_dc", "us_public_sector"),
)

explain_code(
    "P220",
    "licence or rule ends before it begins",
    "A licence and a rule are in force from the day `from` to the day before `until`. A licence that is "
    "`applied` for begins when that `takes` its time.",
    "licences:\n  first: {to: CN, from: 2025-08-08, until: 2025-08-01}",
)
explain_code(
    "P221",
    "policy that its authority does not have",
    "Each authority has positions of its own: US export control bans or wants a licence, the US import side "
    "takes a duty, China stops buyers.",
    "rules:\n  feared: {to: CN, from: 2027-01-01, policy: buyer_side_ban}      # add `authority: cn`",
)


class Country(Text):
    """A country: its ISO code, or its name as the catalogue has it. Read as the code."""

    wants = say("a country such as KR")

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> str:
        from gpufleet.catalog.load import resolve_country

        try:
            return resolve_country(super().parse(leaf, reader))
        except GpufleetError as error:
            raise reader.pass_on(error, leaf.at) from error


class Countries(NameList):
    """One country or several."""

    def __init__(self) -> None:
        super().__init__("country")

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        return Country().parse(leaf, reader)


class Catalogued(NameList):
    """Names of products or systems: of the plan, or of the catalogue."""

    def __init__(self, what: Literal["product", "system"]) -> None:
        super().__init__(what)
        self.kind = what

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        from gpufleet.plan.supply import from_catalogue

        known = reader.known.get(self.kind, ())
        return word if word in known else from_catalogue(self.kind, word, leaf.at, reader)


class CatalogueRules(NameList):
    """Ids of rules of the catalogue."""

    def __init__(self) -> None:
        super().__init__("rule")

    @override
    def one(self, word: str, leaf: Leaf, reader: Reader) -> str:
        from gpufleet.catalog.load import export_rules

        evaluated = [row.id for row in export_rules().values() if row.role != "info"]
        if word not in evaluated:
            says = say("`{word}` is no rule of export law that is ever in force", word=word)
            raise reader.refuse("P016", leaf.at, says, did_you_mean(word, evaluated, limit=len(evaluated)))
        return word


class Buyer(Declared):
    """Who buys a lot."""

    name: Annotated[
        str, Key(Text(), "the buyer, as a rule or a licence names it; left out: the tenant's name")
    ] = ""
    hq: Annotated[
        str | None,
        Key(Country(), "headquarters of its ultimate parent; left out: `hq` of the tenant, else the site's"),
    ] = None


class Export(Declared):
    """What rules read of one lot beside product, buyer and route; it goes before the catalogue."""

    tpp: Annotated[float | None, Key(Number(most=1e9), "total processing performance")] = None
    performance_density: Annotated[float | None, Key(Number(), "TPP per mm2 of applicable die area")] = None
    mem_bw_gbps: Annotated[float | None, Key(Number(), "memory bandwidth, GB/s")] = None
    io_gbps: Annotated[
        float | None, Key(Number(), "all inputs and outputs but memory, both directions, GB/s")
    ] = None
    dc_marketed: Annotated[bool | None, Key(Flag(), "designed or marketed for data centres")] = None
    declared_not_3a090: Annotated[
        bool | None, Key(Flag(), "its maker says in public that it needs no 3A090 licence")
    ] = None
    maker_hq: Annotated[str | None, Key(Country(), "headquarters of its maker")] = None
    direct_from_us: Annotated[
        bool | None, Key(Flag(), "leaves the US and passes no other country; left out: if it ships from US")
    ] = None
    us_tested: Annotated[bool | None, Key(Flag(), "tested by a third party in the US")] = None
    volume_share: Annotated[
        float | None, Key(Number(), "shipments to China over those in the US of the product; 0.5 = 50%")
    ] = None
    state_funded: Annotated[bool | None, Key(Flag(), "any state money in the project (China)")] = None
    quantity: Annotated[
        float | None,
        Key(
            Number(most=1e9),
            "GB300 equivalents; left out: TPP over that of a GB300, of this lot and those of the same buyer "
            "in the same country before it",
        ),
    ] = None
    end_use: Annotated[str | None, Key(Choice(END_USES), "end use, for the duty")] = None


class Licence(Sourced):
    """A licence to ship: what, where, to whom, when, how many."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    authority: Annotated[
        Literal["us_export", "cn"],
        Key(Choice(("us_export", "cn")), "who gives it: US export control, or China's side of the buyer"),
    ] = "us_export"
    to: Annotated[tuple[str, ...], Key(Countries(), "countries that it is for; left out: any")] = ()
    products: Annotated[
        tuple[str, ...], Key(Catalogued("product"), "products that it is for; left out: any")
    ] = ()
    systems: Annotated[
        tuple[str, ...], Key(Catalogued("system"), "systems that it is for; left out: any")
    ] = ()
    buyer: Annotated[str | None, Key(Text(), "the buyer that it is for; left out: any")] = None
    from_: Annotated[
        datetime | None,
        Key(Moment(), "first day; left out: when what was applied for takes its time", "from"),
    ] = None
    until: Annotated[
        datetime | None, Key(Moment(), "first day on which it does not hold any more; left out: no end")
    ] = None
    applied: Annotated[datetime | None, Key(Moment(), "when it was or will be applied for")] = None
    takes_s: Annotated[int | None, Key(Duration(), "how long that takes", "takes")] = None
    gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "GPUs that may be shipped under it in all; left out: any")
    ] = None
    revenue_share: Annotated[
        float, Key(Number(most=1.0), "share of the revenue that it costs; 0.15 = 15%")
    ] = 0.0
    status: Annotated[
        Grant,
        Key(
            Choice(GRANTS),
            "granted, or assumed to be: lots ship under it; only expected: it ships nothing",
        ),
    ] = "assumed"
    from_range: tuple[datetime, datetime] | None = None
    until_range: tuple[datetime, datetime] | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        waiting = [key for key in ("applied", "takes") if key in node.items]
        if "from_" in values and waiting:
            says = say("`{path}` has both `from` and `{key}`", path=path, key=waiting[0])
            raise reader.refuse("P023", node.key_at[waiting[0]], says, say("keep one of them"))
        if "from_" not in values:
            if len(waiting) < 2:
                says = say("`{path}` does not say from when it holds", path=path)
                raise reader.refuse("P007", node.at, says, say("add `from`, or `applied` and `takes`"))
            values |= _after(values, path, reader)
        else:
            values["from_range"] = reader.origins[under(path, "from")].range
        if "until" in values:
            values["until_range"] = reader.origins[under(path, "until")].range
        _in_order(values, path, reader)
        return values

    def at_end(self, end: int) -> Licence:
        """The licence at one end of the ranges of its dates: 0 = late and short, 1 = early and long."""
        return self.model_copy(update=_ends(self, late=1 - end))


def _ends(part: Licence | LawRule, *, late: int) -> dict[str, datetime]:
    """Dates at the ends of their ranges; `late` 1: it begins late and ends early, 0: the other way round."""
    found = {}
    if part.from_range:
        found["from_"] = part.from_range[late]
    if part.until_range:
        found["until"] = part.until_range[1 - late]
    return found


def _after(values: dict[str, Any], path: str, reader: Reader) -> dict[str, Any]:
    """When a licence holds that is applied for, with the range of both."""
    applied = reader.origins[under(path, "applied")].range or (values["applied"],) * 2
    takes = reader.origins[under(path, "takes")].range or (values["takes_s"],) * 2
    ends = tuple(at + timedelta(seconds=s) for at, s in zip(applied, takes, strict=True))
    first = values["applied"] + timedelta(seconds=values["takes_s"])
    return {"from_": first, "from_range": ends if ends[0] < ends[1] else None}


class LawRule(Sourced):
    """A rule of export law that is none: what if it were, or what if one of the catalogue were not."""

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    authority: Annotated[str, Key(Choice(tuple(BANS)), "whose rule it is")] = "us_export"
    from_: Annotated[datetime, Key(Moment(), "first day", "from")]
    until: Annotated[
        datetime | None, Key(Moment(), "first day on which it does not hold any more; left out: no end")
    ] = None
    to: Annotated[tuple[str, ...], Key(Countries(), "destinations; left out: all")] = ()
    hq: Annotated[tuple[str, ...], Key(Countries(), "headquarters of buyers; left out: all")] = ()
    products: Annotated[tuple[str, ...], Key(Catalogued("product"), "products; left out: all")] = ()
    when: Annotated[
        str | None, Key(Text(), "what it covers, as an expression such as `tpp>=4800`; left out: all")
    ] = None
    policy: Annotated[
        str | None,
        Key(Text(), "what follows; left out: banned_in_practice, for China buyer_side_ban, else the duty"),
    ] = None
    repeals: Annotated[
        tuple[str, ...],
        Key(CatalogueRules(), "rules of the catalogue that are not in force in that time"),
    ] = ()
    from_range: tuple[datetime, datetime] | None = None
    until_range: tuple[datetime, datetime] | None = None

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        _in_order(values, path, reader)
        known = BANS[values.get("authority", "us_export")]
        policy = values.get("policy")
        if policy is not None and policy not in known:
            says = say(
                "`{policy}` is no policy of {authority}",
                policy=policy,
                authority=values.get("authority", "us_export"),
            )
            raise reader.refuse("P221", node.key_at["policy"], says, did_you_mean(policy, known))
        values["from_range"] = reader.origins[under(path, "from")].range
        if "until" in values:
            values["until_range"] = reader.origins[under(path, "until")].range
        return values

    def at_end(self, end: int) -> LawRule:
        """The rule at one end of the ranges of its dates: 0 = it holds back most, 1 = least."""
        holds_back = self.imposes is not None
        return self.model_copy(update=_ends(self, late=end if holds_back else 1 - end))

    @property
    def imposes(self) -> str | None:
        """The policy that it brings; None if it only repeals others."""
        if self.policy is not None:
            return self.policy
        of_its_own = self.to or self.hq or self.products or self.when
        return None if self.repeals and not of_its_own else BANS[self.authority][0]


def _in_order(values: dict[str, Any], path: str, reader: Reader) -> None:
    """Refuse what ends before it begins. Raises: UnreadableError (P220)"""
    first, until = values["from_"], values.get("until")
    if until is not None and until <= first:
        says = say(
            "it begins on {first} and ends on {until}: it never holds",
            first=reader.local(first),
            until=reader.local(until),
        )
        at = reader.origins[under(path, "until")].at
        raise reader.refuse("P220", at, says, say("correct one of the two"))
