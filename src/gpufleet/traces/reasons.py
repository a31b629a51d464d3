"""Why rows of a trace are not used, as people read it.

A reason is plain English text: rows are counted by it, and results store it.
"""

from __future__ import annotations

from typing import Final

from gpufleet.base.say import Said, say, tell

_OF_A_COLUMN: Final = (
    (" is not a time", say("{column} is not a time")),
    (" is too far from the plan's start", say("{column} is too far from the plan's start")),
    (" is not a number", say("{column} is not a number")),
    (" is NaN or infinite", say("{column} is NaN or infinite")),
    (" is negative", say("{column} is negative")),
    (" is zero", say("{column} is zero")),
    (" is not whole", say("{column} is not whole")),
    (" is too large", say("{column} is too large")),
    (" is missing", say("{column} is missing")),
)
_WHOLE: Final = (
    say("duplicate job id"),
    say("submitted before the plan's start"),
    say("submitted at or after the plan's end"),
    say("submitted outside the workload's from and to"),
    say("job step (its job has its own line)"),
    say("cancelled before it started"),
    say("never started"),
    say("asked for no GPU"),
    say("earlier attempt of a requeued job (merged into its last)"),
    say("part of a job that was swapped out (status 2 to 4; the whole job has its own line)"),
    say("cancelled before it started (status 5, no run time)"),
    say("never started (run time -1)"),
)
_KNOWN: Final = {reason.template: reason for reason in _WHOLE}


def reason_said(reason: str) -> str:
    """A reason in the language that is being spoken; one that is not known stays as it is.

    >>> reason_said("gpus is zero"), reason_said("duplicate job id"), reason_said("own")
    ('gpus is zero', 'duplicate job id', 'own')
    """
    if reason in _KNOWN:
        return tell(_KNOWN[reason])
    for ending, template in _OF_A_COLUMN:
        if reason.endswith(ending):
            return _of(template, reason.removesuffix(ending))
    return reason


def _of(template: Said, column: str) -> Said:
    return say(template.template, column=column)
