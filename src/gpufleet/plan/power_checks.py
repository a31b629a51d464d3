"""Checks of power: what can never be, and what has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding, did_you_mean
from gpufleet.base.say import say
from gpufleet.plan.check import check
from gpufleet.plan.power import kinds_of

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan

MW = 1e6


@check("P260", "a key of power without the section `power`", severity="error")
def power_without_section(plan: Plan) -> Iterator[Finding]:
    """Curtailments, overhead, carbon and kinds of work count only where power is metered: with `power:`.

    Example::

        sites: {lab: {curtailments: [...], ...}}      # and no `power: {}` beside `sites:`
    """
    if plan.power is not None:
        return
    keys = {key: key for key in ("curtailments", "carbon_g_per_kwh", "on_cap", "curve", "gpu_caps")}
    keys["overhead"] = "overhead_w"
    paths = [f"sites.{name}.{key}" for name, site in plan.sites.items()
             for key, field in keys.items() if getattr(site, field) not in ((), {}, 0, "hold")]  # fmt: skip
    paths += [f"workloads.{name}.power" for name, workload in plan.workloads.items() if workload.power]
    for path in paths:
        says = say("`{path}` counts only with a section `power`, and the plan has none", path=path)
        yield Finding(at=plan.line(path), says=says, fix=say("add `power: {}` to the plan, or leave it out"))


@check("P261", "curtailments that overlap", severity="error")
def curtailments_overlap(plan: Plan) -> Iterator[Finding]:
    """At one time a site has one curtailment at most.

    Example::

        curtailments: [{from: 2026-07-01, until: 2026-07-03, power: 1 MW},
                       {from: 2026-07-02, until: 2026-07-04, power: 2 MW}]
    """
    for name, site in plan.sites.items():
        for before, after in pairwise(sorted(site.curtailments, key=lambda call: call.from_)):
            if after.from_ < before.until:
                says = say(
                    "curtailments of {site} overlap: one ends at {until:%Y-%m-%d %H:%M}, the next begins at "
                    "{begins:%Y-%m-%d %H:%M}",
                    site=name,
                    until=plan.local(before.until, name),
                    begins=plan.local(after.from_, name),
                )
                yield Finding(at=after.line, says=says, fix=say("end the first before the next begins"))


@check("P262", "a kind of work that is not known", severity="error")
def unknown_kind(plan: Plan) -> Iterator[Finding]:
    """A workload's `power`, `power.default` and `power.steady` name a kind of work, of `power.kinds` or of
    the catalogue.

    Example::

        workloads: {llm: {power: trainig, ...}}
    """
    if plan.power is None:
        return
    named = {"power.default": plan.power.default}
    named |= {f"workloads.{name}.power": w.power for name, w in plan.workloads.items() if w.power}
    steady = [("power.steady", kind) for kind in plan.power.steady]
    for path, kind in (*named.items(), *steady):
        if plan.power.share(kind) is None:
            says = say("`{kind}` is no kind of work", kind=kind)
            fix = did_you_mean(kind, plan.power.names, limit=20)
            yield Finding(at=plan.line(path) or plan.line("power"), says=says, fix=fix)


@check("P263", "work that draws less than nothing running", severity="error")
def idle_above_work(plan: Plan) -> Iterator[Finding]:
    """A GPU that a job holds draws at least what a free one draws.

    Example::

        power: {idle: 0.5, kinds: {light: 0.3}}
    """
    for kind in kinds_of(plan) if plan.power else ():
        share = plan.power.share(kind) if plan.power else None
        if plan.power and share is not None and share < plan.power.idle_share:
            says = say(
                "work of the kind {kind} draws {share:.1%} of rated power, free GPUs draw {idle:.1%}",
                kind=kind,
                share=share,
                idle=plan.power.idle_share,
            )
            fix = say("lower `power.idle`, or raise the share of {kind}", kind=kind)
            yield Finding(at=plan.line(f"power.kinds.{kind}"), says=says, fix=fix)


@check("P264", "a system without a rated power", severity="error")
def no_rating(plan: Plan) -> Iterator[Finding]:
    """What jobs draw is a share of rated power: with `power:` every system that is delivered needs one.

    Example::

        systems: {box: {product: H20, gpus_per_node: 8}}      # add `node_power`
    """
    if plan.power is None:
        return
    for name in dict.fromkeys(d.system for d in plan.deliveries):
        if plan.systems[name].rated_node_w is None:
            says = say("no rated power of {system} is known", system=name)
            fix = say("declare the system under `systems` with a `node_power`")
            yield Finding(at=plan.systems[name].line, says=says, fix=fix)


@check("P266", "overhead takes all of a site's power", severity="error")
def overhead_takes_all(plan: Plan) -> Iterator[Finding]:
    """The constant overhead of a site is drawn before anything runs.

    Example::

        sites: {lab: {power: 1 MW, pue: 1.2, overhead: 1 MW}}
    """
    for name, site in plan.sites.items():
        most = max((watts for _, watts in site.power_w), default=None)
        if most is not None and 0 < most <= site.overhead_w:
            says = say(
                "the overhead of {site} is {overhead:.3f} MW; its power is {power:.3f} MW at most",
                site=name,
                overhead=site.overhead_w / MW,
                power=most / MW,
            )
            yield Finding(
                at=plan.line(f"sites.{name}.overhead"), says=says, fix=say("correct one of the two")
            )


@check("P267", "a cap below the idle power")
def cap_below_idle(plan: Plan) -> Iterator[Finding]:
    """What is in service draws its idle power whatever runs: under a cap below that no job starts.

    Example::

        curtailments: [{from: 2026-07-01, until: 2026-07-02, power: 1 kW}]
    """
    if plan.power is None:
        return
    for name, site in plan.sites.items():
        calls = [(plan.seconds(call.from_), call.power_w, call.line) for call in site.curtailments]
        line = plan.line(f"sites.{name}.power")
        steps = [(at, watts, line) for at, watts in site.power_w] if plan.power.counts == "measured" else []
        for at, watts, where in [*calls, *steps]:
            idle = _idle_w(plan, name, at)
            if idle > 0 and watts < idle:
                says = say(
                    "{site} may draw {cap:.3f} MW from {day:%Y-%m-%d} on; what is delivered by then draws "
                    "{idle:.3f} MW with nothing running",
                    site=name,
                    cap=watts / MW,
                    day=plan.local(max(at, 0), name),
                    idle=idle / MW,
                )
                yield Finding(at=where, says=says, fix=say("raise the cap, or deliver later"))


def _idle_w(plan: Plan, name: str, at_s: int) -> float:
    """Power from the grid of what is delivered to a site by then, with nothing running, W."""
    assert plan.power is not None
    site, rated = plan.sites[name], 0.0
    for lot in plan.deliveries:
        system = plan.systems[lot.system]
        if lot.to == name and plan.seconds(lot.at) <= at_s:
            rated += lot.gpus * (system.rated_node_w or 0.0) / system.gpus_per_node
    for gone in plan.retirements:
        system = plan.systems[gone.system]
        if gone.from_ == name and plan.seconds(gone.at) <= at_s:
            rated -= gone.gpus * (system.rated_node_w or 0.0) / system.gpus_per_node
    return max(0.0, rated) * plan.power.idle_share * site.pue + site.overhead_w


@check("P268", "a curtailment that takes nothing")
def curtailment_above(plan: Plan) -> Iterator[Finding]:
    """A curtailment is below the power that the site has at that time.

    Example::

        sites: {lab: {power: 1 MW, curtailments: [{from: 2026-07-01, until: 2026-07-02, power: 2 MW}]}}
    """
    for name, site in plan.sites.items():
        for call in site.curtailments:
            has = site.power_at(plan.seconds(call.from_))
            if call.power_w >= has:
                says = say(
                    "a curtailment of {site} to {cap:.3f} MW: its power is {has:.3f} MW then",
                    site=name,
                    cap=call.power_w / MW,
                    has=has / MW,
                )
                yield Finding(at=call.line, says=says, fix=say("lower it, or leave it out"))


@check("P274", "carbon that is not known from the start")
def carbon_gap(plan: Plan) -> Iterator[Finding]:
    """The carbon of a site's energy is shown where its intensity is known in all of the plan's time.

    Example::

        start: 2026-01-01
        sites: {lab: {carbon_g_per_kwh: [{from: 2026-02-01, value: 400}]}}
    """
    for name, site in plan.sites.items() if plan.power else ():
        if site.carbon_g_per_kwh and site.carbon_g_per_kwh[0][0] > 0:
            day = plan.local(site.carbon_g_per_kwh[0][0], name)
            says = say(
                "the carbon intensity of {site} is known from {day:%Y-%m-%d} on only", site=name, day=day
            )
            fix = say("add a step from the plan's start; without it no carbon of the site is summed")
            yield Finding(at=plan.line(f"sites.{name}.carbon_g_per_kwh"), says=says, fix=fix)
