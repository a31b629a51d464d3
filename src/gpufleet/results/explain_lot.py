"""How far a lot is: when its GPUs are ordered, delivered, powered, online; what holds them; which line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.say import Said, say
from gpufleet.results import folder
from gpufleet.results.chain import never_comes
from gpufleet.results.explain_law import LotLaw, law_of
from gpufleet.results.lot_chain import ChainStep, cancelled_words, chain_of, left_over_words, stuck_on
from gpufleet.results.moments import spoken_day
from gpufleet.results.to_date import actual_of, planned_of
from gpufleet.world.save import load_world
from gpufleet.world.supply import Service, service_of

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.why-lot/1"
PREFIX: Final = "deliveries."
SHOWN_STEPS: Final = 12


class Held(NamedTuple):
    """GPUs of a lot that lack a step for a time, and the line of the plan that makes it so."""

    step: str  # of world.supply.SHORT_STEPS
    gpus: int
    from_s: int  # s from the plan's start
    until_s: int | None  # None: to the plan's end
    path: str
    at: str  # file:line


@dataclass(frozen=True)
class LotExplanation:
    """How far a lot is. `print` it, or take `to_json`."""

    name: str
    lot: dict[str, Any]  # as in plan.lock.yaml
    product: str
    ordered: tuple[str, str]  # when, in the site's time; "" = the plan does not say; and its line
    delivered: tuple[str, str]
    delivered_range: tuple[str, str] | None
    beyond: str  # the plan's end, of a lot that is delivered after it; else ""
    service: tuple[Service, ...]  # until the plan's end
    held: tuple[Held, ...]
    arrived: tuple[int, int] | None  # GPUs that arrived by today, and that should have; None: no actuals
    today: str
    at: str  # line of the lot
    start: datetime
    zone: str
    law: LotLaw
    chain: tuple[ChainStep, ...] = ()  # none: the plan says no more than when it comes

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why-lot/1``."""
        steps = [
            {"at": self._moment(step.from_s), "powered_gpus": step.powered, "online_gpus": step.online}
            for step in self.service
        ]
        return {
            "schema": SCHEMA,
            "lot": self.name,
            "at": self.at or None,
            "site": self.lot["to"],
            "tenant": self.lot.get("tenant"),
            "system": self.lot["system"],
            "product": self.product,
            "gpus": self.lot["gpus"],
            "status": self.lot["status"],
            "as_of": self.today,
            "counts_toward": list(self.lot["counts_toward"]),
            "operator": self.lot.get("operator"),
            "ordered": {"on": self.ordered[0] or None, "at": self.ordered[1] or None},
            "delivered": {
                "on": self.delivered[0],
                "range": list(self.delivered_range) if self.delivered_range else None,
                "at": self.delivered[1] or None,
            },
            "beyond_the_plan": bool(self.beyond),
            "chain": [each._asdict() for each in self.chain],
            "stuck": self._stuck_json(),
            "in_service": steps,
            "held": [self._held_json(held) for held in self.held],
            "actual_gpus": self.arrived[0] if self.arrived else None,
            "planned_gpus": self.arrived[1] if self.arrived else None,
            "export_law": self.law.to_json(),
            "time_zone": self.zone,
        }

    def _stuck_json(self) -> dict[str, Any] | None:
        """Where the lot is today, since when, and what it waits for."""
        stuck = stuck_on(self.chain, self.today)
        if stuck is None:
            return None
        last = stuck.last._asdict() if stuck.last else None
        return {"as_of": self.today, "last": last, "next": stuck.next._asdict()}

    def _held_json(self, held: Held) -> dict[str, Any]:
        until = None if held.until_s is None else self._moment(held.until_s)
        times = {"from": self._moment(held.from_s), "until": until}
        return {"step": held.step, "gpus": held.gpus, **times, "path": held.path, "at": held.at or None}

    def text(self) -> str:
        """The explanation for people: the answer, the lot, its steps, what holds it."""
        parts = (self._facts(), [""], self._steps(), self._holds(), self.law.lines())
        return "\n".join([self._answer(), *(line for part in parts for line in part)])

    __str__ = text
    __repr__ = text

    def _answer(self) -> Said:
        whole, online = self.lot["gpus"], self.service[-1].online if self.service else 0
        values: dict[str, Any] = {"lot": self.name, "whole": whole, "gpus": online}
        if says := cancelled_words(self.name, whole, self.chain):
            return says
        if never_comes(self.lot):
            says = say("lot {lot}: its {whole:,} GPUs never come, as far as the plan says", **values)
        elif self.beyond:
            return say(
                "lot {lot}: its {whole:,} GPUs come on {day}, after the plan's end, {end} ({place})",
                **values, day=spoken_day(self.delivered[0]), end=spoken_day(self.beyond),
                place=self.delivered[1],
            )  # fmt: skip
        elif not self.service:
            says = say("lot {lot}: none of its {whole:,} GPUs comes online by the plan's end", **values)
        elif online < whole:
            says = say("lot {lot}: {gpus:,} of {whole:,} GPUs are online at the plan's end", **values)
        else:
            day = self._day(next(s.from_s for s in self.service if s.online == whole))
            says = say("lot {lot}: all {whole:,} GPUs are online from {day}", **values, day=day)
        if not self.held:
            return says
        worst = max(self.held, key=lambda held: held.gpus)
        words = {"says": says, "held": self._lacks(worst), "path": worst.path}
        if not worst.at:
            return say("{says}; {held} ({path})", **words)
        return say("{says}; {held} ({path} at {place})", **words, place=worst.at)

    def _facts(self) -> list[str]:
        lot = self.lot
        owner = lot.get("tenant") or say("all tenants")
        values = {"gpus": lot["gpus"], "product": self.product, "site": lot["to"], "owner": owner}
        rows = [say("  {gpus:,} {product} at {site}, for {owner}; {at}", **values, at=self.at)]
        status = say("{status} as of {today}", status=_STATUS[lot["status"]](), today=spoken_day(self.today))
        towards = lot["counts_toward"]
        counts = (
            say("counts toward {promises}", promises=towards) if towards else say("counts toward no promise")
        )
        rows.append(say("  {status}; {counts}", status=status, counts=counts))
        if lot.get("operator"):
            rows.append(say("  run by {operator}", operator=lot["operator"]))
        rows += left_over_words(lot["gpus"], self.chain)
        if stuck := stuck_on(self.chain, self.today):
            rows.append(stuck.text(self.today))
        if self.arrived and any(self.arrived):  # else it is not due yet
            rows.append(self._arrived(*self.arrived))
        return [str(row) for row in rows]

    def _arrived(self, came: int, planned: int) -> Said:
        """What has arrived, against the plan: the run goes by the plan, whatever has arrived."""
        values = {
            "came": came,
            "planned": planned,
            "today": spoken_day(self.today),
            "whole": self.lot["gpus"],
        }
        if came < planned:
            return say(
                "  {came:,} GPUs have arrived by {today}, not the {planned:,} that were planned; "
                "the run counts with all {whole:,}, as the plan says",
                **values,
            )
        return say("  {came:,} GPUs have arrived by {today}; {planned:,} were planned", **values)

    def _steps(self) -> list[str]:
        rows: list[Said] = [each.text() for each in self.chain] or self._dates()
        for step in self.service[:SHOWN_STEPS]:
            values = {"day": self._day(step.from_s), "powered": step.powered, "online": step.online}
            rows.append(say("  {day}  {powered:,} GPUs powered, {online:,} online", **values))
        if len(self.service) > SHOWN_STEPS:
            rows.append(say("  ... and {n:,} more", n=len(self.service) - SHOWN_STEPS))
        return [str(row) for row in rows]

    def _dates(self) -> list[Said]:
        """When it is ordered and delivered."""
        rows = []
        if self.ordered[0]:
            rows.append(
                say("  {day}  ordered  {place}", day=spoken_day(self.ordered[0]), place=self.ordered[1])
            )
        else:
            rows.append(say("  {nothing:<10}  ordered: the plan does not say when", nothing=""))
        if self.delivered_range:
            first, last = map(spoken_day, self.delivered_range)
            rows.append(
                say(
                    "  {day}  delivered ({first} to {last})  {place}",
                    day=spoken_day(self.delivered[0]),
                    first=first,
                    last=last,
                    place=self.delivered[1],
                )
            )
        else:
            rows.append(
                say("  {day}  delivered  {place}", day=spoken_day(self.delivered[0]), place=self.delivered[1])
            )
        return rows

    def _holds(self) -> list[str]:
        rows = [""] if self.held else []
        for held in self.held[:SHOWN_STEPS]:
            values = {"lack": self._lacks(held), "path": held.path, "place": held.at}
            if held.step == "retired":
                row = say("  {lack}: {path} at {place}", **values)
            elif held.until_s is None:
                row = say("  {lack}, to the plan's end: {path} at {place}", **values)
            else:
                until = self._day(held.until_s)
                row = say("  {lack}, until {until}: {path} at {place}", **values, until=until)
            rows.append(str(row))
        return rows

    def _lacks(self, held: Held) -> Said:
        """What some GPUs lack, and from when, in words."""
        values = {"n": held.gpus, "day": self._day(held.from_s)}
        if held.step == "not_powered":
            return say("{n:,} GPU without power from {day}", "{n:,} GPUs without power from {day}", **values)
        if held.step == "retired":
            return say("{n:,} GPU retired on {day}", "{n:,} GPUs retired on {day}", **values)
        return say("{n:,} GPU lost its power on {day}", "{n:,} GPUs lost their power on {day}", **values)

    def _day(self, t_s: int) -> str:
        """A moment in the language that is being spoken."""
        return spoken_day(self._moment(t_s))

    def _moment(self, t_s: int) -> str:
        """A moment in the time of the lot's site: the date, and the time if it is not midnight."""
        return _local((self.start + timedelta(seconds=t_s)), self.zone)


