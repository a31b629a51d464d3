"""Systems whose rated power is not known, where power is limited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan
    from gpufleet.plan.supply import System


@check("P060", "power of a system is not known", severity="error")
def unknown_ratings(plan: Plan) -> Iterator[Finding]:
    """A site with limited power brings units online while their rated power fits. A system without a rating
    cannot be counted, and nothing is assumed in its place.

    Example::

        sites:      {lab: {power: 100 kW, pue: 1.3}}
        deliveries: [{to: lab, system: HGX B200, gpus: 8, ...}]     # the catalogue has no power for it
    """
    seen = set()
    for d in plan.deliveries:
        system = plan.systems[d.system]
        if system.rated_node_w is not None or not plan.sites[d.to].power_w or (d.to, d.system) in seen:
            continue
        seen.add((d.to, d.system))
        own = f"systems.{d.system}" in plan.origins
        declare = (
            say("add `node_power` to systems.{system}", system=d.system)
            if own
            else say("declare an own system with `node_power`")
        )
        rated = _rated_systems(system)
        fix = (
            say("{declare}, or use a system whose rating is known ({rated})", declare=declare, rated=rated)
            if rated
            else declare
        )
        yield Finding(
            at=d.line,
            says=say(
                "no rated power is known for {system}, and {to} has limited power to count it against",
                system=d.system,
                to=d.to,
            ),
            fix=fix,
        )


def _rated_systems(system: System) -> str:
    """Systems of the catalogue with the same GPU whose power is known."""
    from gpufleet.catalog.load import systems

    return ", ".join(
        name
        for name, row in systems().items()
        if row.product == system.product and (row.node_power_max_w or row.rack_power_kw)
    )
