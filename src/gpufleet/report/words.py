"""Words and numbers as a reader sees them: causes, states, durations, counts. No colours, no layout."""

from __future__ import annotations

import re
from typing import Final

from gpufleet.base.units import format_duration
from gpufleet.results.columns import WORDS

ROOT_TITLES: Final = {
    "no_free": "for a free GPU",
    "own_quota": "for the queue's own quota",
    "not_online": "for GPUs that are not online",
    "fragmented": "for free GPUs that lie together",
    "between_passes": "for the next scheduling pass",
    "beyond_depth": "beyond the search depth of backfill",
}
"""Root causes as they end the sentence "72 % of the waiting is ...", in the order of charts and legends."""

STATES: Final = {
    "done": "finished",
    "killed": "killed at its time limit",
    "refused": "refused for ever",
    "running": "still running at the end",
    "waiting": "still waiting at the end",
}


def root_name(code: str) -> str:
    """Reader's word for a root cause.

    >>> root_name("no_free"), root_name("licence_missing")
    ('no free GPUs', 'licence missing')
    """
    return WORDS.get(code, code.replace("_", " "))


def short(value: float) -> str:
    """Three significant digits, thousands separated, never an exponent.

    >>> [short(v) for v in (143217, 51.234, 0.04567, 0, 7)]
    ['143,000', '51.2', '0.0457', '0', '7']
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100 or rounded == int(rounded):
        return f"{rounded:,.0f}"
    return f"{rounded:,.6f}".rstrip("0")


def percent(share: float) -> str:
    """Share of one as percent; a trace of something is never shown as nothing.

    >>> [percent(v) for v in (0.7234, 0.0004, 0.9997, 1.0, 0.0, 0.064)]
    ['72 %', '<0.1 %', '>99.9 %', '100 %', '0 %', '6.4 %']
    """
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.9 < value < 100:
        return ">99.9 %"
    if 0 < value < 10 or 99 < value < 100:
        return f"{value:.1f} %"
    return f"{value:.0f} %"


def duration(seconds: float | None) -> str:
    """Duration in its two largest units; one that does not exist is a dash.

    >>> duration(8280), duration(0), duration(None)
    ('2 h 18 min', '0 s', '–')
    """
    return "–" if seconds is None else format_duration(seconds)


def plural(number: float, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "job"), plural(12960, "job"), plural(2, "entry", "entries")
    ('1 job', '12,960 jobs', '2 entries')
    """
    noun = one if round(number) == 1 else many or one + "s"
    return f"{number:,.0f} {noun}"


_SCRIPTS: Final = (
    ("ko", re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")),
    ("ja", re.compile("[\u3040-\u30ff]")),
)


def language(text: str) -> str:
    """Language tag that the script of a name gives away, or "" when it does not.

    >>> language("서울 연구소"), language("さくら"), language("lab-1")
    ('ko', 'ja', '')
    """
    return next((tag for tag, script in _SCRIPTS if script.search(text)), "")