_STATUS: Final[dict[str, Callable[[], Said]]] = {
    "pledged": lambda: say("only pledged"),
    "ordered": lambda: say("ordered"),
    "delivered": lambda: say("delivered"),
    "online": lambda: say("online"),
}


def why_lot(run: Run, name: str) -> LotExplanation:
    """How far a lot is, and what holds it.

    Args: name: of a delivery of the plan; it must exist.
    """
    lock, lot = run.plan, run.plan["deliveries"][name]
    world = load_world(run.path / folder.WORLD)[0]
    row = list(lock["deliveries"]).index(name)
    end_s = _seconds(run, lock["end"])  # supply is shown beyond the last job
    service = [
        s for s in service_of(world.nodes, world.capacity, row, len(lock["deliveries"])) if s.from_s < end_s
    ]
    chain = chain_of(run, name)
    at_s = _seconds(run, lot["at"])
    stopped = lot.get("stopped") is not None
    zone = lock["sites"][lot["to"]]["time_zone"]
    extent = lot.get("at_range")
    return LotExplanation(
        name=name,
        lot=lot,
        product=lock["systems"][lot["system"]]["product"],
        ordered=(
            _day(lot["ordered"], zone) if "ordered" in lot else "",
            _line(lock, f"{PREFIX}{name}.ordered"),
        ),
        delivered=(_day(lot["at"], zone), _line(lock, f"{PREFIX}{name}.at", f"{PREFIX}{name}")),
        delivered_range=(_day(extent[0], zone), _day(extent[1], zone)) if extent else None,
        beyond=_day(lock["end"], zone) if at_s >= end_s and not stopped else "",
        service=tuple(service),
        held=() if stopped else tuple(_held(run, name, service)),
        arrived=(actual_of(lock)[name], planned_of(lock)[name]) if lock["actuals"] else None,
        today=_day(lock["as_of"], run.time_zone),
        at=_line(lock, f"{PREFIX}{name}"),
        start=run.start,
        zone=zone,
        chain=chain,
        law=law_of(run, name),
    )


