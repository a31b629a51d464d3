"""Shared quotas of a plan as the engine gets them, and back from a file."""

from __future__ import annotations

import numpy as np
import pytest

from gpufleet.world.asked import demand_findings
from gpufleet.world.build import build
from gpufleet.world.capacity import capacity_of
from gpufleet.world.layout import (
    ANY_PRIORITY,
    BLOCK_LEVEL,
    DOMAIN_LEVEL,
    LOWER_PRIORITY,
    NEVER,
    NO_THRESHOLD,
    NO_WISH,
    NODE_LEVEL,
    PREFERRED,
    REQUIRED,
    SITE_LEVEL,
    UNCONSTRAINED,
    UNKNOWN_S,
    UNLIMITED,
)
from gpufleet.world.names import Names
from gpufleet.world.reach import most_for_class
from gpufleet.world.save import load_world, save_world, world_bytes

TEXT = """
systems:
  rack: {product: chip, gpus_per_node: 4, nodes_per_domain: 2}
  box: {product: card, gpus_per_node: 8}
sites: {lab: {domains_per_block: 2}, hall: {}}
deliveries:
  - {name: x, to: lab, system: rack, gpus: 40, at: 2026-01-01}
  - {name: y, to: hall, system: rack, gpus: 24, at: 2026-01-01}
  - {name: z, to: lab, system: box, gpus: 24, at: 2026-01-01}
cohorts:
  inner: {in: outer, weight: 2.5, quota: {chip: 8}}
  outer: {}
tenants:
  a:
    cohort: inner
    strict: false
    quota:
      card: 8
      chip: {nominal: [{from: 2025-12-01, value: 8}, {from: 2026-01-11, value: 24}], lending_limit: 4}
    preemption:
      {reclaim_within_cohort: any, borrow_within_cohort: lower-priority, max_priority_threshold: low}
    fungibility: {when_can_borrow: try-next, when_can_preempt: stop, prefer: preemption}
  b: {cohort: outer, quota: {chip: {nominal: [{from: 2026-01-02, value: 16}], borrowing_limit: 6}}, weight: 0}
  c: {max_run_time: 2 h}
priorities: {low: -5}
workloads:
  w: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02}
  v: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02, checkpoint: 20 min, restart: 5 min,
      topology: {required: node}}
  u: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-03, checkpoint: 20 min, restart: 5 min,
      topology: {required: node}}
  t: {kind: campaign, queue: c, gpus: 1, duration: 1 h, at: 2026-01-02, preemptible: false, limit: 3 h,
      topology: {preferred: block}}
policy: {sharing: {fair: true, strategies: less-than-initial-share, returns: last, return_after: 90 s,
         preemptions_at_most: 3, evict_falling_quota: true}}
"""
DAY_S = 86400


@pytest.fixture
def built(plan_of):
    return build(plan_of(TEXT))


def test_the_tree_is_the_plan(built):
    tree, names = built.world.shared.tree, built.names
    assert names.products == ("chip", "card")
    # rows: outer, inner (parents first), then the queues a, b, c
    assert tree.parent.tolist() == [-1, 0, 1, 0, -1]
    assert tree.queue.tolist() == [0, 0, 1, 1, 1]
    # at the start; c is in no cohort and may use all that ever comes
    assert tree.nominal.tolist() == [[0, 0], [8, 0], [8, 8], [0, 0], [64, 24]]
    assert tree.borrow[:, 0].tolist() == [UNLIMITED, UNLIMITED, UNLIMITED, 6, UNLIMITED]
    assert tree.lend[:, 0].tolist() == [UNLIMITED, UNLIMITED, 4, UNLIMITED, UNLIMITED]
    assert tree.weight.tolist() == [1, 2.5, 1, 0, 1]
    assert tree.strict.tolist() == [0, 0, 0, 1, 1]
    assert tree.reclaim.tolist() == [NEVER, NEVER, ANY_PRIORITY, NEVER, NEVER]
    assert tree.borrow_within.tolist() == [NEVER, NEVER, LOWER_PRIORITY, NEVER, NEVER]
    assert tree.threshold.tolist() == [NO_THRESHOLD, NO_THRESHOLD, -5, NO_THRESHOLD, NO_THRESHOLD]
    rules = (tree.next_if_borrowing, tree.next_if_preempting, tree.rather_preempt)
    assert [rule[2:].tolist() for rule in rules] == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert (tree.fair, tree.strategies.tolist()) == (1, [1, 2])


def test_quotas_change_on_their_dates(built):
    shared = built.world.shared
    changes = zip(
        shared.change_t_s, shared.change_row, shared.change_product, shared.change_gpus, strict=True
    )
    assert [tuple(map(int, change)) for change in changes] == [(DAY_S, 3, 0, 16), (10 * DAY_S, 2, 0, 24)]


