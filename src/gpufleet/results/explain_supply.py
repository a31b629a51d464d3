"""How far a promise is, or what a tenant gets: what is promised, which lots keep it, what is short."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.results.answer_supply import CANCELLED, NOT_YET, month_of, shortage_words
from gpufleet.results.chain import never_comes

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SHOWN: Final = 20
"""Lots and shortages that a text shows."""

STEPS: Final = ("ordered", "delivered", "powered", "online")


class Promised(NamedTuple):
    """A promise, and how far it is on the day."""

    name: str
    gpus: int
    gpus_range: tuple[int, int] | None
    made: date
    due_from: date
    due: date
    online_gpus: int
    online_low_gpus: int
    online_high_gpus: int
    by: str
    kind: str
    tenant: str
    source: str
    trust: str
    at: str


class LotRow(NamedTuple):
    """A lot, and how far it is on the day."""

    name: str
    gpus: int
    product: str
    site: str
    status: str
    delivered_on: date | None  # None: never
    steps: dict[str, int]  # GPUs by step
    counts_toward: tuple[str, ...]
    at: str


class Short(NamedTuple):
    """GPUs that are not online on the day, for one reason."""

    gpus: int
    overdue: int
    step: str
    lot: str | None
    promise: str | None
    site: str | None
    tenant: str | None
    at: str
    stuck: str | None = None  # the next step of its chain, if the plan has one


@dataclass(frozen=True)
class SupplyExplanation:
    """How far a promise is, or all that a tenant is promised and gets. `print` it, or take `to_json`."""

    what: Literal["promise", "tenant"]
    name: str
    day: date  # a promise: by when it is due; a tenant: the plan's end
    promises: tuple[Promised, ...]
    lots: tuple[LotRow, ...]
    short: tuple[Short, ...]  # the most GPUs first

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why-promise/1`` or ``gpufleet.why-tenant/1``."""
        rows = {
            "promises": [_plain(each._asdict()) for each in self.promises],
            "lots": [_plain(each._asdict()) for each in self.lots],
            "short": [_plain(each._asdict()) for each in self.short],
        }
        return {
            "schema": f"gpufleet.why-{self.what}/1",
            self.what: self.name,
            "on": self.day.isoformat(),
            **rows,
        }

    def text(self) -> str:
        """The explanation for people: the answer, the promises, the lots, what is short."""
        return "\n".join(map(str, [self._answer(), *self._promised(), *self._bought(), *self._lacking()]))

    __str__ = text
    __repr__ = text

    def _answer(self) -> Said:
        says = self._promise_answer() if self.what == "promise" else self._tenant_answer()
        if not self.short:
            return says
        return say("{says}; largest shortage: {short}", says=says, short=_lacks(self.short[0]))

    def _promise_answer(self) -> Said:
        one = self.promises[0]
        values = {
            "name": one.name,
            "online": min(one.gpus, one.online_gpus),  # what comes beyond a promise keeps nothing
            "whole": one.gpus,
            "day": self.day,
            "low": min(one.gpus, one.online_low_gpus),
            "high": min(one.gpus, one.online_high_gpus),
        }
        if values["low"] == values["high"]:
            says = say("promise {name}: {online:,} of {whole:,} GPUs are online on {day}", **values)
        else:
            says = say(
                "promise {name}: {online:,} of {whole:,} GPUs are online on {day} (low {low:,}, high "
                "{high:,})",
                **values,
            )
        if one.due <= self.day:
            return says
        return say(
            "{says}, the plan's last day; it is due by {due}, after the plan's end", says=says, due=one.due
        )

    def _tenant_answer(self) -> Said:
        whole = sum(lot.gpus for lot in self.lots)
        values = {"name": self.name, "whole": whole, "day": self.day}
        online = sum(lot.steps["online"] for lot in self.lots)
        if not self.lots:
            return say("tenant {name}: the plan has no lot of its own", **values)
        return say(
            "tenant {name}: {online:,} of the {whole:,} GPUs of its own lots are online on {day}",
            online=online,
            **values,
        )

    def _promised(self) -> Iterable[Said]:
        if self.what == "tenant" and len(self.promises) > 1:
            yield say("  promises stand side by side; they are never added up")
        for each in self.promises:
            values = {**each._asdict(), "n": each.gpus}
            if self.what == "tenant":
                yield say(
                    "  {name}: {n:,} GPU due by {due}, {online_gpus:,} online; {at}",
                    "  {name}: {n:,} GPUs due by {due}, {online_gpus:,} online; {at}",
                    **values,
                )
                continue
            if each.by:
                yield say(
                    "  {n:,} GPU for {tenant}, promised by {by}; {at}",
                    "  {n:,} GPUs for {tenant}, promised by {by}; {at}",
                    **values,
                )
            else:
                yield say("  {n:,} GPU for {tenant}; {at}", "  {n:,} GPUs for {tenant}; {at}", **values)
            if each.gpus_range:
                low, high = each.gpus_range
                yield say("  between {low:,} and {high:,} GPUs", low=low, high=high)
            yield say("  made on {made}; falls due from {due_from} to {due}", **values)
            if each.source:
                yield say("  source: {source}", source=each.source)
            yield say("  trust: {trust}", trust=each.trust or say("not said"))

    def _bought(self) -> Iterable[Said]:
        yield say("")
        if not self.lots:
            yield say("  no lot counts toward it") if self.what == "promise" else say("  no lot is for it")
        for lot in self.lots[:SHOWN]:
            values = {**lot._asdict(), **lot.steps}
            if lot.delivered_on is None:
                yield say(
                    "  {name}: {gpus:,} {product} at {site}, never delivered, as far as the plan says; "
                    "on the day {ordered:,} are ordered; {at}",
                    **values,
                )
                continue
            yield say(
                "  {name}: {gpus:,} {product} at {site}, delivered {delivered_on}; on the day {ordered:,} "
                "are ordered, {powered:,} powered, {online:,} online; {at}",
                **values,
            )
        if len(self.lots) > SHOWN:
            yield say("  ... and {n:,} more", n=len(self.lots) - SHOWN)

    def _lacking(self) -> Iterable[Said]:
        if not self.short:
            return
        yield say("")
        for each in self.short[:SHOWN]:
            values = {"lacks": _lacks(each), "lot": each.lot, "promise": each.promise}
            if each.lot:
                yield say("  {lot}: {lacks}", **values)
            else:
                yield say("  {promise}: {lacks}", **values)
        if len(self.short) > SHOWN:
            yield say("  ... and {n:,} more", n=len(self.short) - SHOWN)


