"""ledger.json: where each number came from, down to the lines of the plan, their sources and their trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gpufleet.results.blame import quotas
from gpufleet.results.blame_sharing import cohort_quota_paths
from gpufleet.results.measures import MEASURES
from gpufleet.results.scope import Scope, scope_of

SCHEMA: Final = "gpufleet.ledger/1"
TRUSTS: Final = ("stated", "estimate", "assumption")
"""From the surest to the least sure."""

_INPUTS: Final = {
    "deliveries": {"gpus": "GPU", "ordered": "date", "at": "date", "status": "", "counts_toward": ""},
    "retirements": {"gpus": "GPU", "at": "date", "mode": ""},
    "promises": {"gpus": "GPU", "at": "date", "from": "date", "until": "date"},
    "actuals": {"gpus": "GPU", "at": "date"},
    "sums": {"makes": "GPU"},
    "reservations": {"gpus": "GPU", "nodes": "node", "from": "date", "to": "date", "for": ""},
    "sites": {
        "power": "W", "pue": "1", "overhead": "W", "curtailments": "W", "carbon_g_per_kwh": "g/kWh",
    },
    "workloads": {
        "file": "file", "profile": "profile", "load": "1", "gpu_hours_per_month": "GPU·h/month", "scale": "",
        "gpus": "GPU", "duration": "s", "at": "date", "from": "date", "to": "date", "products": "",
        "shift": "s",
    },
}  # fmt: skip
"""Values of the plan that numbers are made of, with their units."""

_POLICY: Final = (
    "order", "strict", "backfill", "placement", "interval", "estimate", "over_limit", "select",
    "restart_overhead", "finish_lag",
)  # fmt: skip
_OF_JOBS: Final = ("jobs.", "quotas.", "preemptions.", "fragmentation.", "power.")
"""Tables that follow from what jobs did."""

_ASIDE: Final = ("promises", "actuals", "sums")
"""What stands beside the plan: no job runs by it."""

_ONE: Final = ("promise", "lot", "reservation")
"""What narrows any measure. Other dimensions do so where jobs have no part in it: those follow from all."""

_CHOSEN: Final = ("queues", "policy")
_CHOSEN_KEYS: Final = ("counts_toward", "file", "mode", "products", "for")
"""What is decided, not known: nobody can vouch for it."""

_FIELDS: Final = {"power": "power_w", "duration": "duration_s", "shift": "shift_s", "interval": "interval_s",
                  "finish_lag": "finish_lag_s", "from": "from_",
                  "overhead": "overhead_w", "for": "holders"}  # fmt: skip
"""What a key of the plan is called in the lock, where that carries its unit."""


def ledger_of(lock: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ledger of a run.

    Args: lock: plan.lock.yaml; rows: the measures, as in measures.json.
    """
    inputs = list(_inputs(lock))
    measures = [_measure_entry(row, inputs, lock) for row in rows]
    return {"schema": SCHEMA, "entries": [*measures, *inputs]}


def _measure_entry(
    row: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]], lock: Mapping[str, Any]
) -> dict[str, Any]:
    """Where a value of a measure comes from: columns, other measures, and values of the plan."""
    needs = _all_needs(row["name"])
    by = row["by"] if "queues" not in needs else {k: v for k, v in row["by"].items() if k in _ONE}
    scope = scope_of(lock, by)
    used = [entry for entry in inputs if entry["section"] in needs and _about(entry, scope)]
    if "step" in row["by"]:  # of the stairs the first is made of promises, the others of lots
        pledged = row["by"]["step"] == "pledged"
        if pledged or row["name"].startswith("supply_"):
            used = [entry for entry in used if (entry["section"] == "promises") == pledged]
    if "promise" in row["by"]:  # what is promised first, then what is to keep it
        used.sort(key=lambda entry: entry["section"] != "promises")
    sources = dict.fromkeys(entry["source"] for entry in used if entry["source"])
    return {
        **{key: row[key] for key in ("name", "value", "unit", "formula", "by")},
        "inputs": [*MEASURES[row["name"]].needs],
        "plan_line": next((entry["plan_line"] for entry in used if entry["plan_line"]), None),
        "source": ", ".join(sources) or None,
        "trust": weakest([_trust(entry) for entry in used if _claims(entry)]),
        "assumed": any(entry["trust"] == "assumption" for entry in used),
    }


def weakest(trusts: Sequence[str | None]) -> str | None:
    """The least sure of some trusts; None = of one of them it is not said, or there are none.

    >>> weakest(["stated", "assumption"]), weakest(["stated", None])
    ('assumption', None)
    """
    said = [trust for trust in trusts if trust]
    return max(said, key=TRUSTS.index, default=None) if len(said) == len(trusts) else None


def _trust(entry: Mapping[str, Any]) -> str | None:
    """How far a value is trusted: one with a source and nothing else is stated there."""
    return entry["trust"] or ("stated" if entry["source"] else None)


def _claims(entry: Mapping[str, Any]) -> bool:
    """Whether a value says how things are; a rule that somebody chose, or a default, is as it is."""
    key = entry["name"].rpartition(".")[2]
    return entry["formula"] != "default" and entry["section"] not in _CHOSEN and key not in _CHOSEN_KEYS


def _about(entry: Mapping[str, Any], scope: Scope) -> bool:
    """Whether a value of the plan is one of those that a measure's value is about."""
    section, _, path = entry["name"].partition(".")
    return section not in scope or path.rpartition(".")[0] in scope[section]


