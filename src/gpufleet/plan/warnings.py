"""What can be meant but hurts: the checks of this room, and remarks that are no findings."""

from __future__ import annotations

from collections.abc import Iterator

from gpufleet.base.errors import Finding
from gpufleet.base.units import format_duration, format_power
from gpufleet.plan.check import check
from gpufleet.plan.plan import Plan
from gpufleet.plan.stock import Stock, cells_over_time, rated_w, site_need_w, stock_over_time, units
from gpufleet.plan.supply import Delivery
from gpufleet.plan.workloads import CampaignWorkload


@check("P017", "delivery lands before its site has power")
def delivery_before_power(plan: Plan) -> Iterator[Finding]:
    """A site feeds rated node power times PUE out of its grid connection. What does not fit stays "delivered,
    not powered" until there is power: whole racks or nodes come online in the order of delivery.

    Example::

        sites:      {lab: {power: 100 kW, pue: 1.3}}
        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]   # 8 x 14.3 kW x 1.3 = 148.7 kW
    """
    by_date = sorted(range(len(plan.deliveries)), key=lambda i: (plan.deliveries[i].at, i))
    stocks = stock_over_time(plan)
    for place, i in enumerate(by_date):
        delivery = plan.deliveries[i]
        site = plan.sites[delivery.to]
        if not site.power_w:
            continue
        t_s = max(0, plan.seconds(delivery.at))
        now = next(stock for stock in reversed(stocks) if stock.from_s <= t_s)
        behind = set(by_date[place + 1 :])
        here = Stock(t_s, tuple(0 if k in behind else gpus for k, gpus in enumerate(now.gpus)))
        own_w = site.pue * rated_w(plan, i, now.gpus[i])
        need_w, have_w = site_need_w(plan, delivery.to, here), site.power_at(t_s)
        if need_w > have_w * (1 + 1e-9) and own_w > 0:
            yield _too_early(plan, delivery, own_w, need_w, have_w)


def _too_early(plan: Plan, delivery: Delivery, own_w: float, need_w: float, have_w: float) -> Finding:
    site, date = delivery.to, f"{plan.local(delivery.at, delivery.to):%Y-%m-%d}"
    others_w = need_w - own_w
    there = f" (with {format_power(others_w)} of what stands there)" if others_w > 1 else ""
    later = [t for t, w in plan.sites[site].power_w if t > plan.seconds(delivery.at) and w >= need_w]
    move = f"move the delivery to {plan.local(min(later), site):%Y-%m-%d}" if later else "move the delivery"
    return Finding(
        at=delivery.line,
        says=f"{delivery.gpus:,} {delivery.system} GPUs ({units(plan, delivery)}) need {format_power(need_w)}"
        f"{there}; {site} has {format_power(have_w)} on {date} ({format_power(need_w - have_w)} short)",
        fix=f"{move}, or raise sites.{site}.power before {date}",
    )


@check("P018", "quota above what ever comes")
def quota_above_supply(plan: Plan) -> Iterator[Finding]:
    """A quota is the most that a queue may hold. One that is larger than all GPUs of that product that its
    tenant can ever use limits nothing.

    Example::

        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]
        tenants:    {research: {quota: {B200: 128}}}
    """
    stocks = stock_over_time(plan)
    products = [plan.systems[d.system].product for d in plan.deliveries]
    for queue in plan.queues.values():
        usable = [d.tenant in (None, queue.tenant) for d in plan.deliveries]
        for product, quota in queue.quota.items():
            mine = [i for i, ok in enumerate(usable) if ok and products[i] == product]
            most = max(sum(stock.gpus[i] for i in mine) for stock in stocks)
            if quota > most:
                ever = (
                    f"at most {most:,} are ever there for it" if most else "none ever comes that it can use"
                )
                yield Finding(
                    at=queue.line,
                    says=f"queue {queue.name} may hold {quota:,} {product}; {ever}",
                    fix=f"lower the quota to {most:,}, or leave {product} out: unlimited",
                )


@check("P019", "campaign larger than the fleet will ever be")
def campaign_too_large(plan: Plan) -> Iterator[Finding]:
    """A job runs on one product at one site, on nodes of one owner, within its queue's quota. One that is
    larger than that will ever be is refused for ever; the run goes on without it.

    Example::

        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]
        workloads:  {big: {kind: campaign, gpus: 128, ...}}
    """
    cells = list(cells_over_time(plan, stock_over_time(plan)))
    for workload in plan.workloads.values():
        if not isinstance(workload, CampaignWorkload):
            continue
        queue = plan.queues[workload.queue]
        accepted = dict(workload.products) or {system.product: 1.0 for system in plan.systems.values()}
        at_s = plan.seconds(workload.at)
        first = max((t for t, _ in cells if t <= at_s), default=0)
        most, why = 0, f"no product that it accepts ever comes for tenant {queue.tenant}"
        for t_s, stock in cells:
            for (site, product, owner, _), gpus in stock.items():
                if t_s < first or product not in accepted or owner not in (None, queue.tenant):
                    continue
                quota = queue.quota.get(product, gpus)
                if min(quota, gpus) > most:
                    most = min(quota, gpus)
                    why = f"the quota of queue {queue.name} is {quota:,} {product}"
                    if gpus <= quota:
                        why = f"the most in one place is {gpus:,} {product} at {site}"
        if workload.gpus > most:
            says = f"{workload.name} wants {workload.gpus:,} GPUs at once; {why}"
            yield Finding(at=workload.line, says=says, fix="make it smaller, or deliver or allow more")


