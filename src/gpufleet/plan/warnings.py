"""What can be meant but hurts: the checks of this room, and remarks that are no findings."""

from __future__ import annotations

from collections.abc import Iterator

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.base.units import format_duration, format_power
from gpufleet.plan.check import check
from gpufleet.plan.plan import Plan
from gpufleet.plan.stock import Cell, Stock, cells_over_time, rated_w, site_need_w, stock_over_time, units
from gpufleet.plan.supply import Delivery
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload

Cells = list[tuple[int, dict[Cell, int]]]
"""GPUs per cell from a second on: what `cells_over_time` gives."""
_NAME_FILES = ("file", "table", "profile")
"""Last words of the paths of values that may be a key of `files`."""


@check("P017", "delivery lands before its site has power")
def delivery_before_power(plan: Plan) -> Iterator[Finding]:
    """A site feeds rated node power times PUE out of its grid connection. What does not fit stays "delivered,
    not powered" until there is power: whole racks or nodes come online in the order of delivery.

    Example::

        sites:      {lab: {power: 100 kW, pue: 1.3}}
        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]   # 8 x 14.3 kW x 1.3 = 148.7 kW
    """
    if plan.power is not None and plan.power.counts == "measured":
        return
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
    site, date = delivery.to, plan.local(delivery.at, delivery.to).date()
    others_w = need_w - own_w
    later = [t for t, w in plan.sites[site].power_w if t > plan.seconds(delivery.at) and w >= need_w]
    move = (
        say("move the delivery to {local:%Y-%m-%d}", local=plan.local(min(later), site))
        if later
        else say("move the delivery")
    )
    words = {
        "gpus": delivery.gpus, "system": delivery.system, "units": units(plan, delivery), "site": site,
        "power": format_power(need_w), "power_2": format_power(have_w), "date": date,
        "power_3": format_power(need_w - have_w),
    }  # fmt: skip
    if others_w > 1:
        says = say(
            "{gpus:,} {system} GPUs ({units}) need {power} (with {others} of what stands there); {site} has "
            "{power_2} on {date} ({power_3} short)",
            **words,
            others=format_power(others_w),
        )
    else:
        says = say(
            "{gpus:,} {system} GPUs ({units}) need {power}; {site} has {power_2} on {date} ({power_3} short)",
            **words,
        )
    return Finding(
        at=delivery.line,
        says=says,
        fix=say("{move}, or raise sites.{site}.power before {date}", move=move, site=site, date=date),
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
        if queue.cohort is not None:
            continue  # P050
        usable = [d.tenant in (None, queue.tenant) for d in plan.deliveries]
        for product, quota in queue.quota.items():
            mine = [i for i, ok in enumerate(usable) if ok and products[i] == product]
            most = max(sum(stock.gpus[i] for i in mine) for stock in stocks)
            if quota > most:
                ever = (
                    say("at most {most:,} are ever there for it", most=most)
                    if most
                    else say("none ever comes that it can use")
                )
                yield Finding(
                    at=queue.line,
                    says=say(
                        "queue {name} may hold {quota:,} {product}; {ever}",
                        name=queue.name,
                        quota=quota,
                        product=product,
                        ever=ever,
                    ),
                    fix=say(
                        "lower the quota to {most:,}, or leave {product} out: unlimited",
                        most=most,
                        product=product,
                    ),
                )


@check("P019", "campaign or training larger than the fleet will ever be")
def campaign_too_large(plan: Plan) -> Iterator[Finding]:
    """A job runs on one product at one site, on nodes of one owner, within its queue's quota. One that is
    larger than that will ever be is refused for ever; the run goes on without it.

    Example::

        deliveries: [{to: lab, system: DGX B200, gpus: 64, ...}]
        workloads:  {big: {kind: campaign, gpus: 128, ...}}
    """
    cells = list(cells_over_time(plan, stock_over_time(plan)))
    for workload in plan.workloads.values():
        if isinstance(workload, CampaignWorkload):
            yield from too_large(plan, cells, workload, workload.gpus)
        elif isinstance(workload, TrainingWorkload):
            yield from too_large(plan, cells, workload, max(workload.sizes(workload.gpus).values()))


def too_large(
    plan: Plan, cells: Cells, workload: CampaignWorkload | TrainingWorkload, gpus: int
) -> Iterator[Finding]:
    """Whether a job of a workload is larger than what it can ever have at once."""
    most, why = _most_at_once(plan, cells, workload)
    if gpus > most:
        says = say("{name} wants {gpus:,} GPUs at once; {why}", name=workload.name, gpus=gpus, why=why)
        yield Finding(at=workload.line, says=says, fix=say("make it smaller, or deliver or allow more"))


def _most_at_once(plan: Plan, cells: Cells, workload: CampaignWorkload | TrainingWorkload) -> tuple[int, str]:
    """GPUs that a job of a workload can ever have at once, and what allows no more."""
    queue = plan.queues[workload.queue]
    accepted = dict(workload.products) or {system.product: 1.0 for system in plan.systems.values()}
    at_s = plan.seconds(workload.at)
    first = max((t for t, _ in cells if t <= at_s), default=0)
    most, why = 0, say("no product that it accepts ever comes for tenant {tenant}", tenant=queue.tenant)
    for t_s, stock in cells:
        for (site, product, owner, _), gpus in stock.items():
            if t_s < first or product not in accepted or owner not in (None, queue.tenant):
                continue
            quota = queue.most(product, gpus)
            if min(quota, gpus) <= most:
                continue
            most = min(quota, gpus)
            why = say(
                "the quota of queue {name} is {quota:,} {product}",
                name=queue.name,
                quota=quota,
                product=product,
            )
            if gpus <= quota:
                why = say(
                    "the most in one place is {gpus:,} {product} at {site}",
                    gpus=gpus,
                    product=product,
                    site=site,
                )
    return most, why


@check("P035", "priority has no effect")
def priority_without_order(plan: Plan) -> Iterator[Finding]:
    """Priorities count only with `policy.order: priority`, with an own order that reads them, and where one
    job may push out another.

    Example::

        policy:    {order: fifo}
        workloads: {big: {kind: campaign, priority: 10, ...}}
    """
    counts = plan.policy.order == "priority" or plan.policy.reads("priority")
    counts |= any(queue.preemption for queue in plan.queues.values())
    for name, workload in plan.workloads.items():
        priority = getattr(workload, "priority", 0)
        if priority and not counts:
            yield Finding(
                at=plan.line(f"workloads.{name}.priority"),
                says=say(
                    "{name} has priority {priority}; jobs are ordered by {order}",
                    name=name,
                    priority=priority,
                    order=plan.policy.order,
                ),
                fix=say("set `policy.order: priority`, or leave `priority` out"),
            )


@check("P036", "declared and not used")
def unused(plan: Plan) -> Iterator[Finding]:
    """Nothing in the plan refers to it. Often the sign of a name that was changed in one place only.

    Example::

        files: {trace: jobs.csv, nodes: nodes.csv}     # nothing says `table: nodes`
    """
    words = {o.text for path, o in plan.origins.items() if path.rpartition(".")[2] in _NAME_FILES}
    for name in plan.files:
        if name not in words:
            at = plan.line(f"files.{name}")
            yield Finding(
                at=at,
                says=say("no `file`, `table` or `profile` is `{name}`", name=name),
                fix=say("use it, or delete the line"),
            )
    bought = {delivery.system for delivery in plan.deliveries}
    for name in plan.systems:
        if name not in bought and f"systems.{name}" in plan.origins:
            at = plan.line(f"systems.{name}")
            yield Finding(
                at=at,
                says=say("no delivery has `system: {name}`", name=name),
                fix=say("use it, or delete it"),
            )


@check("P037", "nothing to simulate")
def nothing_to_simulate(plan: Plan) -> Iterator[Finding]:
    """A plan without deliveries has no GPUs, and one without workloads has no jobs.

    Example::

        deliveries: []
    """
    if not plan.deliveries:
        yield Finding(
            at=plan.line("deliveries"), says=say("nothing is ever delivered"), fix=say("add a delivery")
        )
    if not plan.workloads:
        yield Finding(at=plan.line("name"), says=say("no workload wants to run"), fix=say("add `workloads`"))


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
        limit_s = plan.queues[workload.queue].limit_s(workload.limit_s)
        if 0 < limit_s < workload.duration_s / fastest:
            lasts, limit = format_duration(workload.duration_s / fastest), format_duration(limit_s)
            yield Finding(
                at=plan.line(f"workloads.{name}.limit"),
                says=say(
                    "{name} runs {lasts} at best; its limit is {limit}", name=name, lasts=lasts, limit=limit
                ),
                fix=say("raise the limit, or set `policy.over_limit: run-on`"),
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
                day = plan.local(t_s, name).date()
                says = say(
                    "what stands at {site} needs {need}; it has {have} from {day} ({lack} short)",
                    site=name,
                    need=format_power(need_w),
                    have=format_power(have_w),
                    day=day,
                    lack=format_power(need_w - have_w),
                )
                fix = say("keep the power, or retire nodes before {day}", day=day)
                yield Finding(at=plan.line(f"sites.{name}.power.{i}"), says=says, fix=fix)


def remarks(plan: Plan) -> Iterator[str]:
    """What the reader of the results should know: partial racks, and pledges that are counted."""
    for delivery in plan.deliveries:
        system = plan.systems[delivery.system]
        if delivery.gpus % system.gpus_per_domain:
            yield say(
                "{lot}: {gpus:,} {system} GPUs are {units}",
                lot=delivery.name,
                gpus=delivery.gpus,
                system=delivery.system,
                units=units(plan, delivery),
            )
    pledged = [delivery for delivery in plan.deliveries if delivery.status == "pledged"]
    if pledged:
        gpus = sum(delivery.gpus for delivery in pledged)
        names = [delivery.name for delivery in pledged[:5]] + ["..."] * (len(pledged) > 5)
        yield say(
            "{gpus:,} GPUs are only pledged ({lots:, }); they are counted from their dates",
            gpus=gpus,
            lots=names,
        )
