"""plan.lock.yaml: the plan as it was simulated, every value resolved, with the line that each was written on.

The tree has the plan's own sections (``sites``, ``systems``, ``deliveries``, ...), values in base units.
Sections come with it: ``asked`` (scenarios and --set overrides of this run), ``profiles``, ``trainings``
and ``campaigns`` (what is predicted of each), ``lines`` (path in the plan -> ``file:line``, files relative to
the plan) and ``origins`` (path -> source, trust, range, where the plan gives them). The bytes do not depend
on where the plan lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from gpufleet.base.errors import Place
from gpufleet.base.money import Money
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload

if TYPE_CHECKING:
    from gpufleet.plan import Plan
    from gpufleet.plan.reader import Origin
    from gpufleet.world.training import Planned

SCHEMA: Final = "gpufleet.lock/1"
SECTIONS: Final = (
    "name", "title", "start", "end", "time_zone", "after_end", "as_of", "jobs_until", "seed", "sites",
    "systems", "deliveries", "retirements", "promises", "actuals", "sums", "priorities", "cohorts",
    "partitions", "reservations", "tenants", "queues", "workloads", "policy", "failures", "power",
    "sources",
)  # fmt: skip
"""What of a plan goes into its lock. Files stand with the workloads that read them; scenarios are applied."""
IF_SAID: Final = (
    "milestones", "lead_times", "slots", "licences", "rules", "unknown_law", "money",
)  # fmt: skip
"""Sections that only plans have which say something in them."""
_NAMED: Final = (
    "sites", "systems", "promises", "sums", "cohorts", "partitions", "reservations", "tenants", "queues",
    "workloads", "milestones", "lead_times", "slots", "licences", "rules",
)  # fmt: skip
"""Sections whose parts have names."""


def lock_of(plan: Plan) -> dict[str, Any]:
    """The lock of a plan as plain values."""
    root = Path(plan.root).resolve()
    tree = {name: _plain(getattr(plan, name), root) for name in SECTIONS}
    tree |= {name: _plain(said, root) for name in IF_SAID if (said := getattr(plan, name))}
    tree["deliveries"] = _unnamed({delivery["name"]: delivery for delivery in tree["deliveries"]})
    for delivery in tree["deliveries"].values():
        delivery.pop("nodes", None)  # another way to write gpus
    for tenant in tree["tenants"].values():  # quotas stand in `queues`
        tenant.pop("quota", None)
        tenant.pop("terms", None)
        tenant["queues"] = list(tenant["queues"])
    trainings = _trainings(plan)
    for name, training in trainings.items():
        speeds = dict(training.workload.products)
        products = [[product, speeds.get(product, 0.0)] for product, _ in plan.workloads[name].products]
        tree["workloads"][name] |= {"gpus": training.gpus, "products": products}  # 0: no option
    profiles = _profiles(plan, root)
    for profile in profiles.values():
        tree["sources"].setdefault(
            profile["source"],
            {"title": profile["title"], "url": profile["from"], "note": profile["made_by"]},
        )
    origins = {_named(path, plan): origin for path, origin in plan.origins.items() if path}
    return {
        "schema": SCHEMA,
        **tree,
        "profiles": profiles,
        "trainings": {name: _training(training) for name, training in trainings.items()},
        "campaigns": _campaigns(plan),
        "asked": _asked(plan),
        "lines": dict(sorted(_lines(plan, origins, root).items())),
        "origins": {path: known for path in sorted(origins) if (known := _origin(origins[path], root))},
    }


def _profiles(plan: Plan, root: Path) -> dict[str, dict[str, Any]]:
    """What the profiles of the workloads say of themselves: whose jobs they are like, how far trusted."""
    from gpufleet.plan.workloads import ProfileWorkload

    found: dict[str, dict[str, Any]] = {}
    for workload in plan.workloads.values():
        if isinstance(workload, ProfileWorkload):
            known, named = workload.jobs_like, workload.profile
            found[known.name] = {
                "title": known.title,
                "source": f"profile {known.name}",
                "from": known.source,
                "license": known.license,
                "made_by": known.made_by,
                "trust": known.trust,
                "line": f"catalog/profiles/{named}.json"
                if isinstance(named, str)
                else _file(named, root)["name"],
            }
    return found


def _trainings(plan: Plan) -> dict[str, Planned]:
    """The trainings of a plan as they are predicted."""
    declared = [each for each in plan.workloads.values() if isinstance(each, TrainingWorkload)]
    if not declared:
        return {}
    from gpufleet.world.training import planned  # imports the models: for those who train only

    return {each.name: planned(plan, each) for each in declared}


def _campaigns(plan: Plan) -> dict[str, dict[str, int]]:
    """When campaigns are to begin and to end, if they never wait; s from the plan's start."""
    declared = [each for each in plan.workloads.values() if isinstance(each, CampaignWorkload)]
    if not declared:
        return {}
    from gpufleet.world.training import begin_s, campaign_lasts_s

    begins = {each.name: begin_s(plan, each) for each in declared}
    return {
        each.name: {"start_s": begins[each.name], "end_s": begins[each.name] + campaign_lasts_s(each)}
        for each in declared
    }


