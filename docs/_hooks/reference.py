"""Fills the reference pages from the code at each build, so that they cannot drift from it.

A page says ``<!-- generated: NAME -->`` on its own line; it becomes what `FRAGMENTS[NAME]` returns.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

Schema = dict[str, Any]
MARK: Final = re.compile(r"^<!-- generated: ([a-z.-]+) -->$", re.MULTILINE)
LONG_FORM: Final = {"value", "range", "source", "trust"}
WORDS: Final = {
    "object": "mapping",
    "array": "list",
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
}
INHERITED: Final = {"source", "trust"}
"""Keys that nearly every part has; they stand last."""
TABLE_FORM: Final = {"table", "columns"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of a page; called by mkdocs. A mark that is not known fails the build."""
    return MARK.sub(lambda mark: FRAGMENTS[mark[1]](), markdown)


def table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    """A Markdown table; an absent value is an empty cell.

    >>> print(table(("a", "b"), [(16.0, None)]))
    | a | b |
    | --- | --- |
    | 16 |  |
    """

    def line(cells: Iterable[Any]) -> str:
        texts = ("" if c is None else f"{c:,.10g}" if isinstance(c, float) else str(c) for c in cells)
        return "| " + " | ".join(t.replace("|", "\\|").replace("\n", " ") for t in texts) + " |"

    return "\n".join([line(head), line("---" for _ in head), *map(line, rows)])


