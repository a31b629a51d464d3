"""Which parts of a plan may stand in a table, what a row has, and how a plan names a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.plan.declared import Declared, Key, Keyed, as_map, keys_of, required_keys
from gpufleet.plan.kinds import File, Kind, Schema, Text
from gpufleet.plan.plan import Source
from gpufleet.plan.promises import Actual, Promise
from gpufleet.plan.reader import Reader, under
from gpufleet.plan.sharing import Cohort
from gpufleet.plan.sites import Site
from gpufleet.plan.supply import Delivery, Retirement, System
from gpufleet.plan.tenants import Tenant
from gpufleet.plan.tree import Node
from gpufleet.plan.workloads import WorkloadKind

TABLES: Final[dict[str, tuple[type[Keyed], ...]]] = {
    "sites": (Site,),
    "systems": (System,),
    "cohorts": (Cohort,),
    "tenants": (Tenant,),
    "deliveries": (Delivery,),
    "retirements": (Retirement,),
    "promises": (Promise,),
    "actuals": (Actual,),
    "workloads": tuple(WorkloadKind.models.values()),
    "sources": (Source,),
}
"""Parts that may be a table, and what a row stands for."""

LISTS: Final = ("deliveries", "retirements", "actuals")
"""Parts that are lists; the others are mappings, whose names are in a column."""


class Columns(Kind[dict[str, str]]):
    """Keys of the plan and the columns that hold them."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, str]:
        body = as_map(node, path, reader)
        return {key: Text().read(item, under(path, key), reader) for key, item in body.items.items()}

    @override
    def schema(self) -> Schema:
        return {"type": "object", "minProperties": 1, "additionalProperties": {"type": ["string", "number"]}}


class Each(Kind[dict[str, Node]]):
    """What is the same for every row."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> dict[str, Node]:
        return dict(as_map(node, path, reader).items)

    @override
    def schema(self) -> Schema:
        return {"type": "object"}


class Table(Declared):
    """Rows of a CSV file or a workbook as parts of the plan."""

    table: Annotated[Path, Key(File(), "a CSV file or a workbook (.xlsx): a key of `files`, or a path")]
    sheet: Annotated[
        str | None, Key(Text(), "its sheet; left out: the one called like the part, or the only one")
    ] = None
    columns: Annotated[
        dict[str, str], Key(Columns(), "keys of the plan and the columns that hold them; left out: like keys")
    ] = Field(default_factory=dict)
    each: Annotated[dict[str, Any], Key(Each(), "what is the same for every row")] = Field(
        default_factory=dict
    )


def row_keys(part: str) -> dict[str, str]:
    """Keys that a row of a table may have, with their meaning."""
    name = {} if part in LISTS else {"name": "its name"}
    constant = {key: "which kind it is" for model in TABLES[part] for key in model.constant}
    return {
        **name,
        **constant,
        **{key: known.doc for model in TABLES[part] for key, known in keys_of(model).items()},
    }


def row_required(part: str) -> list[str]:
    """Keys that every row must have; those with a name of their own apart."""
    first, *others = TABLES[part]
    always = [key for key in required_keys(first) if all(key in required_keys(model) for model in others)]
    return [*first.constant, *always]
