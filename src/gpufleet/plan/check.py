"""The registry of checks. A check looks at a plan that can be read: what cannot be meant is an error,
what can be meant but hurts is a warning. The checks of this room are in `plan.warnings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from textwrap import dedent
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from gpufleet.base.errors import Finding, Severity, complete, explain_code

Function: TypeAlias = Callable[..., Iterable[Finding]]
F = TypeVar("F", bound=Function)


class Check(NamedTuple):
    """A registered check, what its findings are, and what it looks at."""

    function: Function
    severity: Severity
    needs: str


checks: Final[dict[str, Check]] = {}
"""Checks by code."""


def check(code: str, title: str, *, severity: Severity = "warning", needs: str = "plan") -> Callable[[F], F]:
    """Register a check. It yields `Finding(at=..., says=..., fix=...)`; code, title and severity are added.

    Its docstring is what `gpufleet explain CODE` says; what follows ``Example::`` is the example.

    Args:   needs: what it is called with. "plan" runs whenever a plan is loaded; a room that knows more than
            the plan takes a word of its own, and runs its checks itself.
    """

    def register(function: F) -> F:
        why, _, example = (function.__doc__ or "").partition("Example::")
        explain_code(code, title, " ".join(why.split()), dedent(example.strip("\n")).strip())
        checks[code] = Check(function, severity, needs)
        return function

    return register


def run_checks(subject: Any, needs: str = "plan") -> Iterator[Finding]:
    """The findings of all checks that look at such a subject, in the order of their codes."""
    for code, (function, severity, wants) in sorted(checks.items()):
        if wants == needs:
            for found in function(subject):
                yield complete(found, code, severity)
