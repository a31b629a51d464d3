"""A run: what a run folder holds, as frames and values, read when first asked for."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import polars as pl

from gpufleet.base.say import from_data
from gpufleet.results import folder
from gpufleet.results.column import arrow_schema
from gpufleet.results.columns import TABLES
from gpufleet.results.lock import read_lock
from gpufleet.world.names import Names, parents_first

if TYPE_CHECKING:
    from gpufleet.results.compare import Comparison
    from gpufleet.results.explain import Explanation
    from gpufleet.results.explain_funding import FundingExplanation
    from gpufleet.results.explain_lot import LotExplanation
    from gpufleet.results.explain_lots import LotPartsExplanation
    from gpufleet.results.explain_supply import SupplyExplanation
    from gpufleet.results.explain_training import TrainingExplanation

    PartExplanation = (
        FundingExplanation | LotExplanation | LotPartsExplanation | SupplyExplanation | TrainingExplanation
    )


class Run:
    """One simulated plan.

    Made by `gpufleet.study.simulate`, or from a run folder by `Run.load`. `Run(path)` itself looks at nothing
    and takes a folder that is still being written too.
    """

    def __init__(self, path: Path | str, *, keep: object = None) -> None:
        """Args: path: the run folder; keep: what must live as long as the run, such as a temporary folder."""
        self.path = Path(path)
        self._keep = keep

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open a run folder.

        Raises: GpufleetError R004 if it is not a whole run.
        """
        return cls(folder.open_run(Path(path)))

    def scan_jobs(self) -> pl.LazyFrame:
        """Jobs as a lazy frame in the order of the file: for runs that do not fit into memory."""
        table = self.path / folder.JOBS
        files = sorted(table.glob("*.parquet")) if table.is_dir() else [table]
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)

    def scan_timeline(self) -> pl.LazyFrame:
        """Timeline as a lazy frame."""
        return pl.scan_parquet(self.path / folder.TIMELINE)

    @cached_property
    def supply(self) -> pl.DataFrame:
        """GPUs promised, ordered, delivered, powered, online by lot and month; `columns.SUPPLY`."""
        return self._table("supply", folder.SUPPLY)

    @cached_property
    def shortage(self) -> pl.DataFrame:
        """GPUs that are promised and not online, by what they lack, by month; `columns.SHORTAGE`."""
        return self._table("shortage", folder.SHORTAGE)

    @cached_property
    def chain(self) -> pl.DataFrame:
        """When each lot reaches each step, and what sets that date; `columns.CHAIN`; empty without chains."""
        return self._table("chain", folder.CHAIN)

    @cached_property
    def preemptions(self) -> pl.DataFrame:
        """Who took whose GPUs, when and by which rule; `columns.PREEMPTIONS`; empty with hard quotas."""
        return self._table("preemptions", folder.PREEMPTIONS)

    @cached_property
    def quotas(self) -> pl.DataFrame:
        """Quota, use, what was borrowed, lent and taken, by holder, product and bin; `columns.QUOTAS`."""
        return self._table("quotas", folder.QUOTAS)

    @cached_property
    def fragmentation(self) -> pl.DataFrame:
        """How the free GPUs lie together, by level, product and bin; `columns.FRAGMENTATION`."""
        return self._table("fragmentation", folder.FRAGMENTATION)

    @cached_property
    def licences(self) -> pl.DataFrame:
        """What export law says of each lot from day to day; `columns.LICENCES`; empty where nobody asks."""
        return self._table("licences", folder.LICENCES)

    @cached_property
    def power(self) -> pl.DataFrame:
        """What each site draws, by bin; `columns.POWER`; empty without a section `power`."""
        return self._table("power", folder.POWER)

    @cached_property
    def money(self) -> pl.DataFrame:
        """What is paid, received, written off, by month and item; `columns.MONEY`; empty without `money`."""
        return self._table("money", folder.MONEY)

    @cached_property
    def funding(self) -> pl.DataFrame:
        """Budgets year by year; `columns.FUNDING`; empty without `money.funding`."""
        return self._table("funding", folder.FUNDING)

    def _table(self, name: str, file: str) -> pl.DataFrame:
        """A small table; empty where a run was written before there was one."""
        if (self.path / file).exists():
            return pl.read_parquet(self.path / file)
        frame = pl.from_arrow(arrow_schema(TABLES[name]).empty_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    @cached_property
    def jobs(self) -> pl.DataFrame:
        """One row per job, by job number; columns in `gpufleet.results.columns.JOBS`."""
        return self.scan_jobs().collect().sort("job")

    @cached_property
    def timeline(self) -> pl.DataFrame:
        """GPU-seconds online, busy, waiting per bin; columns in `gpufleet.results.columns.TIMELINE`."""
        return self.scan_timeline().collect()

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan as it was simulated (plan.lock.yaml), with the line of each value."""
        return read_lock(self.path / folder.LOCK)

    @cached_property
    def measures(self) -> pl.DataFrame:
        """All measures: name, unit, value, one text column for each dimension (null: over all), formula."""
        rows = self.measures_json["measures"]
        dims = sorted({dim for row in rows for dim in row["by"]})
        schema = {"name": pl.String, "unit": pl.String, "value": pl.Float64}
        values = [
            {**{key: row[key] for key in ("name", "unit", "value", "formula")}, **row["by"]} for row in rows
        ]
        by = dict.fromkeys(dims, pl.String)
        return pl.DataFrame(values, schema={**schema, **by, "formula": pl.String})

    @cached_property
    def measures_json(self) -> dict[str, Any]:
        """measures.json: ``answer``, ``measures``, ``findings``, ``notes`` and ``clock``."""
        return self._json(folder.MEASURES)

    @cached_property
    def ledger(self) -> dict[str, Any]:
        """ledger.json: where each number came from."""
        return self._json(folder.LEDGER)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """environment.json: versions, machine, command, times. The one file that differs between runs."""
        return self._json(folder.ENVIRONMENT)

    def _json(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return value

    def measure(self, name: str, **by: str) -> float | int | None:
        """One value of a measure, or None where the run has none.

        >>> run.measure("utilisation"), run.measure("wait_p90_s", tenant="research")  # doctest: +SKIP
        (0.871, 15120.0)
        """
        rows = (row for row in self.measures_json["measures"] if row["name"] == name and row["by"] == by)
        found = next(rows, None)
        value: float | int | None = None if found is None else found["value"]
        return value

    @property
    def answer(self) -> str:
        """The run in one sentence, in the language that is being spoken."""
        answer: str = _again(self.measures_json["answer"], self._said.get("answer"))
        return answer

    @property
    def findings(self) -> tuple[dict[str, Any], ...]:
        """Warnings of the plan and its traces, in the language that is being spoken."""
        found: list[dict[str, Any]] = self.measures_json["findings"]
        said: list[dict[str, Any]] = [*(self._said.get("findings") or []), *({} for _ in found)]
        return tuple(
            {key: _again(text, again.get(key)) for key, text in each.items()}
            for each, again in zip(found, said, strict=False)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks of the plan and its traces, in the language that is being spoken."""
        notes: list[str] = self.measures_json["notes"]
        said: list[Any] = [*(self._said.get("notes") or []), *(None for _ in notes)]
        return tuple(_again(*pair) for pair in zip(notes, said, strict=False))

    @property
    def _said(self) -> dict[str, Any]:
        """Texts with their templates; a run of an earlier version has none."""
        said: dict[str, Any] = self.measures_json.get("said", {})
        return said

    @property
    def start(self) -> datetime:
        """Start of the plan, UTC: second 0."""
        return datetime.fromisoformat(self.plan["start"])

    @property
    def end_s(self) -> int:
        """End of the simulation, s from the plan's start: the plan's `jobs_until`, else its end.

        A run may go on beyond it (``after_end: finish``).
        """
        until = self.plan.get("jobs_until") or self.plan["end"]
        return int((datetime.fromisoformat(until) - self.start).total_seconds())

    @property
    def grid_s(self) -> int:
        """Width of a bin of the timeline, s."""
        return int(self.measures_json["clock"]["grid_s"])

    @property
    def counted_s(self) -> int:
        """Until when GPUs online and busy are counted: the plan's end, or the run's if that is earlier."""
        return int(self.measures_json["clock"]["counted_s"])

    @property
    def time_zone(self) -> str:
        """Time zone of the plan."""
        return str(self.plan["time_zone"])

    @cached_property
    def names(self) -> Names:
        """Names of products, sites, tenants, queues, workloads and lots, in the plan's order."""
        plan = self.plan
        products = dict.fromkeys(plan["systems"][d["system"]]["product"] for d in plan["deliveries"].values())
        cohorts = plan.get("cohorts", {})  # a run of an earlier version has none
        for holder in (*plan["queues"].values(), *cohorts.values()):
            products |= dict.fromkeys(holder["quota"])
        for workload in plan["workloads"].values():
            products |= dict.fromkeys(product for product, _ in workload["products"])
        lots = [*plan["deliveries"], *(f"retirement {i + 1}" for i in range(len(plan["retirements"])))]
        return Names(
            products=tuple(products),
            sites=tuple(plan["sites"]),
            tenants=tuple(plan["tenants"]),
            queues=tuple(plan["queues"]),
            workloads=tuple(plan["workloads"]),
            lots=tuple(lots),
            cohorts=parents_first({name: cohort.get("parent") for name, cohort in cohorts.items()}),
        )

    @overload
    def why(self, job: int) -> Explanation: ...

    @overload
    def why(self, job: str) -> Explanation | PartExplanation: ...

    def why(self, job: int | str) -> Explanation | PartExplanation:
        """Why a job waited; how far a lot, promise or budget is, what a tenant gets, when a training ends.

        Args:   job: see `gpufleet.results.find.find_job`; or the name of a lot, a promise, a tenant, a
                training or a funding line, or its path in the plan.
        Raises: GpufleetError R006 or R008 if there is none, R007 if several are called so.
        """
        from gpufleet.results.asked_for import FUNDING, part_meant
        from gpufleet.results.explain import why
        from gpufleet.results.explain_funding import why_funding
        from gpufleet.results.explain_lots import why_declared
        from gpufleet.results.explain_supply import why_promise, why_tenant
        from gpufleet.results.explain_training import why_training

        part = part_meant(self, job)
        if part is None:
            return why(self, job)
        if part.section == "deliveries":
            return why_declared(self, part.name)
        if part.section == FUNDING:
            return why_funding(self, part.name)
        if part.section == "workloads":
            return why_training(self, part.name)
        return why_promise(self, part.name) if part.section == "promises" else why_tenant(self, part.name)

    def compare(self, other: Run) -> Comparison:
        """What differs in another run; see `gpufleet.results.compare.compare`."""
        from gpufleet.results.compare import compare

        return compare(self, other)

    def __repr__(self) -> str:
        try:
            says = f"{self.plan['name']}: {self.answer}"
        except (OSError, KeyError, ValueError):
            return f"Run({str(self.path)!r}): no complete run there"
        return (
            f"Run({str(self.path)!r})\n  {says}\n"
            "  .jobs       one row per job: waits, reasons, times\n"
            "  .timeline   GPU-seconds online, busy, waiting per bin\n"
            "  .supply     GPUs promised, ordered, delivered, powered, online by month;  .shortage\n"
            "  .measures   all measures; .measure('utilisation'), .measure('wait_p90_s', tenant=...)\n"
            "  .why(17)    why job 17 waited;  .compare(other) what another run changes"
        )


def _again(text: Any, data: Any) -> Any:
    """A stored text in the language that is being spoken; as it is stored where its template is not known."""
    if not isinstance(data, dict):
        return text
    try:
        return from_data(data)
    except (AttributeError, KeyError, TypeError, ValueError):
        return text