def why_promise(run: Run, name: str) -> SupplyExplanation:
    """How far a promise is on the day by which it is due, at most at the plan's end.

    Args: name: of a promise of the plan; it must exist.
    """
    month, day = month_of(run, [name])
    lots = [lot for lot, row in run.plan["deliveries"].items() if name in row["counts_toward"]]
    short = run.shortage.filter(pl.col("month") == month, pl.col("promise") == name)
    return SupplyExplanation(
        "promise", name, day, (_promised(run, name, month),), _lots(run, lots, month), _short(short)
    )


def why_tenant(run: Run, name: str) -> SupplyExplanation:
    """What a tenant is promised and gets by the plan's end.

    Args: name: of a tenant of the plan; it must exist.
    """
    month, day = month_of(run, [])
    names = [promise for promise, row in run.plan["promises"].items() if row["tenant"] == name]
    lots = [lot for lot, row in run.plan["deliveries"].items() if row.get("tenant") == name]
    short = run.shortage.filter(pl.col("month") == month, pl.col("tenant") == name)
    # a lot that counts toward two promises lacks its GPUs once
    once = short.unique(["lot", "step", "place"], maintain_order=True, keep="first")
    once = pl.concat([short.filter(pl.col("lot").is_null()), once.filter(pl.col("lot").is_not_null())])
    promises = tuple(_promised(run, promise, month) for promise in names)
    return SupplyExplanation("tenant", name, day, promises, _lots(run, lots, month), _short(once))


def _promised(run: Run, name: str, month: str) -> Promised:
    promise, lock = run.plan["promises"][name], run.plan
    rows = run.supply.filter(pl.col("month") == month, pl.col("promise") == name, pl.col("step") == "online")
    online, low, high = (int(rows[column].sum()) for column in ("gpus", "gpus_low", "gpus_high"))
    own, whole = (lock["origins"].get(path, {}) for path in (f"promises.{name}.gpus", f"promises.{name}"))
    source = own.get("source") or whole.get("source") or ""
    extent = promise.get("gpus_range")
    return Promised(
        name=name,
        gpus=promise["gpus"],
        gpus_range=(extent[0], extent[1]) if extent else None,
        made=_day(run, promise["at"]),
        due_from=_day(run, promise.get("from_") or promise["at"]),
        due=_day(run, promise["until"]),
        online_gpus=online,
        online_low_gpus=low,
        online_high_gpus=high,
        by=promise.get("by") or "",
        kind=promise["kind"],
        tenant=promise["tenant"],
        source=(lock.get("sources") or {}).get(source, {}).get("title") or source,
        trust=own.get("trust") or whole.get("trust") or "",
        at=_line(run, f"promises.{name}.gpus", f"promises.{name}"),
    )


def _lots(run: Run, names: Iterable[str], month: str) -> tuple[LotRow, ...]:
    lock = run.plan
    now = run.supply.filter(pl.col("month") == month, pl.col("first"))
    steps = {(lot, step): gpus for lot, step, gpus in now.select("lot", "step", "gpus").iter_rows()}
    found = []
    for name in names:
        lot = lock["deliveries"][name]
        found.append(
            LotRow(
                name=name,
                gpus=lot["gpus"],
                product=lock["systems"][lot["system"]]["product"],
                site=lot["to"],
                status=lot["status"],
                delivered_on=None
                if never_comes(lot)
                else _day(run, lot["at"], lock["sites"][lot["to"]]["time_zone"]),
                steps={step: steps.get((name, step), 0) for step in STEPS},
                counts_toward=tuple(lot["counts_toward"]),
                at=_line(run, f"deliveries.{name}"),
            )
        )
    return tuple(found)


def _short(rows: pl.DataFrame) -> tuple[Short, ...]:
    """Rows of shortage.parquet of one month, the largest first."""
    keys = ["step", "promise", "lot", "place"]
    ordered = rows.sort(["gpus", *keys], descending=[True, *[False] * len(keys)])
    columns = ("gpus", "overdue", "step", "lot", "promise", "site", "tenant", "place", "stuck")
    return tuple(Short(*row) for row in ordered.select(columns).iter_rows())


def _lacks(short: Short) -> Said:
    lacks = "not_installed" if short.stuck in NOT_YET else short.step
    if short.stuck == CANCELLED:
        lacks = CANCELLED
    return shortage_words(
        "no_lot" if short.lot is None else lacks,
        gpus=short.gpus,
        site=short.site,
        who=short.tenant or say("all tenants"),
        place=short.at,
    )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date) else value for key, value in row.items()}


def _line(run: Run, *paths: str) -> str:
    """The line of the first of some paths that the plan writes."""
    return next((at for path in paths if (at := run.plan["lines"].get(path))), "")


def _day(run: Run, moment: str, zone: str | None = None) -> date:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(zone or run.time_zone)).date()
