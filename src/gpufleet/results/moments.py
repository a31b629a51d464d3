"""Moments of a run as people read them."""

from __future__ import annotations

from datetime import datetime

from gpufleet.base.say import Said, say


def when(at: datetime) -> Said:
    """A moment: the date, and the time if it is not midnight.

    >>> when(datetime(2026, 3, 1)), when(datetime(2026, 3, 1, 9, 30)), when(datetime(2026, 3, 1, 9, 30, 5))
    ('2026-03-01', '2026-03-01 09:30', '2026-03-01 09:30:05')
    """
    if at.second:
        return say("{at:%Y-%m-%d %H:%M:%S}", at=at)
    if at.hour or at.minute:
        return say("{at:%Y-%m-%d %H:%M}", at=at)
    return say("{at}", at=at.date())


def spoken_day(text: str) -> str:
    """A local moment that is stored as text, in the language that is being spoken.

    >>> spoken_day("2026-03-01 00:00"), spoken_day("2026-03-01"), spoken_day("")
    ('2026-03-01 00:00', '2026-03-01', '')
    """
    if not text:
        return ""
    at = datetime.fromisoformat(text)
    return say("{at:%Y-%m-%d %H:%M}", at=at) if len(text) == 16 else when(at)