def test_rules_belong_to_classes(built):
    rules, classes = built.world.shared.classes, built.world.classes
    # like workloads of one queue are one class, unlike ones are not
    assert classes.queue.tolist() == [1, 1, 2]
    assert rules.preemptible.tolist() == [1, 1, 0]
    restarts = built.world.restarts
    assert restarts.checkpoint_s.tolist() == [UNKNOWN_S, 1200, UNKNOWN_S]
    assert restarts.restart_s.tolist() == [0, 300, 0]
    assert rules.wish.tolist() == [NO_WISH, REQUIRED, PREFERRED]
    assert rules.level.tolist() == [SITE_LEVEL, NODE_LEVEL, BLOCK_LEVEL]


def test_blocks_lie_in_one_cell(built):
    nodes, cells, block = built.world.nodes, built.world.cells, built.world.shared.domain_block
    # lab: 5 racks by two; 3 boxes, each a domain of its own, by two; hall: 3 racks in one block
    assert block.tolist() == [0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 5]
    cell_of_block = {(int(block[d]), int(nodes.cell[n])) for n, d in enumerate(nodes.domain)}
    assert len(cell_of_block) == len({b for b, _ in cell_of_block})
    assert cells.site.tolist() == [0, 0, 1]


def test_the_rest_is_passed_on(built):
    shared = built.world.shared
    assert shared[-4:] == (1, 90, 1, 3)


def test_a_queue_holds_no_more_than_it_can_ever_borrow(built):
    # chip: a 24 + inner 8 + b 16; b 16 + 6, and it borrows all cards of a; c is alone: no limit
    assert built.world.queues.quota.tolist() == [[48, 8], [22, 8], [-1, -1]]
    assert most_for_class(built.world).tolist() == [22, 22, 40]


def test_the_longest_run_time_of_a_queue_is_a_limit(built):
    limits = dict(zip(built.demand.table["name"], built.demand.jobs().limit_s.tolist(), strict=True))
    assert limits == {"w": 0, "v": 0, "u": 0, "t": 7200}


def test_lending_off_leaves_each_queue_its_own(plan_of):
    tree = build(plan_of(TEXT.replace("sharing: {fair", "sharing: {lending: false, fair"))).world.shared.tree
    assert tree.borrow[2:4].tolist() == tree.lend[2:4].tolist() == [[0, 0], [0, 0]]


def test_without_sharing_there_is_nothing_of_it(plan_of):
    plain = """
    systems: {box: {product: chip, gpus_per_node: 8}}
    sites: {lab: {}}
    deliveries: [{to: lab, system: box, gpus: 8, at: 2026-01-01}]
    tenants: {a: {quota: {chip: 4}}}
    workloads: {w: {kind: campaign, queue: a, gpus: 1, duration: 1 h, at: 2026-01-02}}
    """
    built = build(plan_of(plain))
    assert built.world.shared is None
    assert built.world.queues.quota.tolist() == [[4]]


@pytest.mark.parametrize("keys", ["cohorts: {all: {}}", "policy: {sharing: {}}",
                                  "policy: {sharing: {returns: last}}"])  # fmt: skip
def test_any_word_of_sharing_admits_by_cycles(plan_of, keys):
    text = f"""
    systems: {{box: {{product: chip, gpus_per_node: 8}}}}
    sites: {{lab: {{}}}}
    deliveries: [{{to: lab, system: box, gpus: 8, at: 2026-01-01}}]
    tenants: {{a: {{}}}}
    {keys}
    """
    assert build(plan_of(text)).world.shared is not None


def test_load_is_a_share_of_the_own_quota_whoever_lends(plan_of):
    text = """
    systems: {box: {product: chip, gpus_per_node: 8}}
    sites: {lab: {}}
    deliveries: [{to: lab, system: box, gpus: 64, at: 2026-01-01}]
    cohorts: {all: {}}
    tenants:
      a: {cohort: all, quota: {chip: [{from: 2026-01-01, value: 8}, {from: 2026-02-01, value: 16}]}}
      b: {cohort: all, quota: {chip: 32}}
    workloads: {w: {kind: profile, profile: philly, queue: a, load: 0.5, scale: {most_gpus: 8}}}
    policy: {sharing: {lending: LENDING}}
    """
    jobs = [build(plan_of(text.replace("LENDING", word))).demand.jobs() for word in ("true", "false")]
    for one, other in zip(*jobs, strict=True):
        np.testing.assert_array_equal(one, other)
    plan = plan_of(text.replace("LENDING", "true"))
    names = Names.of(plan)
    (ask,), _ = demand_findings(plan, names, capacity_of(plan, names))
    asked = dict(zip(ask.from_s.tolist(), ask.gpus.tolist(), strict=True))
    assert (asked[0], asked[31 * DAY_S]) == (4, 8)


