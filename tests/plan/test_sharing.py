"""Cohorts, quotas that are lent, preemption and topology: what the plan means, and what it cannot mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gpufleet.base.errors import Finding, GpufleetError, explanations
from gpufleet.plan import Plan

Load = Callable[..., Plan]

PLAN = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-19
sites:
  lab: {domains_per_block: 2}
systems:
  rack: {product: chip, gpus_per_node: 4, nodes_per_domain: 4}
deliveries:
  - {name: lot-1, to: lab, system: rack, gpus: 64, at: 2026-01-05}
cohorts:
  all: {}
  half: {in: all}
tenants:
  a: {cohort: half, quota: {chip: {nominal: 32, lending_limit: 8}}}
  b: {cohort: all, quota: {chip: 32}, preemption: {reclaim_within_cohort: any}}
workloads:
  big: {kind: campaign, queue: a, gpus: 16, duration: 3 d, at: 2026-01-08}
  other: {kind: campaign, queue: b, gpus: 16, duration: 3 d, at: 2026-01-08}
policy:
  order: fifo
"""
ALONE = PLAN.replace("{domains_per_block: 2}", "{}").replace("cohorts:\n  all: {}\n  half: {in: all}\n", "")
ALONE = ALONE.replace("cohort: half, ", "").replace("cohort: all, ", "").replace(
    "{nominal: 32, lending_limit: 8}", "32"
).replace(", preemption: {reclaim_within_cohort: any}", "")  # fmt: skip


