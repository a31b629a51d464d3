"""The answer: a run in one sentence. The number that matters first, how it went, the first cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from gpufleet.base.say import Said, say
from gpufleet.base.units import format_duration
from gpufleet.results.answer_supply import supply_answer
from gpufleet.results.blame import blame, line, seconds, unpowered_in
from gpufleet.results.columns import ROOTS, WORDS
from gpufleet.results.find import row_of
from gpufleet.results.then import Bins, then, wish_of

if TYPE_CHECKING:
    from gpufleet.results.facts import Facts
    from gpufleet.results.find import Row

Value = Callable[..., float | int | None]

_WORDS: Final = {
    "deliveries": say("deliveries at {place}"),
    "sites": say("power at {place}"),
    "queues": say("queue at {place}"),
    "cohorts": say("cohort at {place}"),
    "workloads": say("workload at {place}"),
    "tenants": say("quota at {place}"),
    "reservations": say("reservation at {place}"),
    "limits": say("limit at {place}"),
    "policy": say("policy at {place}"),
}
"""What a section of the plan is called in the sentence."""


def answer(facts: Facts, rows: list[dict[str, Any]]) -> Said:
    """One sentence about a run; one more, before it, about the supply of a plan with promises.

    Args: rows: all measures, as in measures.json.
    """
    values = {(row["name"], *sorted(row["by"].items())): row["value"] for row in rows}

    def value(name: str, **by: str) -> float | int | None:
        return values.get((name, *sorted(by.items())))

    supply = supply_answer(facts.run)
    parts = [
        _fleet(facts, value),
        _until(facts),
        "" if supply else _power(facts),  # of promises it is told what they lack, power or another thing
        _jobs(value),
        _waits(value),
        _cause(facts, value, rows),
    ]
    parts = [part for part in parts if part]
    if supply:
        return say("{supply}. {parts:; }", supply=supply, parts=parts)
    return say("{parts:; }", parts=parts)


def _fleet(facts: Facts, value: Value) -> str:
    """64 GPUs at lab were 87 % busy 2026-01-05 to 2026-01-19."""
    zone = ZoneInfo(facts.run.time_zone)
    start, end = ((facts.run.start + timedelta(seconds=t)).astimezone(zone) for t in (0, facts.until_s))
    share = value("utilisation")
    if share is None or not value("online_gpu_h"):
        return say("No GPU was online {start} to {end}", start=start.date(), end=end.date())
    low, high = _gpus(facts)
    count = say("{n:,} GPU", "{n:,} GPUs", n=high)
    if low != high:
        count = say("Up to {n:,} GPU", "Up to {n:,} GPUs", n=high)
    there = facts.gpu_s.filter(pl.col("kind") == "online", pl.col("gpu_s") > 0)
    products, sites = (there.get_column(column).unique().to_list() for column in ("product", "site"))
    if len(products) > 1:
        count = say("{count} of {products:,} products", count=count, products=len(products))
    return say(
        "{count} at {where} were {share} busy {start} to {end}",
        count=count,
        where=sites[0] if len(sites) == 1 else say("{sites:,} sites", sites=len(sites)),
        share=_percent(share),
        start=start.date(),
        end=end.date(),
    )


def _until(facts: Facts) -> str:
    """Jobs simulated until 2029-01-01; nothing where that is the plan's end."""
    lock = facts.run.plan
    until = lock.get("jobs_until")
    if not until or seconds(lock, until) >= seconds(lock, lock["end"]):
        return ""
    day = datetime.fromisoformat(until).astimezone(ZoneInfo(facts.run.time_zone)).date()
    return say("jobs simulated until {day}", day=day)


def _supplied_s(facts: Facts) -> int:
    """Until when deliveries and power count, s from the plan's start: beyond the last job."""
    end_s = seconds(facts.run.plan, facts.run.plan["end"]) if _until(facts) else 0
    return max(facts.until_s, end_s)


def _power(facts: Facts) -> str:
    """144 of 200 GPUs at lab came online; first limit: power at lab (plan.yaml:12)."""
    lots: dict[int, list[tuple[int, int]]] = {}
    for short in facts.seen.shortages:
        if short.from_s < _supplied_s(facts):
            lots.setdefault(short.lot, []).append((short.from_s, short.gpus))
    lock, names = facts.run.plan, facts.run.names.lots
    never: dict[str, int] = {}
    dark: dict[str, int] = {}
    for lot, steps in lots.items():
        delivery = lock["deliveries"][names[lot]]
        site, at_s = delivery["to"], max(0, seconds(lock, delivery["at"]))
        gpus = [n for _, n in steps]
        at_once = max(0, steps[0][0]) <= at_s
        never[site] = never.get(site, 0) + (min(gpus) if at_once else 0)
        dark[site] = dark.get(site, 0) + max(gpus)
    if not any(dark.values()):
        return ""
    site = max(dark, key=lambda name: (never[name], dark[name]))
    at = line(lock, f"sites.{site}.power").at
    lit = _lit(facts, site, never[site], dark[site])
    if not at:
        return say("{lit}; first limit: power at {site}", lit=lit, site=site)
    return say("{lit}; first limit: power at {site} ({place})", lit=lit, site=site, place=at)