def code(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


# --- catalogue


def _catalogue_rows(file_name: str) -> list[dict[str, str]]:
    from gpufleet.catalog.rows import FOLDER

    with (FOLDER / file_name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def catalogue_columns() -> str:
    """Columns of all tables of the catalogue."""
    parts = []
    rows = _catalogue_rows("columns.csv")
    for name in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == name]
        parts.append(f"### {name}.csv")
        cells = ((f"`{r['column']}`", r["unit"], r["meaning"]) for r in of_table)
        parts.append(table(("column", "unit", "meaning"), cells))
    return "\n\n".join(parts)


def products() -> str:
    """Products with the figures that are asked for most."""
    from gpufleet.catalog import gpus

    head = ("id", "BF16 TFLOP/s", "memory GB", "TDP W", "trust", "source")
    rows = gpus().values()
    return table(
        head, ((f"`{g.id}`", g.bf16_tflops, g.memory_gb, g.tdp_w, g.trust, link(g.source)) for g in rows)
    )


def systems() -> str:
    """Systems and how their GPUs hang together."""
    from gpufleet.catalog import systems as rows

    head = ("id", "product", "GPUs per node", "nodes per domain", "node W", "rack kW", "trust", "source")
    return table(
        head,
        (
            (
                *(f"`{s.id}`", s.product, s.gpus_per_node, s.nodes_per_domain),
                *(s.node_power_max_w, s.rack_power_kw, s.trust, link(s.source)),
            )
            for s in rows().values()
        ),
    )


def models() -> str:
    """Published transformers with the figures that are asked for most."""
    from gpufleet.catalog import models as rows

    head = (
        "id",
        "maker",
        "country",
        "layers",
        "hidden",
        "experts",
        "parameters",
        "active",
        "trust",
        "source",
    )
    cells = (
        (
            *(f"`{m.id}`", m.maker, m.country, m.layers, m.hidden, m.experts),
            *(m.params_b, m.active_params_b, m.trust, link(m.source)),
        )
        for m in rows().values()
    )
    return table(head, cells)


def facts() -> str:
    """Prices, tariffs, carbon and PUE."""
    from gpufleet.catalog import grids, prices

    head = ("row", "item", "value", "unit", "date", "trust", "source")
    rows = [*prices().values(), *grids().values()]
    cells = ((f.id, f.item, f.value, f.unit, f.date, f.trust, link(f.source)) for f in rows)
    return table(head, cells)


def export_rules() -> str:
    """Rules of export law."""
    from gpufleet.models.export_rules import shipped_rules

    head = ("id", "role", "from", "to", "what", "citation", "trust", "source")
    cells = (
        (
            *(f"`{r.id}`", r.row.role, r.row.effective_from, r.row.effective_to),
            *(r.row.title, r.citation, r.row.trust, link(r.row.source)),
        )
        for r in shipped_rules()
    )
    return table(head, cells)


def export_chips() -> str:
    """Chips with the numbers that rules read."""
    from gpufleet.catalog import export_chips as chips
    from gpufleet.models.export_chip import chip_inputs

    head = ("chip", "product", "TPP", "density", "memory GB/s", "I/O GB/s", "data centre", "trust", "source")
    names = ("tpp", "pd", "mem_bw_gbps", "io_gbps", "dc")
    rows = ((row, chip_inputs(row)) for row in chips().values())
    cells = (
        (f"`{row.id}`", row.product, *(found[name] for name in names), row.trust, link(row.source))
        for row, found in rows
    )
    return table(head, cells)


def export_inputs() -> str:
    """What a rule may read."""
    from gpufleet.models.export_inputs import INPUTS

    cells = (
        (f"`{name}`", f"`{each.column}`", each.says, each.unit or each.kind, _empty(each))
        for name, each in INPUTS.items()
    )
    return table(("in expressions", "in files", "what", "unit or kind", "empty means"), cells)


def _empty(known: Any) -> str:
    """What an empty cell means."""
    if known.needed:
        return "never empty"
    if known.name == "direct_from_us":
        return "1 if the origin is the US, else 0"
    if known.empty is None:
        return "not known"
    return "none" if known.empty == "" else f"{known.empty:.0f}" if known.kind != "word" else known.empty


def export_policies() -> str:
    """Policies of each authority, the strictest first."""
    from gpufleet.models.export_policies import AUTHORITIES, POLICIES

    parts = []
    for name, authority in AUTHORITIES.items():
        parts.append(f"`{name}`, {authority.says}:")
        only = ((each, "only by a rule with role sets_policy") for each in authority.by_setting_only)
        order = ((each, at) for at, each in enumerate(authority.strictest_first, 1))
        cells = (
            (f"`{each}`", POLICIES[each].outcome, POLICIES[each].says, at) for each, at in (*order, *only)
        )
        parts.append(table(("policy", "comes to", "in words", "strictness"), cells))
    return "\n\n".join(parts)


def aliases() -> str:
    """Names that are read as a row."""
    rows = (r for r in _catalogue_rows("aliases.csv") if r["id"])
    return table(("name", "is read as", "said"), ((r["name"], code([r["id"]]), r["note"]) for r in rows))


def unclear_names() -> str:
    """Names that are refused with candidates."""
    rows = (r for r in _catalogue_rows("aliases.csv") if not r["id"])
    cells = ((r["name"], code(r["candidates"].split("|")), r["note"]) for r in rows)
    return table(("name", "may mean", "because"), cells)


def link(source: str | None) -> str:
    """A source as links; several are separated by semicolons.

    >>> link("https://a.org/x; memory")
    '[a.org](https://a.org/x), memory'
    """
    found = []
    for each in (source or "").split(";"):
        text = each.strip()
        host = text.split("/")[2] if text.startswith("http") else ""
        found.append(f"[{host.removeprefix('www.')}]({text})" if host else text)
    return ", ".join(found)


# --- plan


def plan_keys() -> str:
    """Every key of the plan language, from its JSON Schema."""
    from gpufleet.plan.schema import plan_schema

    schema = plan_schema()
    return "\n\n".join(_sections(schema, schema, "the plan"))


def _sections(part: Schema, whole: Schema, title: str) -> Iterator[str]:
    """One section per mapping with keys, the outer ones first."""
    yield f"## {title}"
    if text := part.get("description"):
        yield text
    needed = part.get("required", ())
    keys: Schema = part.get("properties", {})
    cells = (
        (_key(key, key in needed), _value(value, whole), _meaning(value, whole))
        for key, value in sorted(keys.items(), key=lambda item: item[0] in INHERITED)
    )
    yield table(("key", "value", "meaning"), cells)
    for key, value in keys.items():
        path = key if title == "the plan" else f"{title.split(' ')[0]}.{key}"
        for where, inner in _mappings(value, whole):
            yield from _sections(inner, whole, f"{path}{where}")


def _key(key: str, needed: bool) -> str:
    """A key, marked if it must be there."""
    return f"`{key}`" + (" (needed)" if needed else "")


def _follow(part: Any, whole: Schema) -> Schema:
    """A schema with its reference followed."""
    if not isinstance(part, dict):
        return {}
    if "$ref" not in part:
        return part
    target: Any = whole
    for step in part["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return {**target, **{key: value for key, value in part.items() if key != "$ref"}}


def _choices(part: Any, whole: Schema) -> list[Schema]:
    """The alternatives of a schema, flat."""
    part = _follow(part, whole)
    if "properties" in part:  # alternatives beside them only say which keys go together
        return [part]
    inner = [*part.get("anyOf", ()), *part.get("oneOf", ())]
    return [choice for each in inner for choice in _choices(each, whole)] if inner else [part]


def _mappings(part: Any, whole: Schema) -> Iterator[tuple[str, Schema]]:
    """Mappings with keys of their own in a value, and where: itself, entries of a list or of a mapping.

    The form that takes rows of a CSV file is the same everywhere and left out.
    """
    for choice in _choices(part, whole):
        keys = set(choice.get("properties", ()))
        if keys - LONG_FORM and not keys >= TABLE_FORM:
            kind = choice["properties"].get("kind", {})
            yield f" (kind: {kind['const']})" if "const" in kind else "", choice
        for nested in (choice.get("items"), choice.get("additionalProperties")):
            if isinstance(nested, dict):
                for where, inner in _mappings(nested, whole):
                    yield f".NAME{where}", inner


def _value(part: Any, whole: Schema) -> str:
    """What may stand there, in a few words."""
    said = " or ".join(dict.fromkeys(word for c in _choices(part, whole) if (word := _word(c))))
    default = _follow(part, whole).get("default")
    return said if default in (None, "", [], {}) else f"{said}; default `{json.dumps(default)}`"


def _word(choice: Schema) -> str:
    """One alternative; the long form is the same for every leaf and not repeated."""
    if "enum" in choice:
        return " ".join(f"`{each}`" for each in choice["enum"])
    if "const" in choice:
        return f"`{choice['const']}`"
    if examples := choice.get("examples"):
        return f"such as `{examples[0]}`"
    types = choice.get("type", "")
    first = types[0] if isinstance(types, list) else types
    if first == "object" and not set(choice.get("properties", "-")) - LONG_FORM:
        return ""
    return WORDS.get(first, first)


def _meaning(part: Any, whole: Schema) -> str:
    """What a key means."""
    return str(_follow(part, whole).get("description", ""))


# --- traces, runs, findings, commands


def trace_formats() -> str:
    """Columns of every format of job logs."""
    from gpufleet.traces.detect import FORMATS

    parts = []
    for layout in FORMATS.values():
        shown = (c for c in layout.columns if not c.ours.startswith("_"))
        cells = ((f"`{c.ours}`", code(c.theirs), c.says + (" (needed)" if c.need else "")) for c in shown)
        parts += [
            f"## {layout.name}: {layout.title}",
            table(("job", "columns of the file", "meaning"), cells),
        ]
    return "\n\n".join(parts)


def refusals() -> str:
    """Why a job waits."""
    from gpufleet.results.columns import MEANINGS

    return table(("refusal", "meaning"), ((f"`{name}`", text) for name, text in MEANINGS.items()))


def run_columns(name: str) -> str:
    """Columns of a table of a run."""
    from gpufleet.results.column import markdown
    from gpufleet.results.columns import TABLES

    return markdown(TABLES[name])


def limits() -> str:
    """What the model leaves out."""
    from gpufleet.report.limits import MODEL, MONEY, POWER

    both = {"power": POWER, "money": MONEY}
    asked = [f"Without a section `{name}`: {no} With one: {yes}" for name, (no, yes) in both.items()]
    return "\n".join(f"- {text}" for text in (*MODEL, *asked))


def findings() -> str:
    """Every code of a finding, with why and an example."""
    from gpufleet.codes import all_codes

    parts = []
    for name, known in all_codes().items():
        parts += [f"## {name} {known.title}", known.why, f"```text\n{known.example.rstrip()}\n```"]
    return "\n\n".join(parts)


def commands() -> str:
    """Help of every command."""
    import typer

    from gpufleet.cli import app

    return "\n\n".join(_help(typer.main.get_command(app), "gpufleet", None))


def _help(command: Any, name: str, parent: Any) -> Iterator[str]:
    """Help of a command and of those below it."""
    context = command.context_class(command, info_name=name.split()[-1], parent=parent, terminal_width=100)
    yield f"## {name}"
    yield f"```text\n{command.get_help(context)}\n```"
    for inner, below in getattr(command, "commands", {}).items():
        yield from _help(below, f"{name} {inner}", context)


FRAGMENTS: Final[dict[str, Callable[[], str]]] = {
    "catalogue.columns": catalogue_columns,
    "catalogue.products": products,
    "catalogue.systems": systems,
    "catalogue.models": models,
    "catalogue.facts": facts,
    "catalogue.export-rules": export_rules,
    "catalogue.export-chips": export_chips,
    "export.inputs": export_inputs,
    "export.policies": export_policies,
    "catalogue.aliases": aliases,
    "catalogue.unclear": unclear_names,
    "plan.keys": plan_keys,
    "trace.formats": trace_formats,
    "run.refusals": refusals,
    "run.jobs": partial(run_columns, "jobs"),
    "run.timeline": partial(run_columns, "timeline"),
    "run.supply": partial(run_columns, "supply"),
    "run.shortage": partial(run_columns, "shortage"),
    "run.preemptions": partial(run_columns, "preemptions"),
    "run.chain": partial(run_columns, "chain"),
    "run.quotas": partial(run_columns, "quotas"),
    "run.licences": partial(run_columns, "licences"),
    "run.fragmentation": partial(run_columns, "fragmentation"),
    "run.power": partial(run_columns, "power"),
    "run.money": partial(run_columns, "money"),
    "run.funding": partial(run_columns, "funding"),
    "limits": limits,
    "findings": findings,
    "commands": commands,
}
