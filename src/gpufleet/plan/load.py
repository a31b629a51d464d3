"""Reading a plan: files to a tree, overrides, tables, then the declared parts; every finding at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from gpufleet.base.errors import Finding, GpufleetError, Place, finding, nearest
from gpufleet.base.say import say
from gpufleet.plan import (
    chain_checks,
    codes,
    horizon,
    limit_checks,
    money_checks,
    node_set_checks,
    other_products,
    power_checks,
    profile_checks,
    promised,
    ratings,
    sharing_checks,
    slowing,
)
from gpufleet.plan.chain_dates import dated
from gpufleet.plan.check import run_checks
from gpufleet.plan.frame import Files
from gpufleet.plan.moments import Moment, Zone
from gpufleet.plan.node_sets import HOLDER
from gpufleet.plan.plan import Plan
from gpufleet.plan.priorities import Priorities
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.scenarios import apply, check_scenarios, parse_sets, scenario_overrides
from gpufleet.plan.supply import own_product
from gpufleet.plan.tables import expand_alone, expand_tables, table_of
from gpufleet.plan.tree import Leaf, Map, Node, Seq, parse_yaml, to_data, word_at
from gpufleet.plan.warnings import remarks

MAX_BYTES: Final = 2_000_000
MAX_FILES: Final = 200

__all__ = [
    "chain_checks",
    "codes",
    "horizon",
    "limit_checks",
    "load_plan",
    "money_checks",
    "node_set_checks",
    "other_products",
    "power_checks",
    "profile_checks",
    "promised",
    "ratings",
    "sharing_checks",
    "slowing",
]


def load_plan(path: str | Path, *, sets: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Plan:
    """Read and check a plan.

    Args:    path: a YAML file, or a folder whose *.yaml files are merged. sets: "PATH=VALUE", as --set.
             scenarios: names of scenarios of the plan to apply.
    Returns: the plan; warnings are in `plan.warnings`, remarks in `plan.notes`.
    Raises:  GpufleetError with every error that was found.

    >>> load_plan("no-such-plan.yaml")
    Traceback (most recent call last):
    gpufleet.base.errors.GpufleetError: no-such-plan.yaml  error P002 ...
    """
    path = Path(path)
    tree = read_tree(path)
    root = path if path.is_dir() else path.parent
    first = new_reader(tree, root)
    overrides = parse_sets(sets, first)
    check_scenarios(tree, first)
    chosen = [*scenario_overrides(tree, scenarios, first)]
    changed = apply(tree, [*chosen, *overrides], first)
    plan, findings = _read(changed, root)
    findings = _merge(first.findings, findings, _of_other_scenarios(tree, root, scenarios))
    if plan is not None and not findings:
        warnings = tuple(run_checks(plan))
        findings = [f for f in warnings if f.severity == "error"]
        if not findings:
            asked = {"applied": tuple(scenarios), "overrides": tuple(sets)}
            return plan.model_copy(update={"warnings": warnings, **asked})
        findings = list(warnings)
    raise GpufleetError(*sorted(findings, key=_by_place))


def _by_place(found: Finding) -> tuple[bool, str, str, int, int, str]:
    at = found.at or Place("", 0)
    return found.severity != "error", at.file, at.sheet, at.line, at.column if at.sheet else 0, found.code


def _merge(*parts: Sequence[Finding]) -> list[Finding]:
    """All findings, each once."""
    return list(dict.fromkeys(found for part in parts for found in part))


def _of_other_scenarios(tree: Map, root: Path, chosen: Sequence[str]) -> list[Finding]:
    """What would be wrong with the plan under each scenario that was not chosen."""
    declared = tree.items.get("scenarios")
    found: list[Finding] = []
    for name in declared.items if isinstance(declared, Map) else ():
        if name not in chosen:
            silent = new_reader(tree, root)
            overrides = scenario_overrides(tree, [name], silent)
            changed = apply(tree, overrides, silent)
            found += _read(changed, root)[1]
    return found


def read_tree(path: Path) -> Map:
    """The YAML of a plan file or folder as one tree.

    Raises: GpufleetError with P001 to P005, P008.
    """
    findings: list[Finding] = []
    merged: dict[str, Node] = {}
    places: dict[str, Place] = {}
    for file in _plan_files(path):
        try:
            tree = _read_file(file)
        except GpufleetError as error:
            findings += error.findings
            continue
        for key, node in tree.items.items():
            if key in merged:
                says = say("`{key}` stands here and in {places}", key=key, places=places[key])
                findings.append(
                    finding("P005", says, say("keep each top-level key in one file"), tree.key_at[key])
                )
            merged[key], places[key] = node, tree.key_at[key]
    if findings:
        raise GpufleetError(*findings)
    return Map(merged, Place(_plan_files(path)[0].name, 1), places)


def _plan_files(path: Path) -> list[Path]:
    """The files of a plan, plan.yaml first. Raises: GpufleetError (P002)."""
    at = Place(str(path), 0)
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            files = sorted(path.glob("*.yaml"), key=lambda file: (file.name != "plan.yaml", file.name))
            _refuse_unfit(path, [file.name for file in files])
            return files
        says = say("this is not a file") if path.exists() else say("there is no such file or folder")
        around = [entry.name for entry, _ in zip(path.parent.iterdir(), range(300), strict=False)]
    except (OSError, ValueError) as error:
        says, around = (
            say("it cannot be read: {getattr}", getattr=getattr(error, "strerror", None) or error),
            [],
        )
    close = nearest(path.name, around)
    fix = (
        say("did you mean `{close}`?", close=close)
        if close
        else say("look at the path, or write a new plan with `gpufleet new`")
    )
    raise GpufleetError(finding("P002", says, fix, at))


def _refuse_unfit(folder: Path, names: Sequence[str]) -> None:
    """Refuse a folder that is no plan: without plan.yaml its files are plans of their own, if any.

    Raises: GpufleetError (P002)
    """
    if names and names[0] == "plan.yaml" and len(names) <= MAX_FILES:
        return
    says, fix = say("the folder holds no *.yaml file"), say("is this the folder of a plan?")
    if names and names[0] != "plan.yaml":
        says = say(
            "the folder has no plan.yaml, but {n:,} other *.yaml file",
            "the folder has no plan.yaml, but {n:,} other *.yaml files",
            n=len(names),
        )
        fix = say(
            "name one of them, such as {folder}, or call the first one plan.yaml", folder=folder / names[0]
        )
    elif names:
        says = say(
            "the folder holds {count:,} *.yaml files; at most {max_files} make a plan",
            count=len(names),
            max_files=MAX_FILES,
        )
    raise GpufleetError(finding("P002", says, fix, Place(str(folder), 0)))


def _read_file(file: Path) -> Map:
    at = Place(file.name, 0)
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            data = stream.read(MAX_BYTES + 1) if size <= MAX_BYTES else b""
    except OSError as error:
        raise GpufleetError(
            finding("P002", f"{error.strerror}", say("make the file readable"), at)
        ) from error
    if size > MAX_BYTES or len(data) > MAX_BYTES:
        says = say(
            "{size:,.0f} MB; a plan file is at most {max_bytes:.0f} MB",
            size=size / 1e6,
            max_bytes=MAX_BYTES / 1e6,
        )
        fix = say("is this a plan? Long lists belong in a CSV file, used by `table:`")
        raise GpufleetError(finding("P003", says, fix, at))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(file.name, data[: error.start].count(b"\n") + 1)
        raise GpufleetError(
            finding("P002", say("the file is not UTF-8 text"), say("save it as UTF-8"), place)
        ) from error
    tree = parse_yaml(text, file.name)
    if not isinstance(tree, Map):
        says = (
            say("the file is empty")
            if isinstance(tree, Leaf) and tree.value is None
            else say("a plan is a mapping")
        )
        raise GpufleetError(
            finding("P008", says, say("start with `gpufleet: 1`; `gpufleet new` writes a plan"), at)
        )
    return tree


def new_reader(tree: Map, root: Path) -> Reader:
    """A reader that knows nothing but where files are."""
    return Reader(root=root, zone=ZoneInfo("UTC"))


def _read(tree: Map, root: Path) -> tuple[Plan | None, list[Finding]]:
    """The plan that a tree declares, and what is wrong with it."""
    reader = new_reader(tree, root)
    if table_of(tree, "sources"):
        tree = expand_alone(tree, reader, ["sources"])  # everything else may name a source
    _read_frame(tree, reader)
    tree = expand_tables(tree, reader)
    _know_names(tree, reader)
    try:
        plan = Plan.from_node(tree, "", reader, root=root, data=to_data(tree))
    except UnreadableError:
        plan = None
    if plan is None or reader.findings:
        return None, reader.findings
    plan = dated(plan.model_copy(update={"origins": reader.origins}))
    notes = (
        *reader.notes,
        *remarks(plan),
        *promised.promise_remarks(plan),
        *chain_checks.chain_remarks(plan),
    )
    return plan.model_copy(update={"origins": reader.origins, "notes": notes}), []


def _read_frame(tree: Map, reader: Reader) -> None:
    """What everything else is read against: time zone, start, end, files, names of sources."""
    zone = tree.items.get("time_zone")
    reader.known["source"] = _keys(tree, "sources")
    reader.known["file"] = _keys(tree, "files")
    with suppress(UnreadableError):
        reader.zone = ZoneInfo(Zone().read(zone, "time_zone", reader)) if zone else reader.zone
    reader.start, end = _moment(tree, "start", reader), _moment(tree, "end", reader)
    if reader.start and end and end <= reader.start:
        says = say(
            "the plan ends on {local}, and starts on {local_2}",
            local=reader.local(end),
            local_2=reader.local(reader.start),
        )
        reader.report("P022", tree.items["end"].at, says, say("correct one of the two"))
    else:
        reader.end = end
    if "files" in tree.items:
        with suppress(UnreadableError):
            Files().read(tree.items["files"], "files", reader)


def _moment(tree: Map, key: str, reader: Reader) -> datetime | None:
    try:
        return Moment().read(tree.items[key], key, reader) if key in tree.items else None
    except UnreadableError:
        return None


def _keys(tree: Map, part: str) -> list[str]:
    node = tree.items.get(part)
    return list(node.items) if isinstance(node, Map) else []


def _know_names(tree: Map, reader: Reader) -> None:
    """Names that references may use, taken before anything is read, so that order does not matter."""
    for what, part in (
        ("site", "sites"),
        ("system", "systems"),
        ("tenant", "tenants"),
        ("scenario", "scenarios"),
        ("promise", "promises"),
        ("cohort", "cohorts"),
        ("partition", "partitions"),
        ("priority", "priorities"),
        ("sum", "sums"),
        ("milestone", "milestones"),
        ("workload", "workloads"),
    ):
        reader.known[what] = _keys(tree, part)
    if "priorities" in tree.items:
        with suppress(UnreadableError):
            Priorities().read(tree.items["priorities"], "priorities", reader)
    _know_money(tree, reader)
    reader.known["queue"] = list(_queue_names(tree))
    reader.known[HOLDER] = list(
        dict.fromkeys([*reader.known["queue"], *reader.known["tenant"], *_keys(tree, "workloads")])
    )
    reader.known["lot"] = list(_lot_names(tree))
    reader.site_zones = dict(_site_zones(tree))
    reader.known["product"] = list(_own_products(tree))


def _know_money(tree: Map, reader: Reader) -> None:
    """Names of payers, of these and budgets, of budgets, tariffs and costs."""
    money = tree.items.get("money")
    if not isinstance(money, Map):
        return
    purses, lines = _keys(money, "payers"), _keys(money, "funding")
    reader.known |= {"payer": purses, "payer or funding line": [*purses, *lines], "funding line": lines}
    reader.known |= {"tariff": _keys(money, "tariffs"), "cost": _keys(money, "costs")}


def _queue_names(tree: Map) -> Iterator[str]:
    tenants = tree.items.get("tenants")
    for name, body in tenants.items.items() if isinstance(tenants, Map) else ():
        queues = body.items.get("queues") if isinstance(body, Map) else None
        yield from queues.items if isinstance(queues, Map) else [name]


def _lot_names(tree: Map) -> Iterator[str]:
    """Names of deliveries; those without one are numbered from #1."""
    lots = tree.items.get("deliveries")
    for i, body in enumerate(lots.items if isinstance(lots, Seq) else ()):
        name = word_at(body, "name") or f"#{i + 1}"
        yield name
        parts = body.items.get("parts") if isinstance(body, Map) else None
        yield from (f"{name}/{k + 1}" for k in range(len(parts.items) if isinstance(parts, Seq) else 0))


def _site_zones(tree: Map) -> Iterator[tuple[str, ZoneInfo]]:
    """The time zones of sites; a wrong one is reported when its site is read."""
    sites = tree.items.get("sites")
    for name, body in sites.items.items() if isinstance(sites, Map) else ():
        zone = word_at(body, "time_zone")
        with suppress(OSError, ValueError, KeyError):
            if zone:
                yield name, ZoneInfo(zone)


def _own_products(tree: Map) -> Iterator[str]:
    systems = tree.items.get("systems")
    for body in systems.items.values() if isinstance(systems, Map) else ():
        product = word_at(body, "product")
        if product is not None and own_product(product):
            yield product
