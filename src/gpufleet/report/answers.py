"""The answer on the page: what matters first in large type, then the rest, its numbers with their origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gpufleet.base.say import Said, say, tell
from gpufleet.report.sources import entry_id

if TYPE_CHECKING:
    from markupsafe import Markup

_OF_SUPPLY: Final = {"online": "supply_gpus", "whole": "promised_gpus", "low": "supply_gpus_low",
                     "high": "supply_gpus_high", "gpus": "shortage_gpus"}  # fmt: skip
_OF_JOBS: Final = {"share": "utilisation", "done": "jobs", "total": "jobs", "refused": "refused_jobs",
                   "half": "wait_p50_s", "long": "wait_p90_s"}  # fmt: skip
"""Measures behind the values of the answer, by the names that its sentences give them."""


class Answer(NamedTuple):
    """The answer in two parts, and the texts in it that open an entry."""

    first: str
    rest: str
    links: tuple[tuple[str, str], ...]  # text, id


def answered(answer: str, ids: set[str]) -> Answer:
    """The parts of a run's answer.

    Args: ids: entries that the page has.

    >>> said = say("{parts:; }", parts=[say("{share} busy", share="19 %"), "2 jobs"])
    >>> answered(said, {"number-utilisation"})
    Answer(first='19 % busy; 2 jobs', rest='', links=(('19 %', 'number-utilisation'),))
    """
    values = answer.values if isinstance(answer, Said) else {}
    supply, parts = values.get("supply"), list(values.get("parts", ()))
    links = [(text, entry_id(name)) for part in (supply, *parts) for text, name in _numbers(part)]
    known = tuple(link for link in links if link[1] in ids)
    if supply:
        return Answer(tell(supply), say("{parts:; }", parts=parts), known)
    return Answer(answer, "", known)


def _values(text: Any) -> dict[str, Any]:
    """All values of a text and of the texts in it, by name; the outermost of a name."""
    found: dict[str, Any] = {}
    if isinstance(text, list | tuple):
        for each in text:
            found = _values(each) | found
    if isinstance(text, Said):
        found = dict(text.values)
        for value in text.values.values():
            found = _values(value) | found
    return found


def _numbers(part: Any) -> Iterator[tuple[str, str]]:
    """Texts of a part that are a measure's value, with the measure."""
    values = _values(part)
    names: Mapping[str, str] = _OF_SUPPLY if {"online", "whole"} <= values.keys() else _OF_JOBS
    for name, measure in names.items():
        value = values.get(name)
        if isinstance(value, int):
            yield f"{value:,}", measure
        elif isinstance(value, str):
            yield tell(value), measure


def linked(text: Markup, links: Sequence[tuple[str, str]]) -> Markup:
    """HTML in which the first mention of each text opens its entry.

    >>> from markupsafe import Markup
    >>> print(linked(Markup("8 of 80 jobs"), [("80", "number-jobs")]))
    8 of <a href="#number-jobs">80</a> jobs
    """
    from markupsafe import Markup, escape

    html = str(text)
    found: list[str] = []
    for words, to in links:
        alone = rf"(?<![\d,.\x00]){re.escape(str(escape(words)))}(?![\d\x00]|[,.]\d)"
        html, known = re.subn(alone, f"\x00{len(found)}\x00", html, count=1)
        if known:
            found.append(f'<a href="#{escape(to)}">{escape(words)}</a>')
    return Markup(re.sub("\x00(\\d+)\x00", lambda mark: found[int(mark[1])], html))
