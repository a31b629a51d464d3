"""The one table of columns of a run's frames: writers take their schema from it, the reference its text."""

from __future__ import annotations

from typing import Final

from gpufleet.base.say import say
from gpufleet.results.column import Column
from gpufleet.results.columns_money import FUNDING, MONEY
from gpufleet.world.layout import N_REFUSALS, ORDER, REFUSALS, STATES

WAITS: Final = REFUSALS[1:N_REFUSALS]
"""What a job can wait in, by code - 1."""

ROOTS: Final = tuple(name for code, name in enumerate(REFUSALS[:N_REFUSALS]) if code not in (0, ORDER))
"""What can be the root of a wait. Order always has another job's refusal as root; a reservation only if it is
one of backfill, for a job ahead: one of the plan is a root itself."""

WORDS: Final = {
    "own_quota": say("own quota"),
    "not_online": say("not online"),
    "no_free": say("no free GPUs"),
    "fragmented": say("fragmented"),
    "reservation": say("reservation"),
    "order": say("held by order"),
    "between_passes": say("between passes"),
    "beyond_depth": say("beyond depth"),
    "cohort": say("cohort exhausted"),
    "topology": say("topology"),
    "returning": say("returning after preemption"),
    "limit": say("limit of user, project or array"),
    "power": say("power cap"),
    "dependency": say("dependency"),
}
"""A refusal as people read it."""

MEANINGS: Final = {
    "own_quota": say("the queue's GPUs in use and the job's would exceed the queue's quota"),
    "not_online": say("the GPUs in service would not hold the job even if all of them were free"),
    "no_free": say("fewer GPUs are free than the job wants"),
    "fragmented": say("enough GPUs are free, but not on nodes where the job can be placed"),
    "reservation": say(
        "nodes that would hold the job are reserved: by the plan, or by backfill for a job ahead of it"
    ),
    "order": say("a job ahead in the queue is refused, and the order is strict"),
    "between_passes": say("the scheduler has not looked at the job yet"),
    "beyond_depth": say("the job stands further back than the scheduler looks"),
    "cohort": say("neither the queue's quota nor what its cohort can lend holds the job"),
    "topology": say("free nodes would hold the job, but not within the domain or block that it requires"),
    "returning": say("the job was preempted and may not compete yet"),
    "limit": say("its user, project or array may hold no more at once, or its project has ended"),
    "power": say("with the job its site would draw more than its cap"),
    "dependency": say("other jobs have not ended, or not all of them were done"),
}

_IDENTITY: Final = (
    Column("job", "i64", "", "number of the job: its row in the order in which jobs come, from 0"),
    Column("workload", "str", "", "the plan's workload that the job comes from"),
    Column(
        "name",
        "str",
        "",
        "the job's name in its trace, or what the campaign is called; null = a generated job",
        nullable=True,
    ),
    Column("tenant", "str", "", "tenant of the queue"),
    Column("queue", "str", "", "queue in which the job waits"),
    Column("user", "str", "", "user in the trace", nullable=True),
    Column("project", "str", "", "project whose limit it counts in; null = none", nullable=True),
    Column("gpus", "i32", "GPU", "whole GPUs that the job wants, all at once"),
    Column("priority", "i32", "", "higher goes first where the policy orders by priority"),
    Column("submit_s", "i64", "s", "when the job came, from the plan's start"),
    Column(
        "eligible_s",
        "i64",
        "s",
        "when it became eligible: when it came, or when what it depends on had ended; null = never",
        nullable=True,
    ),
    Column("limit_s", "i64", "s", "time limit of one attempt; 0 = none"),
    Column("work_s", "f64", "s", "length at speed 1"),
)
_OUTCOME: Final = (
    Column("start_s", "i64", "s", "first start, from the plan's start; null = never", nullable=True),
    Column(
        "end_s", "i64", "s", "end of the last attempt, from the plan's start; null = has not", nullable=True
    ),
    Column("wait_s", "i64", "s", "all time spent waiting, over all attempts", "sum of the wait_*_s columns"),
    Column("run_s", "i64", "s", "time in which the job held its GPUs, over all attempts"),
    Column("product", "str", "", "GPU product of the last attempt", nullable=True),
    Column("site", "str", "", "site of the last attempt", nullable=True),
    Column("state", "str", "", f"how the run left the job: {', '.join(STATES)}"),
    Column("last_refusal", "str", "", "why it waited last; null = it never waited", nullable=True),
    Column("attempts", "i32", "", "starts"),
    Column(
        "preemptions",
        "i32",
        "",
        "attempts that were cut short: by preemption, or a node was killed or failed",
    ),
    Column("failures", "i32", "", "attempts cut short because a node failed; counted in preemptions too"),
    Column("lost_s", "i64", "s", "work that it had to do again, at speed 1, after failures and preemptions"),
    Column("slowed_s", "i64", "s", "what it ran longer because a cap of power slowed it, over all attempts"),
    Column("behind", "i64", "", "job that it last stood behind (order or reservation)", nullable=True),
)
_WAITS: Final = tuple(
    Column(f"wait_{name}_s", "i64", "s", f"waiting while refused: {MEANINGS[name]}") for name in WAITS
)
_ROOTS: Final = tuple(
    Column(
        f"root_{name}_s",
        "i64",
        "s",
        f"waiting whose root cause is: {MEANINGS[name]}",
        "own refusal; behind another job, the refusal of that job",
    )
    for name in ROOTS
)
_RECORDED: Final = (
    Column("recorded_start_s", "i64", "s", "start in the trace, from the plan's start", nullable=True),
    Column("recorded_end_s", "i64", "s", "end in the trace, from the plan's start", nullable=True),
)

