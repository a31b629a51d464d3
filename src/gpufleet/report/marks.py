"""How a thing is marked: one Okabe-Ito colour and one pattern per tenant, greys and one accent for causes.

Colours are CSS variables (assets/page.css holds their light and dark values), so that charts follow the
reader's theme and print without being drawn again. A fill is a pattern in the page (``url(#fill-…)``): colour
is never alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gpufleet.report.words import root_name

MAX_COLOURS: Final = 6
"""Tenants that get a colour of their own: Okabe-Ito without black (text) and vermillion (shortage)."""

HATCHES: Final = ("plain", "slash", "dots", "backslash", "cross", "bars", "grid")

_CAUSE_STYLES: Final = {
    "no_free": ("accent", "plain"),
    "not_online": ("accent", "cross"),
    "own_quota": ("grey-1", "plain"),
    "cohort": ("grey-1", "slash"),
    "fragmented": ("grey-2", "slash"),
    "topology": ("grey-2", "cross"),
    "returning": ("grey-3", "slash"),
    "limit": ("grey-1", "dots"),
    "power": ("accent", "dots"),
    "between_passes": ("grey-3", "plain"),
    "beyond_depth": ("grey-3", "dots"),
}


@dataclass(frozen=True)
class Mark:
    """How one thing is drawn everywhere on the page.

    >>> Mark("vision", "tenant-1", "slash").fill
    'url(#fill-tenant-1-slash)'
    """

    name: str
    colour: str
    hatch: str

    @property
    def fill(self) -> str:
        """Paint of an area: colour with its pattern."""
        return f"url(#{self.pattern})"

    @property
    def pattern(self) -> str:
        """Id of the pattern in the page."""
        return f"fill-{self.colour}-{self.hatch}"

    @property
    def stroke(self) -> str:
        """Paint of a line or point."""
        return f"var(--{self.colour})"


def tenant_marks(tenants: Sequence[str]) -> dict[str, Mark]:
    """One mark per tenant. Tenants come largest first; those beyond the sixth share one grey.

    >>> [m.colour for m in tenant_marks(["a", "b"]).values()]
    ['tenant-0', 'tenant-1']
    >>> tenant_marks(list("abcdefgh"))["h"]
    Mark(name='h', colour='grey-2', hatch='slash')
    """
    return {
        name: Mark(name, f"tenant-{i}", HATCHES[i]) if i < MAX_COLOURS else Mark(name, "grey-2", "slash")
        for i, name in enumerate(tenants)
    }


def cause_mark(code: str) -> Mark:
    """The mark of a root cause: the accent for shortage of GPUs, greys for the rest.

    >>> cause_mark("no_free").stroke
    'var(--accent)'
    """
    colour, hatch = _CAUSE_STYLES.get(code, ("grey-2", "grid"))
    return Mark(root_name(code), colour, hatch)
