"""A run made by a small queue model: the same frames as a run folder, without plan, trace or engine."""

from __future__ import annotations

import heapq
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import yaml

from gpufleet.results.answer import answer
from gpufleet.results.column import arrow_schema
from gpufleet.results.columns import ROOTS, TABLES
from gpufleet.results.facts import Facts, Seen
from gpufleet.results.ledger import ledger_of
from gpufleet.results.measures import measured
from gpufleet.results.run import Run
from gpufleet.world.layout import N_REFUSALS, REFUSALS

NAMES = ("research", "vision", "speech", "robotics", "climate", "genomics", "search", "ads", "risk", "maps",
         "health", "legal", "games", "music", "video", "chips")  # fmt: skip


def make_run(
    path: Path,
    *,
    tenants: int = 3,
    jobs: int = 600,
    gpus: int = 64,
    days: int = 14,
    load: float = 0.6,
    names: tuple[str, ...] = NAMES,
    finished: bool = True,
    recorded: bool = True,
    seed: int = 1,
    title: str = "A fake cluster",
) -> Run:
    """A run: random jobs on one pool with a quota per tenant, first come first served within a tenant."""
    rng = np.random.default_rng(seed)
    frame = _draw(rng, tenants, jobs, gpus, days, load, names)
    end_s = days * 86_400
    quota = {t: max(8, int(1.6 * gpus / tenants)) for t in range(tenants)}
    _schedule(frame, gpus, quota, end_s if finished else 0)
    table = _jobs_frame(rng, frame, names, days, recorded)
    timeline = _timeline(table, gpus, days)
    return write_run(path, table, timeline, make_lock(names[:tenants], days, gpus, title))


def _draw(rng: Any, tenants: int, n: int, gpus: int, days: int, load: float, names: tuple[str, ...]) -> Any:
    sizes = np.array([1, 1, 1, 2, 4, 8, 16, 32])
    size = sizes[rng.integers(0, len(sizes), n)]
    run = rng.lognormal(8.0, 1.4, n)
    run *= load * gpus * days * 86_400 / max(float((size * run).sum()), 1.0)
    return {
        "tenant": rng.choice(tenants, n, p=np.arange(tenants, 0, -1) / np.arange(1, tenants + 1).sum()),
        "gpus": size,
        "run_s": np.maximum(1, run.astype(np.int64)),
        "submit_s": np.sort(rng.integers(0, days * 86_400, n)),
        "start_s": np.full(n, -1),
        "cause": np.zeros(n, np.int64),
    }


def _schedule(jobs: dict[str, Any], gpus: int, quota: dict[int, int], end_s: int) -> None:
    """Strict first come first served: a job starts when its tenant's quota and the pool have room."""
    used = dict.fromkeys(quota, 0)
    running: list[tuple[int, int, int]] = []
    now, free = 0, gpus
    for i, size in enumerate(jobs["gpus"]):
        now, tenant = max(now, int(jobs["submit_s"][i])), int(jobs["tenant"][i])
        if size > quota[tenant]:
            jobs["cause"][i] = 9
            continue
        while running and (running[0][0] <= now or free < size or used[tenant] + size > quota[tenant]):
            if running[0][0] > now:
                jobs["cause"][i] = 1 if used[tenant] + size > quota[tenant] else 3
            ended, who, held = heapq.heappop(running)
            now, free, used[who] = max(now, ended), free + held, used[who] - held
        if now >= end_s:
            continue
        jobs["start_s"][i], free, used[tenant] = now, free - size, used[tenant] + size
        heapq.heappush(running, (now + int(jobs["run_s"][i]), tenant, int(size)))