@check("P035", "priority has no effect")
def priority_without_order(plan: Plan) -> Iterator[Finding]:
    """Priorities count only with `policy.order: priority`.

    Example::

        policy:    {order: fifo}
        workloads: {big: {kind: campaign, priority: 10, ...}}
    """
    for name, workload in plan.workloads.items():
        if isinstance(workload, CampaignWorkload) and workload.priority and plan.policy.order != "priority":
            yield Finding(
                at=plan.line(f"workloads.{name}.priority"),
                says=f"{name} has priority {workload.priority}; jobs are ordered by {plan.policy.order}",
                fix="set `policy.order: priority`, or leave `priority` out",
            )


@check("P036", "declared and not used")
def unused(plan: Plan) -> Iterator[Finding]:
    """Nothing in the plan refers to it. Often the sign of a name that was changed in one place only.

    Example::

        files: {trace: jobs.csv, nodes: nodes.csv}     # nothing says `table: nodes`
    """
    words = {o.text for path, o in plan.origins.items() if path.rpartition(".")[2] in ("file", "table")}
    for name in plan.files:
        if name not in words:
            at = plan.line(f"files.{name}")
            yield Finding(at=at, says=f"no `file` or `table` is `{name}`", fix="use it, or delete the line")
    bought = {delivery.system for delivery in plan.deliveries}
    for name in plan.systems:
        if name not in bought and f"systems.{name}" in plan.origins:
            at = plan.line(f"systems.{name}")
            yield Finding(at=at, says=f"no delivery has `system: {name}`", fix="use it, or delete it")


@check("P037", "nothing to simulate")
def nothing_to_simulate(plan: Plan) -> Iterator[Finding]:
    """A plan without deliveries has no GPUs, and one without workloads has no jobs.

    Example::

        deliveries: []
    """
    if not plan.deliveries:
        yield Finding(at=plan.line("deliveries"), says="nothing is ever delivered", fix="add a delivery")
    if not plan.workloads:
        yield Finding(at=plan.line("name"), says="no workload wants to run", fix="add `workloads`")


@check("P038", "campaign is killed at its limit")
def campaign_over_limit(plan: Plan) -> Iterator[Finding]:
    """With `policy.over_limit: kill` a job that runs longer than its time limit is killed there, never done.

    Example::

        workloads: {big: {kind: campaign, duration: 3 d, limit: 2 d, ...}}
    """
    for name, workload in plan.workloads.items():
        if not isinstance(workload, CampaignWorkload) or plan.policy.over_limit != "kill":
            continue
        fastest = max((speed for _, speed in workload.products), default=1.0)
        if 0 < workload.limit_s < workload.duration_s / fastest:
            lasts, limit = format_duration(workload.duration_s / fastest), format_duration(workload.limit_s)
            yield Finding(
                at=plan.line(f"workloads.{name}.limit"),
                says=f"{name} runs {lasts} at best; its limit is {limit}",
                fix="raise the limit, or set `policy.over_limit: run-on`",
            )


@check("P039", "power falls below what stands there")
def power_falls(plan: Plan) -> Iterator[Finding]:
    """A step down of a site's power takes nodes out of service, those that came last first.

    Example::

        sites: {lab: {power: [{from: 2026-01-01, value: 200 kW}, {from: 2026-02-01, value: 50 kW}], pue: 1.3}}
    """
    stocks = stock_over_time(plan)
    for name, site in plan.sites.items():
        for i, (t_s, have_w) in enumerate(site.power_w):
            now = next((stock for stock in reversed(stocks) if stock.from_s < t_s), None)
            if now is None or i == 0:
                continue
            need_w = site_need_w(plan, name, now)
            if have_w < need_w <= site.power_w[i - 1][1]:
                says = (
                    f"what stands at {name} needs {format_power(need_w)}; it has {format_power(have_w)} from "
                )
                says += f"{plan.local(t_s, name):%Y-%m-%d} ({format_power(need_w - have_w)} short)"
                fix = f"keep the power, or retire nodes before {plan.local(t_s, name):%Y-%m-%d}"
                yield Finding(at=plan.line(f"sites.{name}.power.{i}"), says=says, fix=fix)


def remarks(plan: Plan) -> Iterator[str]:
    """What the reader of the results should know: partial racks, and pledges that are counted."""
    for delivery in plan.deliveries:
        system = plan.systems[delivery.system]
        if delivery.gpus % system.gpus_per_domain:
            yield f"{delivery.name}: {delivery.gpus:,} {delivery.system} GPUs are {units(plan, delivery)}"
    pledged = [delivery for delivery in plan.deliveries if delivery.status == "pledged"]
    if pledged:
        gpus = sum(delivery.gpus for delivery in pledged)
        names = ", ".join(delivery.name for delivery in pledged[:5]) + (", ..." if len(pledged) > 5 else "")
        yield f"{gpus:,} GPUs are only pledged ({names}); they are counted from their dates"
