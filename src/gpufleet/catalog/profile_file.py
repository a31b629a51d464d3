"""Reading a profile's JSON: every fault at once, each with its line and key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from gpufleet.base.errors import Finding, GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.catalog.profile import (
    HOURS_PER_WEEK,
    SCHEMA,
    Arrivals,
    Limits,
    Profile,
    Quantiles,
    Size,
    Users,
)
from gpufleet.catalog.profile_values import BAD_NUMBER, Key, Record, Values, is_number

NOT_JSON: Final = explain_code(
    "C011",
    "the file is no profile",
    "A profile is a JSON object with `schema: gpufleet.profile/1`, as `gpufleet profile TRACE` writes it.",
    "gpufleet profile jobs.csv --out lab.json",
).code
TOO_FEW: Final = explain_code(
    "C014",
    "a profile of no job, or of a single one",
    "A distribution cannot be told from fewer than two jobs.",
    '"jobs": 1',
).code

MOST_BYTES: Final = 1 << 24
MOST_GPUS: Final = 10_000_000
MOST_USERS: Final = 1_000_000
MOST_RUN_S: Final = 100 * 366 * 86_400.0
CLOSE: Final = 0.01  # of means that follow from other numbers
_SUM: Final = 1e-4  # of shares that sum to 1; files round them


def read_profile(path: Path) -> Profile:
    """A profile from its file.

    Raises: GpufleetError C011 to C014, every finding with line and key. OSError.
    """
    if path.stat().st_size > MOST_BYTES:
        says = say(
            "the file has {size:,} bytes; a profile has at most {most:,}",
            size=path.stat().st_size,
            most=MOST_BYTES,
        )
        raise GpufleetError(
            finding(NOT_JSON, says, say("is it a trace? `gpufleet profile` distils it"), Place(str(path), 0))
        )
    try:
        text = path.read_bytes().decode()
        data = json.loads(text, object_pairs_hook=_once)
        json.dumps(data, ensure_ascii=False).encode()  # half of a character, escaped, is no text
    except (ValueError, RecursionError) as error:
        raise GpufleetError(_no_json(path, error)) from error
    return _Reading(path, text).profile(data)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that comes twice is refused, because only one of the two would be used."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"`{key}` comes twice")
        found[key] = value
    return found


def _no_json(path: Path, error: Exception) -> Finding:
    line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
    says = say("it cannot be read as JSON: {why}", why=str(error).split(":")[0])
    return finding(NOT_JSON, says, say("write it anew with `gpufleet profile TRACE`"), Place(str(path), line))


class _Reading(Values):
    """One reading of a profile."""

    def profile(self, data: Any) -> Profile:
        """The profile. Raises: GpufleetError with every finding."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            says = say("its `schema` is {found}, not {wanted}", found=repr(found), wanted=SCHEMA)
            fix = say("write it anew with `gpufleet profile TRACE`")
            raise GpufleetError(finding(NOT_JSON, says, fix, Place(str(self.path), 1)))
        top = self.record((), data, ("schema", *Profile.__slots__))
        self._check_jobs(top)
        made = Profile(
            **{name: self.text(top, name) for name in ("name", "title", "source", "license", "made_by")},
            trust=self.word(top, "trust", ("stated", "estimate", "assumption")),
            jobs=int(self.number(top, "jobs", 0, 1e15, whole=True)),
            weeks=self.number(top, "weeks", 0, 5200, above=True),
            time_zone=self.text(top, "time_zone"),
            arrivals=self._arrivals(top),
            sizes=self._sizes(top),
            users=self._users(top),
            queues=self._shares(top, "queues"),
            end_states=self._shares(top, "end_states"),
            mean_gpus=self.number(top, "mean_gpus", 1, MOST_GPUS),
            mean_run_s=self.number(top, "mean_run_s", 0, MOST_RUN_S, above=True),
            mean_gpu_s=self.number(top, "mean_gpu_s", 0, MOST_RUN_S * MOST_GPUS, above=True),
        )
        if not self.findings:
            self._check_means(made)
        if self.findings:
            raise GpufleetError(*self.findings)
        return made

    def _arrivals(self, top: Record) -> Arrivals:
        part = self.object(top, "arrivals", Arrivals.__slots__)
        weights = self.numbers(part, "hour_of_week", 0, HOURS_PER_WEEK)
        if weights and len(weights) != HOURS_PER_WEEK:
            says = say(
                "it has {n} weights, one for each hour of the week is {wanted}",
                n=len(weights),
                wanted=HOURS_PER_WEEK,
            )
            self.report(BAD_NUMBER, (*part.key, "hour_of_week"), says, say("Monday 00:00 comes first"))
        elif weights and not math.isclose(sum(weights), HOURS_PER_WEEK, rel_tol=CLOSE):
            says = say("the mean of the weights is {mean:.4g}, not 1", mean=sum(weights) / HOURS_PER_WEEK)
            self.report(BAD_NUMBER, (*part.key, "hour_of_week"), says, say("divide each by their mean"))
        day, hour = (self.number(part, name, 0, 100) for name in ("day_cv", "hour_cv"))
        return Arrivals(weights, day, hour)

    def _sizes(self, top: Record) -> tuple[Size, ...]:
        given = top.get("sizes")
        if not isinstance(given, list) or not given:
            self.expected(top, "sizes", say("a list of sizes, at least one"))
            return ()
        records = [self.record(("sizes", i), each, Size.__slots__) for i, each in enumerate(given)]
        sizes = tuple(self._size(record) for record in records)
        counts = [size.gpus for size in sizes]
        for i, (before, after) in enumerate(pairwise(counts), start=1):
            if after <= before and after:
                says = say("{after:,} GPUs come after {before:,}", after=after, before=before)
                self.report(
                    BAD_NUMBER, ("sizes", i, "gpus"), says, say("one entry per number of GPUs, ascending")
                )
        self._check_sum(("sizes",), [size.share for size in sizes])
        return sizes

    def _size(self, part: Record) -> Size:
        gpus = int(self.number(part, "gpus", 1, MOST_GPUS, whole=True))
        share = self.number(part, "share", 0, 1, above=True)
        run_s = self._quantiles(part)
        mean_s = self.number(part, "mean_run_s", 0, MOST_RUN_S, above=True)
        if run_s.s and mean_s and not math.isclose(run_s.mean_s, mean_s, rel_tol=CLOSE):
            says = say(
                "its quantiles have a mean of {area:,.6g} s, {key} is {mean:,.6g} s",
                area=run_s.mean_s,
                key="mean_run_s",
                mean=mean_s,
            )
            self.report(
                BAD_NUMBER, (*part.key, "mean_run_s"), says, say("both are of the same jobs: within 1 %")
            )
        return Size(gpus, share, run_s, mean_s, self._limits(part))

    def _quantiles(self, part: Record) -> Quantiles:
        inner = self.object(part, "run_s", Quantiles.__slots__)
        p, s = self.curve(inner, "p", "s", MOST_RUN_S)
        return Quantiles(p, s)

    def _limits(self, part: Record) -> Limits | None:
        if part.get("limit", 0) is None:
            return None
        inner = self.object(part, "limit", Limits.__slots__)
        share = self.number(inner, "share", 0, 1, above=True)
        p, over_run = self.curve(inner, "p", "over_run", 1e10)
        return Limits(share, p, over_run)

    def _users(self, top: Record) -> Users | None:
        if top.get("users", 0) is None:
            return None
        part = self.object(top, "users", Users.__slots__)
        count = int(self.number(part, "count", 1, MOST_USERS, whole=True))
        p, share = self.curve(part, "p", "share", 1)
        if share and (share[0] != 0 or not math.isclose(share[-1], 1, abs_tol=_SUM)):
            says = say(
                "the shares go from {low:g} to {high:g}, not from 0 to 1", low=share[0], high=share[-1]
            )
            self.report(BAD_NUMBER, (*part.key, "share"), says, say("all users together submit all jobs"))
        return Users(count, p, share)

    def _shares(self, top: Record, name: str) -> Mapping[str, float]:
        given = top.get(name)
        if not isinstance(given, dict):
            self.expected(top, name, say("an object of names and shares, {{}} if not known"))
            return {}
        part = self.record((name,), given, tuple(given))
        shares = {key: self.number(part, key, 0, 1) for key in given}
        if shares:
            self._check_sum((name,), list(shares.values()))
        return shares

    def _check_jobs(self, top: Record) -> None:
        jobs = top.get("jobs")
        if is_number(jobs) and jobs in (0, 1):
            says = say("it was made from {n} job", "it was made from {n} jobs", n=int(jobs))
            self.report(TOO_FEW, ("jobs",), says, say("distil a trace of two jobs or more"))

    def _check_sum(self, key: Key, shares: Sequence[float]) -> None:
        total = math.fsum(shares)
        if all(math.isfinite(share) for share in shares) and not math.isclose(total, 1, abs_tol=_SUM):
            says = say("the shares sum to {total:.6g}, not 1", total=total)
            self.report(BAD_NUMBER, key, says, say("divide each by their sum"))

    def _check_means(self, made: Profile) -> None:
        follow = {
            "mean_gpus": math.fsum(z.share * z.gpus for z in made.sizes),
            "mean_run_s": math.fsum(z.share * z.mean_run_s for z in made.sizes),
            "mean_gpu_s": math.fsum(z.share * z.gpus * z.mean_run_s for z in made.sizes),
        }
        for name, mean in follow.items():
            given = getattr(made, name)
            if not math.isclose(mean, given, rel_tol=CLOSE):
                says = say("it is {given:,.6g}; the sizes make {mean:,.6g}", given=given, mean=mean)
                self.report(BAD_NUMBER, (name,), says, say("it follows from `sizes`: within 1 %"))