JOBS: Final[tuple[Column, ...]] = (*_IDENTITY, *_OUTCOME, *_WAITS, *_ROOTS, *_RECORDED)
"""Columns of jobs.parquet, one row for each job."""

TIMELINE: Final[tuple[Column, ...]] = (
    Column("t_s", "i64", "s", "start of the bin, from the plan's start"),
    Column("kind", "str", "", "online, busy or waiting"),
    Column("tenant", "str", "", "online: owner, null = shared; else tenant of the queue", nullable=True),
    Column("queue", "str", "", "busy and waiting", nullable=True),
    Column("product", "str", "", "online and busy", nullable=True),
    Column("site", "str", "", "online", nullable=True),
    Column("cause", "str", "", f"waiting: root cause, one of {', '.join(ROOTS)}", nullable=True),
    Column(
        "gpu_s",
        "i64",
        "GPU·s",
        "online: GPUs in service; busy: GPUs held by jobs; waiting: GPUs that waiting jobs want",
        "integral of the number of GPUs over the bin, exact",
    ),
)
"""Columns of timeline.parquet: one row per bin, kind and group; rows of 0 are left out except online."""

SUPPLY: Final[tuple[Column, ...]] = (
    Column("month", "str", "", "month in the plan's time zone, such as 2026-03"),
    Column("tenant", "str", "", "owner of the lot; null = shared. Of a promise: to whom", nullable=True),
    Column("product", "str", "", "GPU product; null for a promise", nullable=True),
    Column("site", "str", "", "site; null for a promise", nullable=True),
    Column("lot", "str", "", "delivery; null for a promise", nullable=True),
    Column("operator", "str", "", "who runs the lot; null = not said, or a promise", nullable=True),
    Column("promise", "str", "", "promise that the lot counts toward; null = none", nullable=True),
    Column(
        "step",
        "str",
        "",
        "pledged, ordered, delivered, powered or online; of cancelled lots also cancelled, and left_over: "
        "made by then, and not written off",
    ),
    Column("gpus", "i64", "GPU", "GPUs that have taken this step by the end of the month"),
    Column(
        "gpus_low", "i64", "GPU", "the same with few, late, little power and much drawn, within all ranges"
    ),
    Column("gpus_high", "i64", "GPU", "the same with the other ends of all ranges"),
    Column(
        "tflops_bf16", "f64", "TFLOPS", "peak BF16 rate of these GPUs, dense; null = not known", nullable=True
    ),
    Column("mw", "f64", "MW", "rated IT power of these GPUs in whole nodes; null = not known", nullable=True),
    Column("trust", "str", "", "of the lot's count and date, the weaker; null = not said", nullable=True),
    Column("first", "bool", "", "one row of each lot, month and step: sum over these to count no lot twice"),
)
"""Columns of supply.parquet: one row per lot, promise it counts toward, month, step; pledges have no lot."""

