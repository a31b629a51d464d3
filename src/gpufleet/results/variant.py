"""What was asked of a plan beside the file itself: scenarios and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpufleet.base.say import Said, say


def variant(lock: Mapping[str, Any]) -> Said | None:
    """The scenarios and overrides of a run; None if it is the plan as written.

    Args: lock: plan.lock.yaml as read.

    >>> variant({"asked": {"scenarios": {"late": "A week late", "more": None}, "overrides": []}})
    'scenario late: A week late; more'
    >>> variant({"asked": {"scenarios": {}, "overrides": ["seed=2"]}}), variant({})
    ('changed by --set: seed=2', None)
    """
    asked = lock.get("asked") or {}
    names = [
        say("{name}: {title}", name=name, title=title) if title else name
        for name, title in (asked.get("scenarios") or {}).items()
    ]
    sets = asked.get("overrides") or []
    if names and sets:
        return say("scenario {names:; }; changed by --set: {sets:; }", names=names, sets=sets)
    if names:
        return say("scenario {names:; }", names=names)
    return say("changed by --set: {sets:; }", sets=sets) if sets else None
