"""What a profile is: a trace distilled to the numbers that jobs like its own can be drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = "gpufleet.profile/1"
HOURS_PER_WEEK: Final = 168


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution by its quantile function, linear between knots.

    >>> Quantiles((0.0, 0.5, 1.0), (1.0, 3.0, 9.0)).mean_s
    4.0
    """

    p: tuple[float, ...]  # ascending from 0 to 1
    s: tuple[float, ...]  # seconds, ascending (ties are allowed)

    @property
    def mean_s(self) -> float:
        """Mean of the distribution, s: the area under its quantile function."""
        knots = zip(self.p, self.s, strict=True)
        before_p, before_s, area = 0.0, self.s[0], 0.0
        for p, s in knots:
            area += (p - before_p) * (s + before_s) / 2
            before_p, before_s = p, s
        return area


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits against run times: which share of jobs has one, and quantiles of limit / run time."""

    share: float  # of the jobs of this size, 0 to 1
    p: tuple[float, ...]  # ascending from 0 to 1
    over_run: tuple[float, ...]  # limit / run time, ascending


@dataclass(frozen=True, slots=True)
class Size:
    """Jobs of one number of GPUs."""

    gpus: int
    share: float  # of all jobs; the shares of all sizes sum to 1
    run_s: Quantiles
    mean_run_s: float
    limit: Limits | None  # None: not known, or no job has one


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When jobs come."""

    hour_of_week: tuple[float, ...]  # 168 weights with mean 1, Monday 00:00 first, local time
    day_cv: float  # coefficient of variation of a day's jobs around the pattern, beyond Poisson
    hour_cv: float  # the same of an hour's jobs around its day


@dataclass(frozen=True, slots=True)
class Users:
    """How uneven users are: the top ``p`` of them, most active first, submit ``share`` of the jobs."""

    count: int
    p: tuple[float, ...]  # ascending from 0 to 1
    share: tuple[float, ...]  # cumulative, ascending from 0 to 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Demand distilled: what `gpufleet profile` writes and a workload of kind `profile` draws jobs from."""

    name: str
    title: str
    source: str
    license: str
    made_by: str  # how it was distilled, in a sentence
    trust: str  # stated, estimate or assumption
    jobs: int  # of the source
    weeks: float  # that the source covers
    time_zone: str  # IANA name, or "local" where the source does not say
    arrivals: Arrivals
    sizes: tuple[Size, ...]  # by GPUs, ascending
    users: Users | None  # None: not known
    queues: Mapping[str, float]  # share of the jobs
    end_states: Mapping[str, float]  # share of the jobs
    mean_gpus: float
    mean_run_s: float
    mean_gpu_s: float  # GPUs x run time

    def text(self) -> str:
        """The profile as its JSON file: one line for each list of numbers.

        >>> from gpufleet.catalog.profiles import load_profile
        >>> load_profile("philly").text().splitlines()[1]
        ' "schema": "gpufleet.profile/1",'
        """
        return _lines(self.to_json(), 0) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The profile as JSON values."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        plain["arrivals"] = _fields(self.arrivals)
        plain["users"] = self.users and _fields(self.users)
        plain["sizes"] = [
            {**_fields(size), "run_s": _fields(size.run_s), "limit": size.limit and _fields(size.limit)}
            for size in self.sizes
        ]
        return {"schema": SCHEMA, **plain, "queues": dict(self.queues), "end_states": dict(self.end_states)}


def _fields(record: Arrivals | Users | Size | Quantiles | Limits) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def _lines(value: Any, depth: int) -> str:
    """JSON in which objects and lists of objects take one line per entry, and lists of numbers one line."""
    deeper, margin = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, Mapping) and value:
        entries = (f"{_lines(key, 0)}: {_lines(each, depth + 1)}" for key, each in value.items())
        return "{" + deeper + f",{deeper}".join(entries) + margin + "}"
    if isinstance(value, list) and value:
        return "[" + deeper + f",{deeper}".join(_lines(each, depth + 1) for each in value) + margin + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
