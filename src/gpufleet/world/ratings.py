"""Systems whose rated power is not known. Kept apart from the arrays: `gpufleet check` must start at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gpufleet.base.errors import Finding, explain_code, finding

if TYPE_CHECKING:
    from gpufleet.plan import Plan

UNKNOWN_RATING: Final = explain_code(
    "P060",
    "power of a system is not known",
    "A site with limited power brings units online while their rated power fits. A system without a rating "
    "cannot be counted: it is taken as 0 W, so more of it comes online than the site may be able to feed.",
    "systems:\n  my-node: {product: B200, gpus_per_node: 8, node_power: 14.3 kW}    # the rating helps",
).code


def unknown_ratings(plan: Plan) -> Iterator[Finding]:
    """One warning for each system that comes to a site of limited power without a rating."""
    seen = set()
    for d in plan.deliveries:
        unknown = plan.systems[d.system].rated_node_w is None
        if not unknown or not plan.sites[d.to].power_w or (d.to, d.system) in seen:
            continue
        seen.add((d.to, d.system))
        yield finding(
            UNKNOWN_RATING,
            f"no rated power is known for {d.system}; at {d.to} it counts as 0 W",
            f"declare it under `systems:` with node_power, or remove the power limit of {d.to}",
            d.line,
            severity="warning",
        )
