"""Profiles of demand: those that ship with gpufleet, and any file that `gpufleet profile` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from gpufleet.base.errors import GpufleetError, Place, did_you_mean, explain_code, finding
from gpufleet.base.say import say
from gpufleet.catalog.profile import Arrivals, Limits, Profile, Quantiles, Size, Users
from gpufleet.catalog.profile_file import read_profile
from gpufleet.catalog.rows import FOLDER, Row

__all__ = [
    "Arrivals",
    "Limits",
    "Profile",
    "ProfileRow",
    "Quantiles",
    "Size",
    "Users",
    "load_profile",
    "profile_names",
    "profiles",
]

NO_PROFILE: Final = explain_code(
    "C010",
    "no such profile",
    "A profile is one of those that ship with gpufleet (`gpufleet catalog profiles`), or a JSON file that "
    "`gpufleet profile TRACE` wrote.",
    "profile: phily      # did you mean `philly`?",
).code

_SHIPPED: Final = FOLDER / "profiles"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRow(Row):
    """One profile that ships with gpufleet, without its distributions."""

    file: ClassVar[str] = "catalog/profiles"
    title: str
    jobs: int
    weeks: float
    mean_gpus: float
    mean_run_s: float
    mean_gpu_s: float
    source: str
    license: str
    made_by: str
    trust: str


@cache
def profiles() -> Mapping[str, ProfileRow]:
    """The profiles that ship with gpufleet, by name.

    >>> profiles()["philly"].license
    'CC BY 4.0'
    """
    columns = [name for name in ProfileRow.__slots__ if name not in ("id", "line")]
    return MappingProxyType(
        {
            name: ProfileRow(id=name, line=1, **{each: getattr(_shipped(name), each) for each in columns})
            for name in profile_names()
        }
    )


@cache
def profile_names() -> tuple[str, ...]:
    """Names of the profiles that ship with gpufleet.

    >>> "philly" in profile_names()
    True
    """
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.json")))


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile by its name, if it ships with gpufleet, or from a JSON file.

    Raises: GpufleetError C010 (neither a name nor a file), C011 to C014 (what is wrong in the file: every
            finding at once, with line and key).

    >>> philly = load_profile("philly")
    >>> philly.sizes[0].gpus, len(philly.arrivals.hour_of_week)
    (1, 168)
    """
    if isinstance(name_or_path, str) and name_or_path in profile_names():
        return _shipped(name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        says = say(
            "`{name}` is neither a profile that ships with gpufleet nor a file", name=str(name_or_path)
        )
        if path.exists():
            says = say("{name} is no file", name=str(name_or_path))
        fix = did_you_mean(str(name_or_path), profile_names())
        raise GpufleetError(finding(NO_PROFILE, says, fix, Place(str(path), 0)))
    return read_profile(path)


@cache
def _shipped(name: str) -> Profile:
    return read_profile(_SHIPPED / f"{name}.json")
