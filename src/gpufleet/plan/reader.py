"""One reading of a plan: what is known so far, and everything that was found wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean, finding, nearest
from gpufleet.base.say import say

_NOUNS: Final = {
    each.template: each
    for each in (
        say("GPUs"), say("jobs"), say("nodes"), say("lot"), say("promise"), say("queue"), say("site"),
        say("tenant"), say("scenario"), say("sum"), say("system"), say("product"), say("power"), say("time"),
        say("cohort"), say("domains"), say("partition"), say("queue, tenant or workload"), say("preemptions"),
        say("workload"), say("projects"), say("country"), say("rule"), say("milestone"), say("times"),
        say("tokens"), say("payer"), say("payer or funding line"), say("funding line"), say("tariff"),
        say("cost"),
    )
}  # fmt: skip
"""What values of a plan are counts and names of, as messages say it."""


def noun(word: str) -> str:
    """A noun of the plan language, such as "queue", so that it is said in the reader's language."""
    return _NOUNS.get(word, word)


_PART_OF: Final = {"queue": "tenants", "lot": "deliveries"}
"""Where names are declared whose part is not called by their plural."""


class UnreadableError(Exception):
    """The value could not be read; its finding is recorded. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value of the plan comes from."""

    at: Place
    text: str = ""  # as written; empty for mappings and lists
    source: str | None = None  # id in `sources`
    trust: str | None = None  # stated, estimate or assumption
    range: tuple[Any, Any] | None = None


@dataclass
class Reader:
    """State of one reading.

    `known` holds the names that references may use, by what they name ("site", "queue", ...).
    """

    root: Path
    zone: ZoneInfo
    start: datetime | None = None  # UTC
    end: datetime | None = None  # UTC
    known: dict[str, Collection[str]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    priorities: dict[str, int] = field(default_factory=dict)  # by name
    site_zones: dict[str, ZoneInfo] = field(default_factory=dict)  # of sites that have one of their own
    broken: set[str] = field(default_factory=set)  # top-level parts whose table could not be read
    spoilt: set[Place] = field(default_factory=set)  # cells of tables that cannot be used, each reported
    findings: list[Finding] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def report(self, code: str, at: Place, says: str, fix: str) -> None:
        """Record an error and go on. The same error of the same place is recorded once."""
        if at in self.spoilt:
            return  # what is wrong there is reported already
        found = finding(code, says, fix, at)
        if found not in self.findings:
            self.findings.append(found)

    def refuse(self, code: str, at: Place, says: str, fix: str) -> UnreadableError:
        """Record an error; raise what it returns to give this value up."""
        self.report(code, at, says, fix)
        return UnreadableError(code)

    def pass_on(self, error: GpufleetError, at: Place) -> UnreadableError:
        """Record what another room found, as found at this place; raise what it returns."""
        for found in error.findings:
            placed = replace(found, at=at)
            if placed not in self.findings:
                self.findings.append(placed)
        return UnreadableError(at)

    def note(self, text: str) -> None:
        """Record something that the reader of the results should know; once."""
        if text not in self.notes:
            self.notes.append(text)

    def name(self, what: str, word: str, at: Place) -> str:
        """A reference to something declared elsewhere in the plan.

        Raises: UnreadableError (P016) if there is no such name.
        """
        names = self.known.get(what, ())
        if word not in names and self.broken & {f"{what}s", _PART_OF.get(what, "")}:
            raise UnreadableError(word)  # the names are not known; that is reported already
        if word not in names:
            raise self.refuse(
                "P016",
                at,
                say("there is no {what} `{word}`", what=noun(what), word=word),
                did_you_mean(word, names),
            )
        return word

    def seconds(self, moment: datetime) -> int:
        """Seconds from the plan's start.

        Raises: UnreadableError if the start itself could not be read (that is reported already).
        """
        if self.start is None:
            raise UnreadableError
        return int((moment - self.start).total_seconds())

    @contextmanager
    def at_site(self, site: object) -> Iterator[None]:
        """Read and show dates in the time zone of a site; of one that is not known, in the plan's."""
        plans = self.zone
        self.zone = self.site_zones.get(site, plans) if isinstance(site, str) else plans
        try:
            yield
        finally:
            self.zone = plans

    def within(self, moment: datetime, at: Place, *, past: bool = False, later: bool = False) -> None:
        """Refuse a date outside the plan's time; `past`: before the start is well, `later`: after the end.

        Raises: UnreadableError (P013)
        """
        if self.start is None or self.end is None:
            return
        local, start, end = (self.local(t) for t in (moment, self.start, self.end))
        if moment < self.start and not past:
            fix = say("use {start} or later, or move `start`", start=start)
            raise self.refuse(
                "P013", at, say("{local} is before the plan's start, {start}", local=local, start=start), fix
            )
        if moment >= self.end and not later:
            fix = say("use a date before {end}, or move `end`", end=end)
            raise self.refuse(
                "P013", at, say("{local} is not before the plan's end, {end}", local=local, end=end), fix
            )

    def local(self, moment: datetime) -> str:
        """A moment in the time zone that dates are read in: the date, and the time if it is not midnight."""
        here = moment.astimezone(self.zone)
        if (here.hour, here.minute, here.second) == (0, 0, 0):
            return say("{at:%Y-%m-%d}", at=here)
        return say("{at:%Y-%m-%d %H:%M:%S}", at=here)

    def file(self, word: str, at: Place) -> Path:
        """A file: a key of `files`, or a path.

        Raises: UnreadableError (P025)
        """
        if word in self.files:
            return self.files[word]
        if word in self.known.get("file", ()):
            raise UnreadableError(word)  # its own finding says what is wrong with it
        return self.path(word, at, self.files)

    def path(self, word: str, at: Place, names: Mapping[str, Path] | None = None) -> Path:
        """An existing file, relative to the plan; from --set, relative to the current folder first.

        Raises: UnreadableError (P025)
        """
        bases = [Path.cwd(), self.root] if at.file.startswith("--set") else [self.root]
        folder = False
        try:
            for base in bases:
                if (base / word).is_file():
                    return (base / word).resolve()
                folder = folder or (base / word).is_dir()
        except (OSError, ValueError):
            says = say("`{word}` cannot be a path", word=word[:80])
            raise self.refuse("P025", at, says, say("write the path of a file")) from None
        tried = (self.root / word).resolve()
        near = nearest(word, [*(names or {}), *_neighbours(tried)])
        if folder:
            raise self.refuse(
                "P025",
                at,
                say("{tried} is a folder; a file is wanted", tried=tried),
                say("name a file in it"),
            )
        fix = (
            say("did you mean `{near}`?", near=near)
            if near
            else say("put the file there, or write where it is")
        )
        raise self.refuse("P025", at, say("there is no file {tried}", tried=tried), fix)


def _neighbours(path: Path) -> list[str]:
    """Names of files beside a path that does not exist; at most a few hundred are looked at."""
    try:
        return [entry.name for _, entry in zip(range(300), path.parent.iterdir(), strict=False)]
    except OSError:
        return []


def under(path: str, key: str) -> str:
    """The path of a key below a path.

    >>> under("", "sites"), under("sites", "lab")
    ('sites', 'sites.lab')
    """
    return f"{path}.{key}" if path else key