def changed(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def findings(load: Load, text: str, sets: Sequence[str] = ()) -> list[Finding]:
    """Errors of a plan, else its warnings."""
    try:
        return list(load(text, sets).warnings)
    except GpufleetError as error:
        return list(error.findings)


# What stands in the plan, what stands there instead, what is found and where, words of it.
CASES = [
    ("an unknown cohort", ("cohort: half", "cohort: halve"), "P016 plan.yaml:15", "halve"),
    ("an unknown cohort above", ("half: {in: all}", "half: {in: al}"), "P016 plan.yaml:13", "al"),
    ("a cohort in itself", ("all: {}", "all: {in: all}"), "P043 plan.yaml:12", "all in all"),
    ("a circle of cohorts", ("all: {}", "all: {in: half}"), "P043 plan.yaml:12", "all in half in all"),
    ("a limit without a cohort", ("cohort: half, ", ""), "P044 plan.yaml:15", "8 chip"),
    ("a limit of the root", ("all: {}", "all: {quota: {chip: {nominal: 0, borrowing_limit: 4}}}"),
     "P044 plan.yaml:12", "4 chip"),
    ("more lent than there is", ("lending_limit: 8", "lending_limit: 33"), "P045 plan.yaml:15", "33 chip"),
    ("more lent than there is later", ("nominal: 32", "nominal: [{from: 2026-01-05, value: 32}, "
     "{from: 2026-01-12, value: 4}]"), "P045 plan.yaml:15", "4 from 2026-01-12"),
    ("borrowing without reclaiming", ("reclaim_within_cohort: any", "borrow_within_cohort: lower-priority"),
     "P046 plan.yaml:16", "never reclaims"),
    ("a threshold of nothing", ("reclaim_within_cohort: any", "max_priority_threshold: 7"),
     "P046 plan.yaml:16", "threshold 7"),
    ("reclaiming from nobody", ("b: {cohort: all, ", "b: {"), "P046 plan.yaml:16", "queue b"),
    ("an order that cycles lack", ("order: fifo", "order: sjf"), "P023 plan.yaml:21", "sjf"),
    ("a backfill that cycles lack", ("order: fifo", "backfill: easy"), "P023 plan.yaml:21", "2 cohorts"),
    ("a negative weight", ("a: {cohort", "a: {weight: -1, cohort"), "P011 plan.yaml:15", "-1"),
    ("a weight that is no number", ("a: {cohort", "a: {weight: .nan, cohort"), "P008 plan.yaml:15", "nan"),
    ("an absurd weight", ("a: {cohort", "a: {weight: 1000001, cohort"), "P011 plan.yaml:15", "1000001"),
    ("a weight that does not count", ("a: {cohort", "a: {weight: 0, cohort"), "P052 plan.yaml:15",
     "weight 0"),
    ("an unknown priority", ("gpus: 16", "priority: urgent, gpus: 16"), "P016 plan.yaml:18", "urgent"),
    ("a priority that is no number", ("gpus: 16", "priority: 1.5, gpus: 16"), "P010 plan.yaml:18",
     "not a whole number"),
    ("a class that is no number", ("policy:", "priorities: {low: x}\npolicy:"), "P010 plan.yaml:20",
     "not a whole number"),
    ("strategies turned round", ("order: fifo", "sharing: {fair: true, strategies: [less-than-initial-share, "
     "less-than-or-equal-to-final-share]}"), "P015 plan.yaml:21", "wrong order"),
    ("two wishes", ("gpus: 16", "topology: {required: node, preferred: block}, gpus: 16"),
     "P023 plan.yaml:18", "both"),
    ("too large for a node", ("gpus: 16", "topology: {required: node}, gpus: 16"), "P049 plan.yaml:18",
     "has 4"),
    ("too large for a domain", ("gpus: 16", "topology: {required: domain}, gpus: 17"), "P049 plan.yaml:18",
     "has 16 (rack at lab)"),
    ("too large for a block", ("gpus: 16", "topology: {required: block}, gpus: 33"), "P049 plan.yaml:18",
     "has 32"),
    ("a domain that holds it", ("gpus: 16", "topology: {required: domain}, gpus: 16"), None, ""),
    ("a wish that nothing holds", ("gpus: 16", "topology: {preferred: domain}, gpus: 32"), None, ""),
    ("slices that a block holds", ("gpus: 16", "topology: {required: block, slice: {gpus: 16, "
     "level: domain}}, gpus: 32"), None, ""),
    ("slices wider than their job", ("gpus: 16", "topology: {required: domain, slice: {gpus: 8, "
     "level: block}}, gpus: 16"), "P053 plan.yaml:18", "one block, which is wider than the domain"),
    ("a slice of part of a node", ("gpus: 16", "topology: {preferred: block, slice: {gpus: 6, "
     "level: domain}}, gpus: 12"), "P054 plan.yaml:18", "6 GPUs in whole nodes"),
    ("a slice larger than a domain", ("gpus: 16", "topology: {preferred: block, slice: {gpus: 20, "
     "level: domain}}, gpus: 20"), "P054 plan.yaml:18", "has 16 (rack at lab)"),
    ("a part of a slice", ("gpus: 16", "topology: {unconstrained: true, slice: {gpus: 8, level: domain}}, "
     "gpus: 20"), "P055 plan.yaml:18", "20 GPUs in slices of 8"),
    ("slices that do not fill a block", ("gpus: 16", "topology: {required: block, slice: {gpus: 12, "
     "level: domain}}, gpus: 36"), "P049 plan.yaml:18", "has 24"),
    ("a slice in a node", ("gpus: 16", "topology: {required: block, slice: {gpus: 4, "
     "level: node}}, gpus: 16"),
     "P015 plan.yaml:18", "node"),
    ("no constraint that is none", ("gpus: 16", "topology: {unconstrained: false}, gpus: 16"),
     "P024 plan.yaml:18", "no effect"),
    ("quotas above what comes", ("quota: {chip: 32}", "quota: {chip: 40}"), "P050 plan.yaml:12", "72 chip"),
    ("a quota that nobody uses", ("all: {}", "all: {}\n  pool: {quota: {chip: 8}}"), "P051 plan.yaml:13",
     "8 chip"),
    ("checkpoints of what is not preempted", ("gpus: 16", "preemptible: false, restart: 5 min, gpus: 16"),
     "P024 plan.yaml:18", "restart"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_wrong_is_found_at_its_line(
    load: Load, change: tuple[str, str], found: str | None, words: str
) -> None:
    all_found = findings(load, changed(PLAN, change))
    if found is None:
        assert all_found == []
        return
    assert [f"{each.code} {each.at}" for each in all_found] == [found]
    assert words in all_found[0].says
    assert all_found[0].fix
    assert explanations[all_found[0].code].example


def test_the_plan_itself_is_right(load: Load) -> None:
    assert findings(load, PLAN) == findings(load, ALONE) == []


def test_all_is_found_at_once(load: Load) -> None:
    text = changed(PLAN, ("lending_limit: 8", "lending_limit: 40"), ("order: fifo", "order: srtf"))
    text = changed(text, ("b: {cohort: all, ", "b: {"))
    assert [each.code for each in findings(load, text)] == ["P045", "P046", "P023"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("a: {", "a: {weight: 2, "), "weight"),
        (("a: {", "a: {strict: true, "), "strict"),
        (("a: {", "a: {fungibility: {prefer: preemption}, "), "fungibility"),
        (("chip: 32", "chip: [{from: 2026-01-05, value: 32}, {from: 2026-01-06, value: 8}]"), "one number"),
        (("lab: {}", "lab: {domains_per_block: 2}"), "domains_per_block"),
        (("gpus: 16", "gpus: 16, checkpoint: 1 h"), "checkpoint"),
        (("gpus: 16", "gpus: 16, topology: {required: node}"), "topology"),
    ],
)
def test_with_hard_quotas_nothing_of_sharing_is_ignored(
    load: Load, change: tuple[str, str], says: str
) -> None:
    (found,) = findings(load, changed(ALONE, change))
    assert found.code == "P024"
    assert says in found.says


def test_domains_of_one_node_are_no_level(load: Load) -> None:
    text = changed(PLAN, ("nodes_per_domain: 4}", "nodes_per_domain: 1}"))
    text = changed(text, ("gpus: 16", "topology: {required: domain}, gpus: 4"))
    assert [each.code for each in findings(load, text)] == ["P048"]
    text = changed(text, ("{domains_per_block: 2}", "{}"), ("required: domain", "required: block"))
    assert [each.code for each in findings(load, text)] == ["P048"]


def test_a_queue_can_hold_what_it_owns_and_what_is_lent_to_it(load: Load) -> None:
    plan = load(PLAN)
    assert plan.shares
    assert {name: queue.ceiling for name, queue in plan.queues.items()} == {
        "a": {"chip": 64},
        "b": {"chip": 40},
    }
    pool = load(changed(PLAN, ("all: {}", "all: {quota: {chip: 4}}")))
    assert pool.queues["b"].most("chip", 0) == 44
    capped = load(changed(PLAN, ("quota: {chip: 32}", "quota: {chip: {nominal: 32, borrowing_limit: 5}}")))
    assert capped.queues["b"].most("chip", 0) == 37


def test_one_override_turns_lending_off(load: Load) -> None:
    for sets in (["policy.sharing.lending=false"], ["policy.sharing={lending: false}"]):
        plan = load(PLAN, sets)
        assert {name: queue.most("chip", 0) for name, queue in plan.queues.items()} == {"a": 32, "b": 32}
    bare = PLAN.replace("policy:\n  order: fifo\n", "")
    assert load(bare, ["policy.sharing.lending=false"]).queues["a"].most("chip", 0) == 32


def test_a_quota_that_nobody_borrows_any_more_is_told(load: Load) -> None:
    text = changed(PLAN, ("all: {}", "all: {quota: {chip: 8}}"), ("gpus: 64", "gpus: 80"))
    assert findings(load, text) == []
    assert [each.code for each in findings(load, text, ["policy.sharing.lending=false"])] == ["P051"]


def test_new_keys_are_reached_by_overrides(load: Load) -> None:
    plan = load(PLAN, ["tenants.a.quota.chip.lending_limit=0", "cohorts.half.weight=3", "priorities.urgent=9",
                       "policy.sharing.fair=true", "workloads.big.priority=urgent"])  # fmt: skip
    assert plan.queues["b"].most("chip", 0) == 32
    assert plan.cohorts["half"].weight == 3
    assert plan.workloads["big"].priority == 9  # type: ignore[union-attr]
    assert load(PLAN, ["cohorts.third={in: all}"]).cohorts["third"].parent == "all"


def test_a_tenant_speaks_for_its_queues(load: Load, sharing: str) -> None:
    plan = load(sharing)
    assert {name: queue.cohort for name, queue in plan.queues.items()} == {
        "physics": "sciences", "labs": "all", "exams": "sciences", "alone": None,
    }  # fmt: skip
    assert plan.queues["labs"].preemption == plan.queues["exams"].preemption
    assert plan.queues["physics"].own("GB200") == ((0, 64), (7 * 86400, 96))
    assert plan.queues["exams"].own("GB200") == ((3 * 86400, 32),)
    assert plan.workloads["big"].priority == 100  # type: ignore[union-attr]


def test_a_product_without_quota_is_none_in_a_cohort_and_all_outside(load: Load) -> None:
    plan = load(changed(PLAN, ("b: {cohort: all, quota: {chip: 32}, ", "c: {}\n  b: {cohort: all, ")))
    assert (plan.queues["b"].own("chip"), plan.queues["b"].most("chip", 99)) == (((0, 0),), 8)
    assert (plan.queues["c"].own("chip"), plan.queues["c"].most("chip", 99)) == ((), 99)


def test_a_deep_chain_of_cohorts_is_refused_and_not_fallen_into(load: Load) -> None:
    chain = "".join(f"  c{i}: {{in: c{i + 1}}}\n" for i in range(3000)) + "  c3000: {}\n"
    (found,) = findings(load, changed(PLAN, ("cohorts:\n", "cohorts:\n" + chain)))
    assert found.code == "P043"
    assert "3,001" in found.says


def test_priorities_count_where_jobs_are_preempted(load: Load) -> None:
    text = changed(PLAN, ("gpus: 16", "priority: 5, gpus: 16"))
    assert findings(load, text) == []
    no_preemption = changed(text, (", preemption: {reclaim_within_cohort: any}", ""))
    assert [each.code for each in findings(load, no_preemption)] == ["P035"]
