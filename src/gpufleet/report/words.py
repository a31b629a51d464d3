"""Words and numbers as a reader sees them: causes, states, durations, counts. No colours, no layout."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from gpufleet.base.say import Said, say, tell
from gpufleet.base.units import format_duration
from gpufleet.results.columns import WORDS
from gpufleet.results.measure_words import percent as percent

ROOT_TITLES: Final = {
    "no_free": say("for a free GPU"),
    "own_quota": say("for the queue's own quota"),
    "cohort": say("for quota that its cohort can lend"),
    "not_online": say("for GPUs that are not online"),
    "fragmented": say("for free GPUs that lie together"),
    "reservation": say("for nodes that are reserved"),
    "topology": say("for a domain or block with room"),
    "returning": say("for the return after a preemption"),
    "limit": say("for room within the limit of a user, project or array"),
    "power": say("for power under the cap of a site"),
    "between_passes": say("for the next scheduling pass"),
    "beyond_depth": say("beyond the search depth of backfill"),
}
"""Root causes as they end the sentence "72 % of the waiting is ...", in the order of charts and legends."""

STATES: Final = {
    "done": say("finished"),
    "killed": say("killed at its time limit"),
    "refused": say("refused for ever"),
    "running": say("still running at the end"),
    "waiting": say("still waiting at the end"),
}
"""How a run left a job. What a module holds is English: `tell` says it in the reader's language."""


def root_title(code: str) -> str:
    """A root cause as it ends the sentence "72 % of the waiting is ...".

    >>> root_title("no_free"), root_title("licence_missing")
    ('for a free GPU', 'for licence missing')
    """
    known = ROOT_TITLES.get(code)
    return tell(known) if known else say("for {cause}", cause=root_name(code))


def root_name(code: str) -> str:
    """Reader's word for a root cause.

    >>> root_name("no_free"), root_name("licence_missing")
    ('no free GPUs', 'licence missing')
    """
    return str(tell(WORDS.get(code, code.replace("_", " "))))


def short(value: float) -> Said:
    """Three significant digits, never an exponent: 143,000, 14.3만, 14.3万.

    >>> [short(v) for v in (143217, 51.234, 0.04567, 0, 7)]
    ['143,000', '51.2', '0.0457', '0', '7']
    """
    return say("{x:short}", x=value)


def month(text: str) -> Said:
    """A month of a table ("2027-03") as people write it: 2027-03, 2027년 3월, 2027年3月.

    >>> month("2027-03")
    '2027-03'
    """
    return say("{at:%Y-%m}", at=date.fromisoformat(f"{text}-01"))


def duration(seconds: float | None) -> str:
    """Duration in its two largest units; one that does not exist is a dash.

    >>> duration(8280), duration(0), duration(None)
    ('2 h 18 min', '0 s', '–')
    """
    return "–" if seconds is None else format_duration(seconds)


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
