"""Case files: questions about quota with, perhaps, the answer that is expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gpufleet.base.errors import Finding, GpufleetError, did_you_mean, finding
from gpufleet.base.say import Said, say
from gpufleet.exchange import codes as _codes  # noqa: F401 - registers what the codes mean
from gpufleet.exchange.checks import Fault, faults, plain
from gpufleet.exchange.forms import FORMAT, SUITES, AnyCase
from gpufleet.exchange.json_text import JsonFile, Step

_KINDS: Final[dict[str, Said]] = {
    "string": say("text"),
    "int": say("a whole number"),
    "bool": say("true or false"),
    "list": say("a list"),
    "dict": say("an object"),
    "model": say("an object"),
    "number": say("a number"),
    "none_required": say("null"),
}
"""What is wanted, by how pydantic's type of an error begins."""
_FILE: Final = say("the file")
_BOUNDS: Final[dict[str, Said]] = {
    "too_fine": say("a number up to 1e18 with at most 18 decimals"),
    "negative": say("zero or more"),
    "string_too_short": say("at least one letter"),
    "too_short": say("at least one"),
}


@dataclass(frozen=True)
class CaseFile:
    """The cases of a file, in its order, and warnings about them."""

    path: Path
    cases: tuple[AnyCase, ...]
    warnings: tuple[Finding, ...] = ()


def load_cases(path: str | Path) -> CaseFile:
    """Read and check a case file.

    Raises: GpufleetError with everything that is wrong with the file (X001 to X012).

    >>> load_cases("no-such-file.json")
    Traceback (most recent call last):
    gpufleet.base.errors.GpufleetError: no-such-file.json  error X001  the case file cannot be read
      there is no such file
      fix: name a JSON file of cases        more: gpufleet explain X001
    """
    file = JsonFile(Path(path))
    read: list[AnyCase] = []
    found: list[Finding] = []
    for fault in _top(file.data):
        found.append(_finding(file, (), fault))
    for at, data in enumerate(_cases(file.data)):
        case, wrong = _case(data)
        if case is not None:
            read.append(case)
        found += [_finding(file, ("cases", at), fault) for fault in wrong]
    found.sort(key=lambda each: each.at.line if each.at else 0)
    if any(each.severity == "error" for each in found):
        raise GpufleetError(*found)
    return CaseFile(Path(path), tuple(read), tuple(found))


def _finding(file: JsonFile, path: tuple[Step, ...], fault: Fault) -> Finding:
    at = file.place((*path, *fault.path))
    return finding(fault.code, fault.says, fault.fix, at, severity=fault.severity)


def _cases(data: Any) -> list[Any]:
    cases = data.get("cases") if isinstance(data, dict) else None
    return cases if isinstance(cases, list) else []


def _top(data: Any) -> Iterator[Fault]:
    """Faults of the file around its cases."""
    if not isinstance(data, dict):
        yield _other_kind((), data, _KINDS["dict"])
        return
    keys = ("format", "cases")
    for key in data:
        if key not in keys:
            yield Fault("X005", (key,), say("`{key}`", key=key), did_you_mean(key, keys))
    if data.get("format") != FORMAT:
        says = say("the format is {format}", format=_shown(data.get("format")))
        yield Fault("X004", ("format",), says, say("write `{text}`", text=f'"format": "{FORMAT}"'))
    if not isinstance(data.get("cases"), list):
        yield _other_kind(("cases",), data.get("cases"), _KINDS["list"])
    seen: set[str] = set()
    for at, case in enumerate(_cases(data)):
        name = case.get("id") if isinstance(case, dict) else None
        if isinstance(name, str):
            if name in seen:
                says = say("`{name}` stands here a second time", name=name)
                yield Fault("X010", ("cases", at, "id"), says, say("give one another name"))
            seen.add(name)


def _case(data: Any) -> tuple[AnyCase | None, list[Fault]]:
    if not isinstance(data, dict):
        return None, [_other_kind((), data, _KINDS["dict"], say("a case"))]
    suite = data.get("suite")
    form = SUITES.get(suite) if isinstance(suite, str) else None
    if form is None:
        fix = did_you_mean(suite if isinstance(suite, str) else "", SUITES)
        return None, [Fault("X004", ("suite",), say("the suite is {suite}", suite=_shown(suite)), fix)]
    try:
        case = form.model_validate(data)
    except ValidationError as error:
        return None, [_fault(each, form) for each in error.errors(include_url=False)]
    return case, faults(case)


def _fault(error: Any, form: type[BaseModel]) -> Fault:
    """What pydantic found, in our words."""
    path = tuple(step for step in error["loc"] if step != "[key]")
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return Fault("X005", path, say("`{key}`", key=key), did_you_mean(key, _keys(form, path[:-1])))
    if kind == "missing":
        return Fault("X006", path, say("`{key}` is not there", key=key), say("add `{key}`", key=key))
    if kind == "literal_error":
        wanted = say("write {expected}", expected=str(context["expected"]))
        return Fault("X007", path, say("`{key}` is {value}", key=key, value=_shown(value)), wanted)
    says = say("`{key}` is {value}", key=key, value=_shown(value))
    bound = _bound(kind, context)
    if bound is not None:
        return Fault("X008", path, says, say("write {expected}", expected=bound))
    return _other_kind(path, value, _KINDS.get(kind.removesuffix("_type"), _KINDS["dict"]))


def _bound(kind: str, context: Any) -> Said | None:
    """What may stand there, for an error about how large or how many; None for other errors."""
    if kind in _BOUNDS:
        return _BOUNDS[kind]
    if kind == "greater_than_equal":
        return say("{limit:,} or more", limit=context["ge"])
    if kind == "less_than":
        return say("less than {limit:,}", limit=context["lt"])
    if kind == "less_than_equal":
        return say("at most {limit:,}", limit=context["le"])
    if kind == "too_long":
        return say("at most {limit:,}", limit=context["max_length"])
    return None


def _keys(form: type[BaseModel], path: tuple[Step, ...]) -> list[str]:
    """The keys of the object that stands at a path below a form."""
    inner: list[type[BaseModel]] = [form]
    for step in path:
        if isinstance(step, str):
            fields = [each.model_fields[step].annotation for each in inner if step in each.model_fields]
            inner = [made for annotation in fields for made in _forms(annotation)] or inner
    return [name for each in inner for name in each.model_fields]


def _forms(annotation: Any) -> Iterator[type[BaseModel]]:
    """The forms that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _forms(argument)


def _other_kind(path: Sequence[Step], value: Any, wanted: str, what: str = _FILE) -> Fault:
    key = f"`{path[-1]}`" if path else what
    says = say("{key} is {value}", key=key, value=_shown(value))
    return Fault("X007", tuple(path), says, say("write {expected}", expected=wanted))


def _shown(value: Any) -> str:
    """A value for a message, short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 30:
        return plain(value)
    if isinstance(value, int | Decimal):
        return str(value)[:40]
    if isinstance(value, str):
        return f"`{value[:40]}`"
    if value == []:
        return say("an empty list")
    return _KINDS["list" if isinstance(value, list) else "dict"]