def test_generated_jobs_keep_to_the_longest_run_time(plan_of):
    text = """
    systems: {box: {product: chip, gpus_per_node: 8}}
    sites: {lab: {}}
    deliveries: [{to: lab, system: box, gpus: 64, at: 2026-01-01}]
    tenants: {a: {max_run_time: 6 h}}
    workloads: {w: {kind: profile, profile: philly, queue: a, load: 0.5, scale: {most_gpus: 8}}}
    """
    limit_s = build(plan_of(text)).demand.jobs().limit_s
    assert limit_s.size > 100
    assert limit_s.min() > 0
    assert limit_s.max() == 6 * 3600


def test_recorded_jobs_keep_to_the_longest_run_time(plan_of):
    text = """
    systems: {box: {product: chip, gpus_per_node: 8}}
    sites: {lab: {}}
    deliveries: [{to: lab, system: box, gpus: 64, at: 2026-01-01}]
    tenants: {a: {max_run_time: 1 h}, b: {}}
    workloads: {w: {kind: trace, file: jobs.csv}}
    """
    jobs = """\
    job,submit_s,gpus,duration_s,limit_s,queue
    1,0,1,60,0,a
    2,1,1,60,100,a
    3,2,1,60,7200,a
    4,3,1,60,0,b
    5,4,1,60,7200,b
    """
    assert build(plan_of(text, jobs=jobs)).demand.jobs().limit_s.tolist() == [3600, 100, 3600, 0, 7200]


LEVELS = """
systems: {rack: {product: chip, gpus_per_node: 4, nodes_per_domain: 2}}
sites: {lab: {}}
deliveries: [{to: lab, system: rack, gpus: 64, at: 2026-01-01}]
cohorts: {all: {}}
tenants: {a: {cohort: all, quota: {chip: 64}}}
"""


def test_recorded_jobs_that_no_domain_holds_are_told(plan_of):
    text = f"{LEVELS}\nworkloads: {{w: {{kind: trace, file: jobs.csv, topology: {{required: domain}}}}}}"
    jobs = "job,submit_s,gpus,duration_s,queue\n1,0,8,60,a\n2,1,9,60,a\n3,2,12,60,a\n"
    (found,) = build(plan_of(text, jobs=jobs)).findings
    assert found.code == "T063"
    assert "2 jobs of w" in found.says
    assert "12, of at most 8" in found.says


def test_recorded_jobs_of_part_slices_are_told(plan_of):
    wish = "{unconstrained: true, slice: {gpus: 8, level: domain}}"
    text = f"{LEVELS}\nworkloads: {{w: {{kind: trace, file: jobs.csv, topology: {wish}}}}}"
    jobs = "job,submit_s,gpus,duration_s,queue\n1,0,8,60,a\n2,1,9,60,a\n3,2,12,60,a\n"
    built = build(plan_of(text, jobs=jobs))
    assert [each.code for each in built.findings] == ["T064"]
    assert "2 jobs of w are no whole number of slices of 8" in built.findings[0].says
    rules = built.world.shared.classes
    assert [int(column[0]) for column in rules[1:]] == [UNCONSTRAINED, SITE_LEVEL, 8, DOMAIN_LEVEL]


def test_generated_jobs_of_part_slices_are_told(plan_of):
    work = "{kind: profile, profile: philly, queue: a, load: 0.5, "
    work += "topology: {required: site, slice: {gpus: 4, level: domain}}}"
    found = build(plan_of(f"{LEVELS}\nworkloads: {{w: {work}}}")).findings
    assert [each.code for each in found] == ["T064"]


def test_generated_jobs_that_no_node_holds_are_told(plan_of):
    work = "{kind: profile, profile: philly, queue: a, load: 0.5, "
    work += "topology: {required: node}, scale: {most_gpus: 8}}"
    found = build(plan_of(f"{LEVELS}\nworkloads: {{w: {work}}}")).findings
    assert [each.code for each in found] == ["P075"]
    assert "at most 4 can" in found[0].says
    capped = work.replace("most_gpus: 8", "most_gpus: 4")
    assert build(plan_of(f"{LEVELS}\nworkloads: {{w: {capped}}}")).findings == ()


def same(before, after) -> None:
    """Tables alike to the type of every number."""
    assert type(before) is type(after)
    for x, y in zip(before, after, strict=True):
        if isinstance(x, tuple):
            same(x, y)
            continue
        np.testing.assert_array_equal(x, y)
        assert type(x) is type(y)
        assert getattr(x, "dtype", None) == getattr(y, "dtype", None)


def test_shared_quotas_come_back_as_they_were(built, tmp_path):
    parts = built.world, built.demand.arrivals, built.names
    save_world(tmp_path / "world.npz", *parts)
    again, _, _ = load_world(tmp_path / "world.npz")
    same(built.world.shared, again.shared)
    assert world_bytes(*parts) == (tmp_path / "world.npz").read_bytes()