def _held(run: Run, name: str, service: list[Service]) -> list[Held]:
    """The times in which GPUs of a lot that are ready are not in service, and the lines behind that."""
    lock, lot = run.plan, run.plan["deliveries"][name]
    power, gone = f"sites.{lot['to']}.power", _gone(run, name)
    ready = _ready(run, lot)
    first_s = min(at_s for _, at_s in ready)
    times = {first_s, *(at_s for _, at_s in ready), *(s.from_s for s in service if s.from_s > first_s)}
    found: list[Held] = []
    going: dict[str, Held] = {}
    for t_s in sorted(t_s for t_s in times if t_s < _seconds(run, lock["end"])):
        there = sum(gpus for gpus, at_s in ready if at_s <= t_s)
        step = next((s for s in reversed(service) if s.from_s <= t_s), Service(t_s, 0, 0, 0))
        lacks = {
            "not_powered": (there - step.powered, power),
            "not_online": (step.powered - step.online - step.retired, power),
            "retired": (step.retired, gone),
        }
        for word, (gpus, path) in lacks.items():
            now = going.pop(word, None)
            if now is not None and now.gpus != gpus:
                found.append(now._replace(until_s=t_s))
                now = None
            if gpus > 0:
                going[word] = now or Held(word, gpus, t_s, None, path, _line(lock, path))
    return sorted([*found, *going.values()], key=lambda held: held.from_s)


def _ready(run: Run, lot: dict[str, Any]) -> list[tuple[int, int]]:
    """GPUs of a lot that may have power from a second on; what was there before the start is from then on."""
    parts = lot.get("parts") or [[lot["gpus"], lot.get("ready") or lot["at"]]]
    return [(gpus, max(0, _seconds(run, at))) for gpus, at in parts]


def _gone(run: Run, name: str) -> str:
    """The first retirement that can have taken GPUs of a lot."""
    lot = run.plan["deliveries"][name]
    for i, r in enumerate(run.plan["retirements"]):
        like = (r["from_"], r["system"]) == (lot["to"], lot["system"])
        if like and r.get("tenant") in (None, lot.get("tenant")):
            return f"retirements.{i}"
    return f"{PREFIX}{name}"


def _line(lock: dict[str, Any], *paths: str) -> str:
    """The line of the first of some paths that the plan writes."""
    return next((at for path in paths if (at := lock["lines"].get(path))), "")


def _seconds(run: Run, moment: str) -> int:
    return int((datetime.fromisoformat(moment) - run.start).total_seconds())


def _day(moment: str, zone: str) -> str:
    return _local(datetime.fromisoformat(moment), zone)


def _local(moment: datetime, zone: str) -> str:
    here = moment.astimezone(UTC).astimezone(ZoneInfo(zone))
    return f"{here:%Y-%m-%d}" if (here.hour, here.minute) == (0, 0) else f"{here:%Y-%m-%d %H:%M}"