SHORTAGE: Final[tuple[Column, ...]] = (
    Column("month", "str", "", "month in the plan's time zone, such as 2026-03"),
    Column("promise", "str", "", "promise that is short; null: the lot counts toward none", nullable=True),
    Column("tenant", "str", "", "owner of the lot, or to whom it was promised; null = shared", nullable=True),
    Column("product", "str", "", "GPU product; null = no lot", nullable=True),
    Column("site", "str", "", "site; null = no lot", nullable=True),
    Column("lot", "str", "", "delivery; null = promised, and no lot is in the plan for it", nullable=True),
    Column("operator", "str", "", "who runs the lot; null = not said, or no lot", nullable=True),
    Column("step", "str", "", "not_ordered, not_delivered, not_powered or not_online: what these GPUs lack"),
    Column(
        "stuck",
        "str",
        "",
        "of a lot whose chain the plan has, its next step, such as licensed; null: not said",
        nullable=True,
    ),
    Column(
        "cause",
        "str",
        "",
        "what holds that step: as in chain.parquet, with the name; null: not said",
        nullable=True,
    ),
    Column("gpus", "i64", "GPU", "GPUs that are not online at the end of the month for want of this step"),
    Column(
        "overdue", "i64", "GPU", "of these, GPUs that are due by then; those that are furthest count first"
    ),
    Column("due", "i64", "GPU", "GPUs of the promise that are due by then; null without one", nullable=True),
    Column(
        "place", "str", "", "line of the plan behind it: the promise, the date, the power, the retirement"
    ),
)
"""Columns of shortage.parquet: one row per promise, lot, month and missing step; rows of 0 are left out."""

CHAIN: Final[tuple[Column, ...]] = (
    Column("lot", "str", "", "delivery"),
    Column(
        "step",
        "str",
        "",
        "ordered, made, licensed, shipped, delivered, installed, accepted; cancelled, written_off",
    ),
    Column("gpus", "i64", "GPU", "GPUs of the lot"),
    Column("at", "str", "", "when it is reached, in the site's time; null = never", nullable=True),
    Column("early", "str", "", "the same at the early end of all ranges", nullable=True),
    Column("late", "str", "", "the same at the late end", nullable=True),
    Column(
        "cause",
        "str",
        "",
        "what set the date: date, lead, milestone, slot, law, before (no time later), cancelled or replaced",
    ),
    Column(
        "name", "str", "", "of the milestone or slot; why it is cancelled, or what replaces it", nullable=True
    ),
    Column("place", "str", "", "line of the plan behind it"),
)
"""Columns of chain.parquet: one row per lot whose steps the plan speaks of, and step."""

NODE_KILLED: Final = "NodeKilled"
NODE_FAILED: Final = "NodeFailed"
LOST_NODE: Final = (NODE_KILLED, NODE_FAILED)
"""Rules of jobs that lost their node: nobody took their GPUs."""

RULES: Final = {
    "InClusterQueue": say("a job of its own queue"),
    "InCohortReclamation": say("a queue of the cohort took its own back"),
    "InCohortReclaimWhileBorrowing": say("a queue of the cohort took its own back, and borrowed itself"),
    "InCohortFairSharing": say("a queue of the cohort with a smaller share"),
    "QuotaFell": say("the queue's quota fell"),
    NODE_KILLED: say("its node was taken away"),
    NODE_FAILED: say("its node failed"),
}
"""By which rule a job was preempted, in Kueue's words but for the last three, and as people read it."""

