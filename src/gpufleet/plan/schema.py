"""JSON Schema of the plan language, made from the declared parts: editors complete and check YAML with it."""

from __future__ import annotations

from typing import Any, Final

from gpufleet.plan.declared import Keyed, field_of, keys_of, required_keys
from gpufleet.plan.frame import VERSION
from gpufleet.plan.kinds import Schema, Text
from gpufleet.plan.moments import Duration, Zone
from gpufleet.plan.plan import Plan
from gpufleet.plan.table_parts import TABLES, Table, row_keys

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def plan_schema() -> Schema:
    """The schema of a plan, version 1 of the language.

    A folder plan is checked as a whole; a single file of it lacks required keys, as an editor will say.

    >>> schema = plan_schema()
    >>> schema["$defs"]["Site"]["properties"]["pue"]["description"]
    'facility power over IT power; needed with `power`'
    >>> schema["required"]
    ['gpufleet', 'name', 'start', 'end', 'sites', 'deliveries', 'tenants']
    """
    body = part_schema(Plan)
    for part in TABLES:
        rows = body["properties"][part]
        body["properties"][part] = {
            "description": rows.pop("description"),
            "anyOf": [{"$ref": f"#/$defs/{_table_name(part)}"}, {"type": "string"}, rows],
        }
    defs = {model.__name__: part_schema(model) for model in _parts_of(Plan)}
    defs |= {_table_name(part): _table_schema(part) for part in TABLES}
    head = {
        "$schema": DIALECT,
        "$id": f"urn:gpufleet:plan:{VERSION}",
        "title": f"gpufleet plan, version {VERSION}",
    }
    return {**head, **body, "$defs": dict(sorted(defs.items()))}


def part_schema(model: type[Keyed], *, partial: bool = False) -> Schema:
    """The schema of one part; with `partial` nothing is required."""
    properties: dict[str, Any] = {key: {"const": word} for key, word in model.constant.items()}
    required = [*model.constant, *required_keys(model)]
    for name, key in keys_of(model).items():
        properties[name] = {**key.kind.schema(), "description": key.doc, **_default(model, name)}
    schema: Schema = {
        "type": "object" if required and not partial else ["object", "null"],
        "description": (model.__doc__ or "").strip().split("\n\n")[0],
        "properties": properties,
        "additionalProperties": False,
    }
    if not partial:
        schema |= {"required": required} if required else {}
        if model.one_of:
            one = [{"required": [key]} for key in model.one_of]
            schema["oneOf"] = one
            if model.or_else:
                schema["oneOf"] = [*one, {"required": [model.or_else], "not": {"anyOf": one}}]
    return schema


def _default(model: type[Keyed], key: str) -> Schema:
    """What a key that is left out means, where one word or number says it.

    >>> from gpufleet.plan.policy import PolicyPlan
    >>> _default(PolicyPlan, "order"), _default(PolicyPlan, "interval"), _default(Plan, "title")
    ({'default': 'fifo'}, {'default': '0 s'}, {})
    """
    value = model.model_fields[field_of(model, key)].get_default()
    kind = keys_of(model)[key].kind
    if isinstance(kind, Duration):
        return {"default": f"{value} s"} if value is not None and kind.least == 0 else {}
    plain = isinstance(value, bool) or (isinstance(value, int | str) and not isinstance(kind, Zone | Text))
    return {"default": value} if plain and value is not None and key not in model.one_of else {}


def _parts_of(model: type[Keyed]) -> list[type[Keyed]]:
    """Every part that the schema of a model refers to, directly or not."""
    by_name = {part.__name__: part for part in _subclasses(Keyed)}
    found: dict[str, type[Keyed]] = {}
    todo = [*_refs(part_schema(model))]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = by_name[name]
            todo += _refs(part_schema(by_name[name]))
    return list(found.values())


def _subclasses(model: type[Keyed]) -> list[type[Keyed]]:
    direct = model.__subclasses__()
    return [*direct, *(below for part in direct for below in _subclasses(part))]


def _refs(schema: Any) -> list[str]:
    """Names of all definitions that a schema refers to."""
    if isinstance(schema, dict):
        own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _refs(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _refs(value)]
    return []


def _table_name(part: str) -> str:
    return f"{part.removesuffix('s').capitalize()}Table"


def _table_schema(part: str) -> Schema:
    """A table whose rows stand for one kind of part."""
    schema = part_schema(Table)
    keys = "|".join(row_keys(part))
    rows = [part_schema(model, partial=True) for model in TABLES[part]]
    each = rows[0] if len(rows) == 1 else {"anyOf": rows}
    schema["properties"]["columns"]["propertyNames"] = {"pattern": rf"^({keys})(\..+)?$"}
    schema["properties"]["each"] = {**each, "description": schema["properties"]["each"]["description"]}
    return schema