def _lit(facts: Facts, site: str, never: int, dark: int) -> str:
    """How many of the GPUs that came to a site had power."""
    lock = facts.run.plan
    came = sum(
        delivery["gpus"]
        for delivery in lock["deliveries"].values()
        if delivery["to"] == site and seconds(lock, delivery["at"]) < _supplied_s(facts)
    )
    if never:
        return say("{lit:,} of {came:,} GPUs at {site} came online", lit=came - never, came=came, site=site)
    return say(
        "{dark:,} of {came:,} GPUs at {site} were without power for a time", dark=dark, came=came, site=site
    )


def _gpus(facts: Facts) -> tuple[int, int]:
    """Fewest and most GPUs online, as means over bins."""
    online = facts.by_bin.group_by("t_s").agg(pl.col("online").sum())
    grid = facts.seen.grid_s
    stops = not facts.seen.runs_on
    whole = facts.run.end_s
    means = [gpu_s / (min(grid, whole - t) if stops else grid) for t, gpu_s in online.iter_rows()]
    return round(min(means)), round(max(means))


def _jobs(value: Value) -> str:
    """412 of 420 jobs done, 5 killed at their limit, 3 can never run."""
    total = value("jobs") or 0
    if not total:
        return say("no job came")
    done, killed = (value("jobs", state=state) or 0 for state in ("done", "killed"))
    refused = value("refused_jobs") or 0
    parts = [say("{done:,} of {total:,} jobs done", done=done, total=total)]
    if killed:
        parts.append(say("{n:,} killed at its limit", "{n:,} killed at their limit", n=killed))
    if refused:
        parts.append(say("{refused:,} can never run", refused=refused))
    return say("{parts:, }", parts=parts)


def _waits(value: Value) -> str:
    """Half of the jobs waited at most 3 min, one in ten more than 4.2 h."""
    p50, p90 = value("wait_p50_s"), value("wait_p90_s")
    if p50 is None or p90 is None:
        return ""
    if p90 == 0:
        return say("nine in ten jobs did not wait")
    long = format_duration(p90)
    if not p50:
        return say("half of the jobs did not wait, one in ten waited more than {long}", long=long)
    return say(
        "half of the jobs waited at most {half}, one in ten more than {long}",
        half=format_duration(p50),
        long=long,
    )


def _cause(facts: Facts, value: Value, rows: list[dict[str, Any]]) -> str:
    """First cause: no free GPUs (deliveries at plan.yaml:31)."""
    hours = {root: value("waiting_gpu_h", cause=root) or 0 for root in ROOTS}
    cause = max(ROOTS, key=lambda root: hours[root])
    if not hours[cause]:
        return ""
    row, lock = _who(facts, cause), facts.run.plan
    bins = Bins(facts.seen.grid_s, facts.run.end_s, facts.seen.runs_on)
    wish = wish_of(row, then(facts.run, row, bins))
    lines = blame(lock, cause, wish, unpowered=unpowered_in(rows))
    first: dict[str, str] = {}  # of each section of the plan
    for path, at in lines:
        if at:
            first.setdefault(_WORDS["limits" if ".limits" in path else path.partition(".")[0]], at)
    if not first:
        return say("first cause: {cause}", cause=WORDS[cause])
    places = [say(template, place=at) for template, at in first.items()]
    if cause == "beyond_depth":
        return say(
            "first cause: {cause}, the scheduler looks at {depth:,} jobs of a queue ({places:, })",
            cause=WORDS[cause],
            depth=lock["policy"]["depth"],
            places=places,
        )
    return say("first cause: {cause} ({places:, })", cause=WORDS[cause], places=places)


def _who(facts: Facts, cause: str) -> Row:
    """Of the queue and workload whose jobs waited most for a cause, in GPU-hours, the job that did so most.

    A job that was itself refused so goes before one that stood behind others.
    """
    jobs, gpus = facts.run.scan_jobs(), pl.col("gpus").cast(pl.Int64)
    waited = (gpus * pl.col(f"root_{cause}_s")).sum().alias("gpu_s")
    by = jobs.group_by("queue", "workload").agg(waited)
    most = by.collect(engine="streaming").sort("gpu_s", "queue", "workload", descending=[True, False, False])
    own, root = (gpus * pl.col(f"{kind}_{cause}_s") for kind in ("wait", "root"))
    mine = jobs.filter(
        pl.col("queue") == most.item(0, "queue"), pl.col("workload") == most.item(0, "workload")
    )
    ranked = mine.select("job", own=own, root=root).sort("own", "root", "job", descending=[True, True, False])
    return row_of(facts.run, ranked.head(1).collect(engine="streaming").item(0, "job"))


def _percent(share: float) -> str:
    """A share as people say it; a trace of something is never nothing.

    >>> _percent(0.871), _percent(0.064), _percent(0.0001)
    ('87 %', '6.4 %', '<0.1 %')
    """
    value = 100 * share
    if 0 < value < 0.1:
        return say("<0.1 %")
    return say("{x:.1f} %", x=value) if 0 < value < 10 else say("{x:.0f} %", x=value)