PREEMPTIONS: Final[tuple[Column, ...]] = (
    Column("t_s", "i64", "s", "when, from the plan's start"),
    Column("victim", "i64", "", "number of the job that was pushed out"),
    Column("queue", "str", "", "queue of the victim"),
    Column("preemptor", "i64", "", "number of the job that it was for; null = none", nullable=True),
    Column("by_queue", "str", "", "queue of the preemptor; null = none", nullable=True),
    Column("product", "str", "", "GPU product that was given back"),
    Column("rule", "str", "", f"the rule, in Kueue's words: {', '.join(RULES)}"),
    Column("words", "str", "", "the rule, in plain words"),
    Column("gpus", "i32", "GPU", "GPUs that the victim gave back"),
    Column(
        "lost_gpu_s",
        "i64",
        "GPU·s",
        "work of the victim that is done again",
        "work since its last checkpoint, in seconds at speed 1, x its GPUs, rounded down",
    ),
    Column("start_s", "i64", "s", "when the attempt began that was cut short, from the plan's start"),
)
"""Columns of preemptions.parquet: one row per attempt that was cut short, in their order; a run with hard
quotas has none."""

_OF_KNOWN: Final = "sum over the preemptions of the bin, nodes that were taken away not among them"

QUOTAS: Final[tuple[Column, ...]] = (
    Column("t_s", "i64", "s", "start of the bin, from the plan's start"),
    Column("kind", "str", "", "queue or cohort"),
    Column("name", "str", "", "the queue or cohort"),
    Column("tenant", "str", "", "tenant of the queue; null for a cohort", nullable=True),
    Column("product", "str", "", "GPU product"),
    Column(
        "nominal_gpu_h",
        "f64",
        "GPU·h",
        "its own quota; of a cohort what it holds itself; null = no limit",
        "integral of the nominal quota over the bin, with its changes",
        nullable=True,
    ),
    Column(
        "used_gpu_h",
        "f64",
        "GPU·h",
        "GPUs held by its jobs; of a cohort by those of all queues below it",
        "integral over the bin",
    ),
    Column(
        "borrowed_gpu_h",
        "f64",
        "GPU·h",
        "used beyond its own quota; of a cohort beyond that of all below it, so from the cohort above",
        "integral of max(0, used - quota) over the bin, where a cohort counts what its members use beyond "
        "what they keep for themselves",
    ),
    Column(
        "lent_gpu_h",
        "f64",
        "GPU·h",
        "its own quota that others used; of a cohort of what it holds itself",
        "what the members of a cohort borrow and the cohort does not borrow itself, divided among the "
        "lenders in it (its members, and what it holds itself) in proportion to their unused lendable quota "
        "of the bin: min(nominal - (used - borrowed), lending limit x bin), less what they lend lower down; "
        "the lowest cohorts first; a cohort's part likewise among its own",
    ),
    Column(
        "taken_from_gpus",
        "i64",
        "GPU",
        "GPUs of its jobs that were preempted; of a cohort, of the jobs of all queues below it",
        _OF_KNOWN,
    ),
    Column("taken_from_gpu_h", "f64", "GPU·h", "work that these jobs lost", _OF_KNOWN),
    Column("taken_by_gpus", "i64", "GPU", "GPUs of jobs that its jobs preempted", _OF_KNOWN),
    Column("taken_by_gpu_h", "f64", "GPU·h", "work that those jobs lost", _OF_KNOWN),
)
"""Columns of quotas.parquet: one row per bin, holder of quota and product; rows of nothing are left out."""

FRAGMENTATION: Final[tuple[Column, ...]] = (
    Column("t_s", "i64", "s", "start of the bin, from the plan's start"),
    Column("product", "str", "", "GPU product"),
    Column("level", "str", "", "node; domain, if one has several nodes; block, if one has several domains"),
    Column("free_gpus", "i64", "GPU", "GPUs in service that no job holds, at the end of the bin"),
    Column(
        "whole_gpus",
        "i64",
        "GPU",
        "of these, those that a job of the size of a whole node, domain or block could use",
        "GPUs in parts of the fleet whose nodes are all idle; nodes that were bought in part are not counted",
    ),
    Column(
        "largest_gpus",
        "i64",
        "GPU",
        "the largest job that fits in one node, domain or block then",
        "of a node its free GPUs; of a domain or block the GPUs of its idle nodes",
    ),
)
"""Columns of fragmentation.parquet: one row per bin, product and level that it has."""