def _jobs_frame(
    rng: Any, jobs: dict[str, Any], names: tuple[str, ...], days: int, recorded: bool
) -> pl.DataFrame:
    n, end_s = len(jobs["gpus"]), days * 86_400
    never, started = jobs["cause"] == 9, jobs["start_s"] >= 0
    wait = np.where(started, jobs["start_s"], end_s) - jobs["submit_s"]
    wait = np.where(never, 0, wait)
    state = np.where(never, "refused", np.where(started, "done", "waiting"))
    cause = np.where(
        wait == 0, 0, np.where(jobs["cause"] == 0, 3, np.where(jobs["cause"] == 9, 1, jobs["cause"]))
    )
    noise = rng.lognormal(0.3, 0.9, n)
    columns: dict[str, Any] = {
        "job": np.arange(n),
        "workload": ["history"] * n,
        "name": [f"job-{i}" for i in range(n)],
        "tenant": [names[t] for t in jobs["tenant"]],
        "queue": [f"{names[t]}-q" for t in jobs["tenant"]],
        "user": ["u"] * n,
        "gpus": jobs["gpus"].astype(np.int32),
        "priority": np.zeros(n, np.int32),
        "submit_s": jobs["submit_s"],
        "eligible_s": jobs["submit_s"],
        "limit_s": np.zeros(n, np.int64),
        "work_s": jobs["run_s"].astype(float),
        "wait_s": wait,
        "run_s": np.where(started, jobs["run_s"], 0),
        "state": state,
        "attempts": started.astype(np.int32),
        "preemptions": np.zeros(n, np.int32),
    }
    for code, root in enumerate(REFUSALS[:N_REFUSALS]):
        if root in ROOTS:
            columns[f"root_{root}_s"] = np.where(cause == code, wait, 0)
        if code:
            columns[f"wait_{root}_s"] = np.where(cause == code, wait, 0)
    none = pl.lit(None)
    ran, there = pl.col("attempts") > 0, pl.lit(recorded) & (pl.col("job") % 10 > 0)
    more = pl.DataFrame({"s": jobs["start_s"], "r": (wait * noise).astype(np.int64) + rng.integers(0, 90, n)})
    return pl.DataFrame(columns).with_columns(
        start_s=pl.when(ran).then(more["s"]),
        end_s=pl.when(ran).then(more["s"] + pl.col("run_s")),
        product=pl.when(ran).then(pl.lit("B200-SXM")),
        site=pl.when(ran).then(pl.lit("lab")),
        last_refusal=pl.Series(
            [REFUSALS[c] if c else None for c in np.where(never, 1, cause)], dtype=pl.String
        ),
        project=none.cast(pl.String),
        behind=none.cast(pl.Int64),
        recorded_start_s=pl.when(there).then(pl.col("submit_s") + more["r"]),
        recorded_end_s=none.cast(pl.Int64),
    )


def _spread(jobs: pl.DataFrame, begin: str, finish: str, days: int, *keys: str) -> pl.DataFrame:
    """GPU-seconds per hour of intervals."""
    parts = []
    for t in range(0, days * 86_400, 3_600):
        inside = pl.min_horizontal(pl.col(finish), t + 3_600) - pl.max_horizontal(pl.col(begin), t)
        alive = jobs.filter((pl.col(begin) < t + 3_600) & (pl.col(finish) > t))
        parts.append(
            alive.group_by(*keys).agg(gpu_s=(inside * pl.col("gpus")).sum()).with_columns(t_s=pl.lit(t))
        )
    return pl.concat(parts)


def _timeline(jobs: pl.DataFrame, gpus: int, days: int) -> pl.DataFrame:
    busy = _spread(
        jobs.filter(pl.col("attempts") > 0), "start_s", "end_s", days, "tenant", "queue", "product"
    )
    longest = jobs.unpivot([f"root_{r}_s" for r in ROOTS], index="job").filter(pl.col("value") > 0)
    waits = jobs.join(longest, on="job").with_columns(
        cause=pl.col("variable").str.replace("root_", "").str.strip_suffix("_s"),
        until=pl.col("submit_s") + pl.col("wait_s"),
    )
    queued = _spread(waits, "submit_s", "until", days, "tenant", "queue", "cause")
    hours = range(0, days * 86_400, 3_600)
    up = pl.DataFrame(
        {"t_s": list(hours), "gpu_s": [gpus * 3_600 if t >= 86_400 else gpus * 1_800 for t in hours]}
    )
    up = up.with_columns(product=pl.lit("B200-SXM"), site=pl.lit("lab"))
    schema = {"t_s": pl.Int64, "kind": pl.String, "tenant": pl.String, "queue": pl.String,
              "product": pl.String, "site": pl.String, "cause": pl.String, "gpu_s": pl.Int64}  # fmt: skip
    empty = pl.DataFrame(schema=schema)
    kinds = {"online": up, "busy": busy, "waiting": queued}
    named = [
        f.with_columns(pl.lit(k).alias("kind"), pl.col("t_s", "gpu_s").cast(pl.Int64))
        for k, f in kinds.items()
    ]
    return pl.concat([empty, *named], how="diagonal").sort(*schema)