def _training(made: Planned) -> dict[str, Any]:
    """What is predicted of a training; s from the plan's start, numbers rounded to what they are good for."""
    return {
        "model": made.model.name,
        "params": made.model.params_total,
        "params_active": made.model.params_active,
        "gpus": made.gpus,
        "goodput": round(made.goodput, 4),
        "steps_share": round(made.steps_share, 4),
        "checkpoint_s": made.workload.checkpoint_s,
        "restart_s": made.workload.restart_s,
        "products": {
            product: {
                "speed": speed,
                "system": one.system,
                "layout": str(one.layout),  # in English
                "gpus": one.gpus,
                "tokens_per_s": round(one.tokens_per_s),
                "mfu": round(one.mfu, 4),
            }
            for (product, speed), one in zip(made.workload.products, made.forecasts.values(), strict=True)
        },
        "phases": [
            {
                "name": phase.name,
                "jobs": phase.jobs,
                "gpus": phase.gpus,
                "work_s": phase.work_s,
                "start_s": phase.start_s,
                "end_s": phase.end_s,
                "failures": round(phase.failures, 2),
            }
            for phase in made.phases
        ],
    }


def write_lock(path: Path, plan: Plan) -> None:
    """Write plan.lock.yaml."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(lock_of(plan), Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    path.write_text(text, encoding="utf-8", newline="\n")


def read_lock(path: Path) -> dict[str, Any]:
    """Read what `write_lock` wrote."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    lock: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return lock


def _asked(plan: Plan) -> dict[str, Any]:
    """The scenarios with their titles and the overrides that made this plan of the one in the file."""
    titles = {name: plan.scenarios[name].title for name in plan.applied}
    return {"scenarios": titles, "overrides": [_override(text) for text in plan.overrides]}


def _override(text: str) -> str:
    """An override as it was given; of a file elsewhere its name.

    >>> _override("policy.order=sjf"), _override("files.trace=/home/me/log.csv")
    ('policy.order=sjf', 'files.trace=log.csv')
    """
    path, _, value = text.partition("=")
    file = Path(value.strip())
    return f"{path.strip()}={file.name if file.is_absolute() else value.strip()}"


# --- values -------------------------------------------------------------------------------------------------


def _plain(value: Any, root: Path) -> Any:
    """Parts as mappings without lines and empty fields, dates as text, files by name and content."""
    if isinstance(value, Mapping):
        return _unnamed({str(key): _plain(item, root) for key, item in value.items()})
    if isinstance(value, tuple | list):
        return [_plain(item, root) for item in value]
    if isinstance(value, Path):
        return _file(value, root)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Money | Fraction):
        return str(value)
    given = {name: getattr(value, name) for name in _field_names(value) if name != "line"}
    constant = dict(getattr(type(value), "constant", {}))
    return constant | {name: _plain(item, root) for name, item in given.items() if item is not None}


def _unnamed(parts: dict[str, Any]) -> dict[str, Any]:
    """Parts by name, without saying the name again inside.

    >>> _unnamed({"lab": {"name": "lab", "pue": 1.3}})
    {'lab': {'pue': 1.3}}
    """
    return {
        key: {k: v for k, v in part.items() if k != "name"}
        if isinstance(part, dict) and part.get("name") == key
        else part
        for key, part in parts.items()
    }


def _field_names(part: Any) -> list[str]:
    """Fields of a part of the plan that the lock has, in the order in which it declares them."""
    if is_dataclass(part):
        return [field.name for field in fields(part) if field.metadata.get("lock", True)]
    return list(type(part).model_fields)


def _file(path: Path, root: Path) -> dict[str, Any]:
    """A file by its name and its content: it may lie elsewhere tomorrow."""
    name = path.resolve()
    shown = name.relative_to(root).as_posix() if name.is_relative_to(root) else name.name
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": shown, "bytes": path.stat().st_size, "sha256": content}


# --- lines --------------------------------------------------------------------------------------------------


def _named(path: str, plan: Plan) -> str:
    """Deliveries without a name are numbered in paths; the lock calls them as results do."""
    section, _, rest = path.partition(".")
    number, dot, key = rest.partition(".")
    if section != "deliveries" or not number.isdecimal() or int(number) >= len(plan.deliveries):
        return path
    return f"{section}.{plan.deliveries[int(number)].name}{dot}{key}"


def _lines(plan: Plan, origins: Mapping[str, Origin], root: Path) -> dict[str, str]:
    """Where each path of the plan was written; parts from tables or the catalogue have an own line."""
    parts: dict[str, Any] = {f"deliveries.{d.name}": d for d in plan.deliveries}
    for section in ("retirements", "actuals"):
        parts |= {f"{section}.{i}": part for i, part in enumerate(getattr(plan, section))}
    for section in _NAMED:
        parts |= {f"{section}.{name}": part for name, part in getattr(plan, section).items()}
    parts["policy"] = plan.policy
    lines = {path: place(part.line, root) for path, part in parts.items()}
    return lines | {path: place(origin.at, root) for path, origin in origins.items()}


def place(at: Place, root: Path) -> str:
    """A place with its file relative to the plan.

    >>> place(Place("/home/me/plans/lab/plan.yaml", 31), Path("/home/me/plans/lab"))
    'plan.yaml:31'
    >>> place(Place("--set policy.order", 0), Path("/home/me"))
    '--set policy.order'
    >>> place(Place("/home/me/lab/supply.xlsx", 7, 3, "deliveries"), Path("/home/me/lab"))
    'supply.xlsx!deliveries:C7'
    """
    return str(replace(at, file=_shown(at.file, root)))


@lru_cache(maxsize=256)
def _shown(file: str, root: Path) -> str:
    if file.startswith("--set"):
        return file
    for base in (root, Path.cwd()):  # places name files as the plan does, or as the user did
        whole = (base / file).resolve()
        if whole.is_relative_to(root) and (Path(file).is_absolute() or whole.is_file()):
            return whole.relative_to(root).as_posix()
    return Path(file).name


def _origin(origin: Origin, root: Path) -> dict[str, Any]:
    """Source, trust and range of a value, as far as the plan gives them."""
    known = {"source": origin.source, "trust": origin.trust, "range": origin.range}
    return {name: _plain(value, root) for name, value in known.items() if value is not None}
