"""Every value of the plan with its unit, trust, source and line; and the sources themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from gpufleet.base.say import Said, say
from gpufleet.report.sources import source_ids, trusted
from gpufleet.report.tables import Kind, Link, Table, table

if TYPE_CHECKING:
    from gpufleet.results.run import Run

MAX_INPUTS: Final = 4_000
"""Values that the page lists; plan.lock.yaml has all. More would make the page too large to send."""

_KNOWN: Final = ("sites", "systems", "deliveries", "retirements", "promises", "actuals", "sums", "cohorts",
                 "partitions", "reservations", "tenants", "queues", "priorities", "workloads",
                 "policy", "failures")  # fmt: skip
_TOP: Final = ("start", "end", "as_of", "jobs_until", "time_zone", "after_end", "seed")
_UNITS: Final = {"gpus": "GPU", "makes": "GPU", "nodes": "node", "pue": "1", "load": "1", "at": "date",
                 "from_": "date", "until": "date", "ordered": "date", "start": "date", "end": "date",
                 "as_of": "date", "jobs_until": "date", "gpu_hours_per_month": "GPU·h/month"}  # fmt: skip
_SUFFIXES: Final = {"_w": "W", "_s": "s"}
_WRITTEN: Final = {"power_w": "power", "duration_s": "duration", "limit_s": "limit", "shift_s": "shift",
                   "interval_s": "interval", "finish_lag_s": "finish_lag", "node_power_w": "node_power",
                   "rack_power_w": "rack_power", "tenant": "for", "from_": "from",
                   "parent": "in", "terms": "quota", "checkpoint_s": "checkpoint", "restart_s": "restart",
                   "repair_s": "repair", "for_s": "for", "holders": "for",
                   "max_run_time_s": "max_run_time", "return_after_s": "return_after"}  # fmt: skip
"""What a field of the lock is called in the plan."""
_NO_INPUT: Final = ("source", "trust", "title", "name", "kind", "note", "ceiling")
_RANGES: Final = "_range"
_MADE: Final = ("queues.", "systems.")


class Leaf(NamedTuple):
    """One value of the plan."""

    path: str  # as the plan writes it
    value: Any
    unit: str
    trust: str | None
    source: str | None
    line: str  # "" = a default


def leaves(run: Run) -> Iterator[Leaf]:
    """Every value that the run was made of, in the order of the plan's parts; titles and ranges are none."""
    plan = run.plan
    for key in _TOP:
        if plan.get(key) is not None:
            yield _leaf(plan, key, key, plan[key])
    for section in _KNOWN:
        yield from _walk(plan, section, section, plan.get(section))
    for name, one in (plan.get("profiles") or {}).items():
        yield Leaf(f"profiles.{name}", one["title"], "", one["trust"], one["source"], one["line"])


def _walk(plan: Mapping[str, Any], path: str, field: str, value: Any) -> Iterator[Leaf]:
    """The leaves below a part."""
    if value is None or value in ([], {}, "") or field in _NO_INPUT or field.endswith(_RANGES):
        return
    if isinstance(value, Mapping) and "sha256" not in value:
        for key, item in value.items():
            yield from _walk(plan, f"{path}.{_WRITTEN.get(key, key)}", str(key), item)
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            yield from _walk(plan, f"{path}.{i}", str(i), item)
    else:
        yield _leaf(plan, path, field, value)


def _leaf(plan: Mapping[str, Any], path: str, field: str, value: Any) -> Leaf:
    """A value with what is known of it: its own line and source, else those of the part it stands in.

    A value that the plan does not write is a default, but in parts made of others or of the catalogue.
    """
    lines, origins = plan["lines"], plan["origins"]
    part = path.rpartition(".")[0]
    own, whole = (origins.get(p, {}) for p in (path, part))
    if path.startswith("systems.") and not (own or whole):  # the catalogue's own word
        whole = plan["systems"].get(part.removeprefix("systems."), {})
    line = lines.get(path) or (lines.get(part, "") if path.startswith(_MADE) else "")
    if not line:
        return Leaf(path, value, _unit(path, field), None, None, "")
    return Leaf(
        path,
        value,
        _unit(path, field),
        own.get("trust") or whole.get("trust"),
        own.get("source") or whole.get("source"),
        line,
    )