def write_run(
    path: Path,
    jobs: pl.DataFrame,
    timeline: pl.DataFrame,
    lock: dict[str, Any],
    *,
    ended_s: int | None = None,
) -> Run:
    """A run folder as far as a report reads it; its measures and ledger are made as for a real run.

    Args: ended_s: of a run that goes on until its jobs have ended; else it stops at the plan's end.
    """
    path.mkdir(parents=True, exist_ok=True)
    jobs.write_parquet(path / "jobs.parquet")
    timeline.write_parquet(path / "timeline.parquet")
    for name in ("supply", "shortage"):
        empty = pl.DataFrame(arrow_schema(TABLES[name]).empty_table())
        empty.write_parquet(path / f"{name}.parquet")
    (path / "plan.lock.yaml").write_text(yaml.safe_dump(lock, allow_unicode=True), encoding="utf-8")
    run = Run(path)
    intake = SimpleNamespace(
        workload="history", rows_read=jobs.height + 15, dropped={"time is NaN": 12, "zero GPUs": 3}
    )
    facts = Facts(run, Seen(3_600, ended_s or run.end_s, runs_on=ended_s is not None, intakes=[intake]))  # type: ignore[list-item]
    rows = measured(facts)
    warning = {"code": "P017", "title": "delivery lands before its site has power", "severity": "warning",
               "says": "64 B200 GPUs need 120 kW; lab has 100 kW", "fix": "move the delivery",
               "at": "plan.yaml:12"}  # fmt: skip
    clock = {"end_s": run.end_s, "ended_s": facts.seen.ended_s, "counted_s": facts.until_s, "grid_s": 3_600,
             "finish": facts.seen.runs_on}  # fmt: skip
    said = answer(facts, rows) if jobs.height else "No job came"
    measures = {"answer": said, "measures": rows, "findings": [warning], "clock": clock}
    (path / "measures.json").write_text(json.dumps(measures), encoding="utf-8")
    (path / "ledger.json").write_text(json.dumps(ledger_of(run.plan, rows)), encoding="utf-8")
    return run


def make_lock(names: tuple[str, ...], days: int, gpus: int, title: str = "A fake cluster") -> dict[str, Any]:
    """The lock of a plan with one delivery, and one queue per tenant."""
    end = datetime(2026, 1, 4, 15, tzinfo=UTC) + timedelta(days=days)
    delivery = {
        "to": "lab",
        "system": "DGX B200",
        "gpus": gpus,
        "at": "2026-01-04T15:00:00Z",
        "status": "online",
        "tenant": None,
        "counts_toward": [],
    }
    policy = {"order": "fifo", "strict": True, "backfill": "none", "placement": "best-fit", "interval_s": 0,
              "estimate": "exact", "over_limit": "kill", "select": "placement", "restart_overhead": [],
              "finish_lag_s": 0}  # fmt: skip
    lines = {"deliveries.lot-1": "plan.yaml:12", "sites.lab": "plan.yaml:8", "sites.lab.pue": "plan.yaml:8"}
    return {
        "schema": "gpufleet.lock/1",
        "name": "fake",
        "title": title,
        "start": "2026-01-04T15:00:00Z",
        "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "time_zone": "Asia/Seoul",
        "after_end": "stop",
        "as_of": "2026-01-04T15:00:00Z",
        "sites": {"lab": {"name": "lab", "time_zone": "Asia/Seoul", "power_w": [], "pue": 1.3}},
        "systems": {"DGX B200": {"product": "B200-SXM", "gpus_per_node": 8}},
        "deliveries": {"lot-1": delivery},
        "retirements": [],
        "promises": {},
        "actuals": [],
        "sums": {},
        "tenants": {name: {} for name in names},
        "queues": {f"{name}-q": {"tenant": name, "quota": {"B200-SXM": gpus // 2}} for name in names},
        "workloads": {"history": {"file": {"name": "jobs.csv", "bytes": 1, "sha256": "00"}, "products": []}},
        "policy": policy,
        "sources": {"vendor": {"title": "Vendor data sheet, 2025"}},
        "lines": lines | {f"queues.{name}-q": f"plan.yaml:{20 + i}" for i, name in enumerate(names)},
        "origins": {
            "sites.lab.pue": {"trust": "assumption"},
            "deliveries.lot-1": {"source": "vendor", "trust": "stated"},
        },
    }
