"""The rows of the catalogue, typed. Units and meanings of the columns are in ``columns.csv``."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from gpufleet.base.errors import GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say

FOLDER: Final = Path(__file__).parent
_YES_NO: Final = {"yes": True, "no": False}
OWN_FOLDER: Final = "GPUFLEET_CATALOG"
"""Environment variable with the folder of the user's own rows, if it is not the usual one."""

explain_code(
    "C003",
    "a value that the catalogue does not know",
    "Makers do not publish everything. Such a cell of the catalogue is empty, and what needs it stops here, "
    "because a zero or a guess would look like a fact.",
    "The idle power of a DGX B200 is not published: systems.csv has no node_power_idle_w for it. "
    "Give your own value in the plan's `systems:`, with its source.",
)


explain_code(
    "C004",
    "a row of your own that cannot be read",
    "`gpufleet calibrate` keeps measured products and curves in CSV files of the form of the catalogue's, in "
    "the folder that it names. A row there that was damaged stops every command that needs the table.",
    "gpufleet calibrate --name our-h100 --replace      # measures anew",
)


def own_folder() -> Path:
    """The folder with the user's own rows: tables of the same names and columns. It need not be there."""
    if named := os.environ.get(OWN_FOLDER):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("gpufleet") / "catalog"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What every row has: where it stands and where it comes from."""

    file: ClassVar[str]
    id: str
    line: int  # in the CSV file
    own: bool = False  # it is the user's: of the table in `own_folder`

    @property
    def place(self) -> Place:
        """File and line of the row."""
        file = own_folder() / Path(self.file).name if self.own else self.file
        return Place(str(file), self.line)

    def need(self, column: str) -> float:
        """The number in a column that may be empty.

        Args:    column: a column of numbers, its unit is in its name.
        Raises:  GpufleetError C003 if the catalogue does not know it. AttributeError if there is no such
                 column, TypeError if it holds text.

        >>> from gpufleet.catalog import gpus
        >>> gpus()["B200-SXM"].need("bf16_tflops")
        2250.0
        >>> gpus()["TPU-v5p"].need("tdp_w")
        Traceback (most recent call last):
        gpufleet.base.errors.GpufleetError: catalog/gpus.csv:44  error C003 ...
        """
        value = getattr(self, column)
        if value is None:
            says = say(
                "{id} has no {column}: it is not published or was not found", id=self.id, column=column
            )
            fix = say("give your own value and its source in the plan")
            if others := self._that_have(column):
                fix = say("{fix}, or choose a row that has it: {others:, }", fix=fix, others=others)
            raise GpufleetError(finding("C003", says, fix, self.place))
        if not isinstance(value, int | float):
            raise TypeError(f"{column} of {self.file} holds text; read it as an attribute")
        return value

    def _that_have(self, column: str, most: int = 5) -> list[str]:
        """Ids of rows in which the column is filled; the first few."""
        ids = [row.id for row in read(type(self)) if getattr(row, column) is not None]
        return [*ids[:most], "..."] if len(ids) > most else ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu(Row):
    """One product: a whole accelerator. Rates are peak and dense, in 10^12 operations per second."""

    file: ClassVar[str] = "catalog/gpus.csv"
    product: str
    vendor: str
    architecture: str
    launch_year: int | None
    fp64_tflops: float | None
    fp64_tensor_tflops: float | None
    fp32_tflops: float | None
    tf32_tflops: float | None
    bf16_tflops: float | None
    fp16_tflops: float | None
    fp8_tflops: float | None
    fp4_tflops: float | None
    int8_tops: float | None
    memory_gb: float | None
    memory_type: str | None
    memory_bw_gbs: float | None
    scaleup_link: str | None
    scaleup_bw_gbs: float | None
    scaleup_domain: int | None
    pcie_gbs: float | None
    tdp_w: float | None
    die_area_mm2: float | None
    die_area_est_mm2: float | None
    process_node: str | None
    source: str | None
    trust: str
    verified_on: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemRow(Row):
    """One system: what is bought or rented, and how its GPUs hang together."""

    file: ClassVar[str] = "catalog/systems.csv"
    system: str
    product: str | None
    gpus_per_node: int | None
    nodes_per_domain: int | None
    scaleup_domain_gpus: int | None
    cpu: str | None
    host_memory_gb: float | None
    node_power_max_w: float | None
    node_power_idle_w: float | None
    rack_power_kw: float | None
    nic_gbps_per_gpu: float | None
    cooling: str | None
    launch: str | None
    source: str | None
    trust: str
    verified_on: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Price(Row):
    """One price: of a GPU, a server, a rack (capex), or of a GPU-hour (rental)."""

    file: ClassVar[str] = "catalog/prices.csv"
    kind: str
    product: str | None
    system: str | None
    item: str
    value: float
    unit: str
    low: float | None
    high: float | None
    date: str
    source: str | None
    trust: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid(Row):
    """One fact about power in a country or region: tariff, carbon per kWh, or PUE."""

    file: ClassVar[str] = "catalog/grids.csv"
    country: str
    kind: str
    item: str
    value: float
    unit: str
    low: float | None
    high: float | None
    date: str
    source: str | None
    trust: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Country(Row):
    """One destination, and the Country Groups of US export law that it is in (0 or 1)."""

    file: ClassVar[str] = "catalog/countries.csv"
    name: str
    a5: int
    a6: int
    d1: int
    d4: int
    d5: int
    mo: int
    source: str
    trust: str
    verified_on: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportChip(Row):
    """What export law reads of one chip. What is empty may follow from the row of its product."""

    file: ClassVar[str] = "catalog/export_chips.csv"
    product: str | None
    vendor: str
    maker_hq: str
    tpp: float | None
    die_area_mm2: float | None
    performance_density: float | None
    mem_bw_gbps: float | None
    io_gbps: float | None
    dc_marketed: int | None
    declared_not_3a090: int | None
    source: str | None
    trust: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRule(Row):
    """One rule, letter, licence, duty or bill. Its expressions are read by `gpufleet.models.export_rules`."""

    file: ClassVar[str] = "catalog/export_rules.csv"
    title: str
    instrument: str
    citation: str | None
    published: str
    effective_from: str | None
    effective_to: str | None
    read_on: str
    authority: str
    authority_group: str
    role: str
    modifies: str | None
    destination_expr: str
    entity_hq_expr: str
    combine: str
    formula_a: str | None
    formula_b: str | None
    exclusion_expr: str | None
    licence_required: str | None
    policy_expr: str | None
    scope: str
    excluded: str | None
    exceptions: str | None
    conditions: str | None
    status: str
    source: str | None
    trust: str
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow(Row):
    """One published transformer: its widths, in elements, and what its maker says of its size."""

    file: ClassVar[str] = "catalog/models.csv"
    model: str
    maker: str
    country: str
    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int | None
    gated: bool
    vocab: int
    tied: bool
    positions: int | None
    experts: int | None
    top_k: int | None
    shared_experts: int | None
    expert_ffn: int | None
    shared_ffn: int | None
    dense_layers: int | None
    groups_taken: int | None
    q_rank: int | None
    kv_rank: int | None
    rope_dim: int | None
    value_dim: int | None
    window: int | None
    windowed_layers: int | None
    predicted_tokens: int | None
    context: int | None
    params_b: float | None
    active_params_b: float | None
    trained_tokens_b: float | None
    source: str | None
    trust: str
    verified_on: str
    note: str | None


R = TypeVar("R", bound=Row)


def read(kind: type[R]) -> Iterator[R]:
    """Rows of a table, in the order of its file, then the user's own; an empty cell becomes None.

    Raises:  ValueError with file and line, if the file that ships with gpufleet is damaged; GpufleetError
             C004 if it is the user's.

    >>> next(read(Gpu)).id
    'T4'
    """
    name = Path(kind.file).name
    yield from _read(kind, FOLDER / name, own=False)
    mine = own_folder() / name
    if mine.is_file():
        try:
            yield from _read(kind, mine, own=True)
        except ValueError as fault:
            fix = say("correct it, or delete the file {path}", path=mine)
            raise GpufleetError(finding("C004", str(fault), fix, Place(str(mine), 0))) from fault


def _read(kind: type[R], path: Path, *, own: bool) -> Iterator[R]:
    columns = [f for f in dataclasses.fields(kind) if f.name not in ("line", "own")]
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for cells in reader:
            try:
                values = {f.name: _cell(str(f.type), cells[f.name]) for f in columns}
            except (KeyError, ValueError) as fault:
                raise ValueError(f"{kind.file}:{reader.line_num}: {fault}") from fault
            yield kind(line=reader.line_num, own=own, **values)


def column_names(kind: type[Row]) -> tuple[str, ...]:
    """The columns of a table.

    >>> column_names(Country)[:3]
    ('id', 'name', 'a5')
    """
    return tuple(f.name for f in dataclasses.fields(kind) if f.name not in ("line", "own"))


def _cell(declared: str, text: str) -> Any:
    """A cell as its field declares it, for example ``float | None``."""
    bare, _, may_be_empty = declared.partition(" | ")
    if not text:
        if may_be_empty:
            return None
        raise ValueError("an empty cell where a value must be")
    if bare == "float":
        return float(text)
    if bare == "bool":
        if text not in _YES_NO:
            raise ValueError(f"`{text}` is neither yes nor no")
        return _YES_NO[text]
    return int(text) if bare == "int" else text