def _all_needs(name: str) -> set[str]:
    """Sections of the plan that a measure stands on, through the measures that it is made of.

    What jobs did follows from all of the plan.

    >>> sorted(_all_needs("online_gpu_h"))
    ['deliveries', 'retirements', 'sites']
    """
    found: set[str] = set()
    for need in MEASURES[name].needs:
        if need in MEASURES:
            found |= _all_needs(need)
        elif need.startswith(_OF_JOBS) or need in ("timeline.busy", "timeline.waiting"):
            found |= {*_INPUTS, "queues", "policy", "profiles"} - set(_ASIDE)
        elif need.startswith(("supply.", "shortage.")):
            found |= {"promises", "deliveries", "retirements", "sites"}
        elif need in (*_INPUTS, "money"):
            found.add(need)
    return found


def _inputs(lock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of the plan that the run was made of, one entry each."""
    for section, units in _INPUTS.items():
        for name, part in _parts(lock.get(section, {})):
            for key, unit in units.items():
                value = part.get(_FIELDS.get(key, key))
                if value not in (None, [], ""):
                    yield _input(lock, section, f"{section}.{name}.{key}", value, unit)
    for name, queue in lock["queues"].items():
        for product, gpus in queue["quota"].items():
            path = quotas(lock, name, [product])[0].path  # as the plan writes it
            yield _input(lock, "queues", path, gpus, "GPU")
    yield from _profiles(lock)
    yield from _money(lock)
    for name, cohort in lock.get("cohorts", {}).items():
        for product, gpus in cohort["quota"].items():
            path = next(iter(cohort_quota_paths(lock, name, [product])), f"cohorts.{name}")
            yield _input(lock, "queues", path, gpus, "GPU")
    for key in _POLICY:
        unit = "s" if key in _FIELDS else ""
        yield _input(lock, "policy", f"policy.{key}", _chosen(lock["policy"], key), unit)


def _money(lock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Prices, shares, budgets and rates of the section `money`."""
    money = lock.get("money", {})
    for section in ("costs", "income"):
        for name, item in money.get(section, {}).items():
            for key in ("price", "share", "tariff"):
                value = "catalogue" if item.get(key) == [] else item.get(key)
                if value is not None:
                    shown = [step[1] for step in value] if isinstance(value, list) else value
                    yield _input(lock, "money", f"money.{section}.{name}.{key}", shown, "")
    for name, line in money.get("funding", {}).items():
        for year, amount in line["ceilings"].items():
            yield _input(lock, "money", f"money.funding.{name}.ceilings.{year}", amount, "")
    for pair, steps in money.get("rates", {}).items():
        yield _input(lock, "money", f"money.rates.{pair}", [rate for _, rate in steps], pair)


def _chosen(policy: Mapping[str, Any], key: str) -> Any:
    """What a key of the policy says; of a function of the user, where it is.

    >>> own = {"python": {"file": "ranks.py", "function": "small_first"}}
    >>> _chosen({"order": "own", "own_order": own}, "order"), _chosen({"interval_s": 5}, "interval")
    ('ranks.py:small_first', 5)
    """
    own = policy.get(f"own_{key}")
    if own:
        return f"{own['python']['file']}:{own['python']['function']}"
    return policy[_FIELDS.get(key, key)]


def _profiles(lock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The profiles that jobs are drawn from, each with its own source and trust."""
    for name, profile in (lock.get("profiles") or {}).items():
        yield {
            "name": f"profiles.{name}",
            "section": "profiles",
            "value": profile["title"],
            "unit": "",
            "formula": "declared in the plan",
            "by": {},
            "inputs": [],
            "plan_line": profile["line"],
            "source": profile["source"],
            "trust": profile["trust"],
        }


def _parts(section: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Parts of a section by name, or by number where they have none."""
    if isinstance(section, Mapping):
        yield from section.items()
    else:
        yield from ((str(i), part) for i, part in enumerate(section))


def _input(lock: Mapping[str, Any], section: str, path: str, value: Any, unit: str) -> dict[str, Any]:
    """One value with its line and what is known of its source; a part speaks for its values."""
    part = path.rpartition(".")[0]
    source, trust = _vouched(lock["origins"], path, value)
    declared = path in lock["lines"]
    return {
        "name": path,
        "section": section,
        "value": value,
        "unit": unit,
        "formula": "declared in the plan" if declared else "default",
        "by": {},
        "inputs": [],
        "plan_line": lock["lines"].get(path) or lock["lines"].get(part),
        "source": source,
        "trust": trust,
    }


def _vouched(origins: Mapping[str, Any], path: str, value: Any) -> tuple[str | None, str | None]:
    """Source and trust of a value: its own, else those of its steps together, else its part's.

    >>> step = {"source": "a", "trust": "estimate"}
    >>> _vouched({"s.power.0": step, "s.power.1.value": {"source": "b"}}, "s.power", [[0, 1.0], [9, 2.0]])
    ('a, b', 'estimate')
    """
    own, whole = (origins.get(p, {}) for p in (path, path.rpartition(".")[0]))
    steps = [_step(origins, f"{path}.{i}") for i in range(len(value))] if isinstance(value, list) else []
    if not own and steps and all(steps):
        sources = dict.fromkeys(step["source"] for step in steps if step.get("source"))
        return ", ".join(sources) or None, weakest([_trust(step) for step in steps])
    return own.get("source") or whole.get("source"), own.get("trust") or whole.get("trust")


def _step(origins: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What is known of one step of a value that changes with time."""
    both = {"source": None, "trust": None, **origins.get(path, {}), **origins.get(f"{path}.value", {})}
    return both if both["source"] or both["trust"] else {}