LICENCES: Final[tuple[Column, ...]] = (
    Column("lot", "str", "", "delivery"),
    Column("kind", "str", "", "verdict of an authority; wait of the lot; ships: GPUs that may be shipped"),
    Column("from", "str", "", "first day, at the site"),
    Column("until", "str", "", "first day on which it is otherwise; null = not known", nullable=True),
    Column("gpus", "i64", "GPU", "GPUs of the lot; of `ships`, GPUs that may be shipped from that day on"),
    Column("site", "str", "", "where they go"),
    Column("country", "str", "", "country of the site"),
    Column("product", "str", "", "GPU product"),
    Column("authority", "str", "", "us_export, us_import or cn; null = not a verdict", nullable=True),
    Column("licence_required", "str", "", "yes, no, risk, unknown or n/a", nullable=True),
    Column("policy", "str", "", "policy of the authority", nullable=True),
    Column("outcome", "str", "", "what it comes to, such as licence or banned", nullable=True),
    Column("held", "bool", "", "nothing may pass without a licence of the plan"),
    Column("says", "str", "", "the verdict, or why it waits, in words"),
    Column("said", "str", "", "`says` as a template and its values, for other languages; JSON"),
    Column("rules", "str", "", "rules behind a verdict, with ; between them", nullable=True),
    Column("citation", "str", "", "where these stand", nullable=True),
    Column("hypothetical", "bool", "", "a rule of the plan is behind it, not one that exists"),
    Column("near_input", "str", "", "number that is nearest to where a rule would turn", nullable=True),
    Column("near_value", "f64", "", "that number of the product", nullable=True),
    Column("near_by", "f64", "", "how far it is under (over: negative) that threshold", nullable=True),
    Column("licences", "str", "", "licences of the plan that are used, with ; between them", nullable=True),
    Column("revenue_share", "f64", "", "share of the revenue that the licence costs", nullable=True),
    Column("place", "str", "", "line of the plan behind it", nullable=True),
    Column("rules_read_on", "str", "", "last day that the sources of the rules reach", nullable=True),
)
"""Columns of licences.parquet: what export law says of each lot from day to day. No legal advice."""
POWER: Final[tuple[Column, ...]] = (
    Column("t_s", "i64", "s", "start of the bin, from the plan's start"),
    Column("site", "str", "", "site"),
    Column("idle_j", "i64", "J", "IT energy of GPUs in service that no job held, with their part of nodes"),
    Column("jobs_j", "i64", "J", "IT energy of GPUs that jobs held, with their part of nodes"),
    Column("overhead_j", "i64", "J", "energy of all else", "(idle_j + jobs_j) x (pue - 1) + overhead x time"),
    Column("meter_j", "i64", "J", "energy from the grid", "idle_j + jobs_j + overhead_j"),
    Column("mean_w", "f64", "W", "mean power from the grid", "meter_j / length of the bin"),
    Column("peak_w", "f64", "W", "highest power from the grid", "highest IT power x pue + overhead"),
    Column(
        "p99_w",
        "f64",
        "W",
        "power from the grid that is not exceeded in 99 % of the bin",
        "IT power, in steps of 1/16384 of what all GPUs of the site could draw, rounded up, x pue + overhead",
    ),
    Column("cap_w", "f64", "W", "lowest cap in the bin; null = none", nullable=True),
    Column("over_cap_s", "i64", "s", "time in which the site drew more than its cap"),
    Column("over_cap_j", "i64", "J", "energy from the grid above the cap", "IT energy above it x pue"),
    Column("slowed_s", "i64", "s", "time in which the cap slowed the site's jobs down"),
    Column("level", "f64", "", "mean share of full power that jobs may draw", "1 = at full speed"),
    Column("carbon_kg", "f64", "kg", "CO2 equivalent; null = no intensity known", "meter x intensity", True),
)
"""Columns of power.parquet: one row per site and bin; only of plans with a section `power`."""

TABLES: Final = {
    "jobs": JOBS,
    "timeline": TIMELINE,
    "supply": SUPPLY,
    "shortage": SHORTAGE,
    "chain": CHAIN,
    "preemptions": PREEMPTIONS,
    "quotas": QUOTAS,
    "fragmentation": FRAGMENTATION,
    "licences": LICENCES,
    "power": POWER,
    "money": MONEY,
    "funding": FUNDING,
}