def _unit(path: str, field: str) -> str:
    """The unit of a value: by its name, or a quota's.

    >>> _unit("sites.lab.power", "power_w"), _unit("queues.q.quota.B200", "B200"), _unit("seed", "seed")
    ('W', 'GPU', '')
    """
    if ".quota." in path:
        return "GPU"
    if path.startswith("retirements.") and field == "from_":
        return ""  # the site that they leave
    if field in _UNITS:
        return _UNITS[field]
    return next((unit for end, unit in _SUFFIXES.items() if field.endswith(end)), "")


def inputs(run: Run) -> Table | None:
    """The plan's values as a table that readers can filter; each source opens its own row."""
    found = list(leaves(run))
    if not found:
        return None
    ids = source_ids(run)
    rows = [_row(run, leaf, ids) for leaf in found[:MAX_INPUTS]]
    columns: list[tuple[str, Kind]] = [
        (say("value of the plan"), "name"), (say("is"), "name"), (say("unit"), "text"),
        (say("trust"), "text"), (say("source"), "name"), (say("written at"), "place"),
    ]  # fmt: skip
    made = table(_caption(len(found)), columns, rows)
    return Table(made.caption, made.columns, made.rows, filtered=True)


def _caption(values: int) -> Said:
    if values > MAX_INPUTS:
        return say("The first {most:,} of {values:,} values of the plan; plan.lock.yaml has all",
                   most=MAX_INPUTS, values=values)  # fmt: skip
    return say("The plan's values")


def _row(run: Run, leaf: Leaf, ids: Mapping[str, str]) -> tuple[Any, ...]:
    known = run.plan.get("sources") or {}
    source = leaf.source or ""
    title = (known.get(source) or {}).get("title") or source
    return (
        ("◆ " if leaf.trust == "assumption" else "") + leaf.path,
        written(run, leaf.value, leaf.unit),
        leaf.unit,
        trusted(leaf.trust) or "",
        Link(title, ids[source]) if source in ids else title,
        leaf.line or say("default"),
    )


def cited(run: Run) -> Table | None:
    """The sources that the plan names. Addresses are text: the page opens nothing by itself."""
    known = run.plan.get("sources") or {}
    if not known:
        return None
    uses: dict[str, int] = {}
    for leaf in leaves(run):
        if leaf.source:
            uses[leaf.source] = uses.get(leaf.source, 0) + 1
    columns: list[tuple[str, Kind]] = [
        (say("source"), "name"), (say("what it is"), "name"), (say("address"), "place"),
        (say("date"), "text"),
        (say("values from it"), "whole"), (say("note"), "name"),
    ]  # fmt: skip
    rows = [
        (name, one.get("title") or "", one.get("url") or "", one.get("date") or "", uses.get(name, 0),
         one.get("note") or "")
        for name, one in known.items()
    ]  # fmt: skip
    made = table(say("Sources"), columns, rows)
    return Table(
        made.caption, made.columns, made.rows, ids=tuple(source_ids(run).values()), filtered=len(rows) > 12
    )


def written(run: Run, value: Any, unit: str) -> str:
    """A value of the lock on one line: a file by its name, a date in the plan's zone, power as steps."""
    if isinstance(value, Mapping) and "sha256" in value:
        return str(value["name"])
    if unit == "date" and isinstance(value, str):
        return _day(run, datetime.fromisoformat(value))
    if unit == "W" and isinstance(value, list):
        return ", ".join(_power_from(run, int(from_s), watts) for from_s, watts in value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, list | Mapping):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:,.12g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _day(run: Run, moment: datetime) -> Said:
    local = moment.astimezone(ZoneInfo(run.time_zone))
    if (local.hour, local.minute) == (0, 0):
        return say("{at:%Y-%m-%d}", at=local)
    return say("{at:%Y-%m-%d %H:%M}", at=local)


def _power_from(run: Run, from_s: int, watts: float) -> str:
    """A step of a site's power."""
    if not from_s:
        return f"{watts:,.12g}"
    since = _day(run, run.start + timedelta(seconds=from_s))
    return say("{watts:,.12g} from {since}", watts=watts, since=since)
