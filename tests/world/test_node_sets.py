"""Partitions and reservations: which nodes they are, who may use them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpufleet.base.errors import Finding, GpufleetError, Place, explanations
from gpufleet.plan import Plan
from gpufleet.plan.asked_job import AskedJob
from gpufleet.plan.load import load_plan
from gpufleet.study import check_world
from gpufleet.world.build import Built, build
from gpufleet.world.capacity import capacity_of
from gpufleet.world.joined import with_class
from gpufleet.world.names import Names
from gpufleet.world.online import online_of, usable_gpus
from gpufleet.world.reach import most_for_class
from gpufleet.world.save import load_world, save_world
from gpufleet.world.set_finder import sets_of

PLAN = """\
gpufleet: 1
name: course
start: 2026-01-05
end: 2026-01-19
sites:
  lab: {}
  far: {}
systems:
  box: {product: chip, gpus_per_node: 4}
  tray: {product: core, gpus_per_node: 8}
deliveries:
  - {name: late, to: lab, system: box, gpus: 16, at: 2026-01-08}
  - {name: early, to: lab, system: box, gpus: 24, at: 2026-01-05}
  - {name: other, to: lab, system: tray, gpus: 16, at: 2026-01-06}
partitions:
  debug: {site: lab, product: chip, nodes: [1, 2], max_run_time: 1 h}
  batch: {site: lab, product: chip, gpus: 32, max_run_time: 1 h}
  cores: {site: lab, product: core, exclusive: true, max_run_time: 1 h}
reservations:
  exam: {site: lab, product: chip, gpus: 16, from: 2026-01-12 09:00, to: 2026-01-14, for: courses}
  night: {site: lab, partition: batch, nodes: 2, from: 2026-01-13, to: 2026-01-13 06:00, for: [train, all]}
tenants:
  research: {queues: {train: {partitions: [debug, batch]}, quick: {partitions: debug, max_run_time: 2 h}}}
  courses: {}
  all: {partitions: [batch, cores]}
workloads:
  a: {kind: campaign, queue: train, gpus: 4, duration: 1 h, at: 2026-01-08}
  b: {kind: campaign, queue: quick, gpus: 4, duration: 1 h, at: 2026-01-08}
  c: {kind: campaign, queue: courses, gpus: 4, duration: 1 h, at: 2026-01-08}
  d: {kind: campaign, queue: all, gpus: 4, duration: 1 h, at: 2026-01-08}
"""

Read = Callable[..., Plan]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(*changes: tuple[str, str]) -> Plan:
        text = PLAN
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return load_plan(path)

    return read


def nodes_of(built: Built, flags: Any) -> list[int]:
    return np.flatnonzero(flags).tolist()


def usable(built: Built, queue: str) -> list[int]:
    """Nodes that a queue may use, in the engine's order: chips early (0-5) and late (6-9), cores (10, 11)."""
    sets = built.world.node_sets
    assert sets is not None
    return nodes_of(built, sets.queue_groups[built.names.queues.index(queue), sets.node_group] == 1)


def kept(built: Built, reservation: int) -> list[int]:
    sets = built.world.node_sets
    assert sets is not None
    groups = sets.window_group[sets.window_reservation == reservation]
    return nodes_of(built, np.isin(sets.node_group, groups))


def test_nodes_are_numbered_in_order_of_delivery_and_queues_use_all_their_partitions(read: Read) -> None:
    built = build(read())
    assert built.names.products == ("chip", "core")
    assert usable(built, "train") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert usable(built, "quick") == [0, 1]
    assert usable(built, "courses") == list(range(10)), "not the exclusive ones"
    assert usable(built, "all") == [0, 1, 2, 3, 4, 5, 6, 7, 10, 11]


def test_a_reservation_takes_the_last_nodes_that_no_other_has(read: Read) -> None:
    built = build(read())
    assert kept(built, 0) == [6, 7, 8, 9]
    assert kept(built, 1) == [4, 5], "6 and 7 are in the other one"
    sets = built.world.node_sets
    assert sets is not None
    columns = sets.window_reservation, sets.window_from_s, sets.window_to_s
    windows = set(zip(*(column.tolist() for column in columns), strict=True))
    day = 86400
    assert windows == {(0, 7 * day + 9 * 3600, 9 * day), (1, 8 * day, 8 * day + 6 * 3600)}


def test_only_nodes_in_service_are_reserved(read: Read) -> None:
    built = build(read(("from: 2026-01-12 09:00, to: 2026-01-14", "from: 2026-01-06, to: 2026-01-07")))
    assert kept(built, 0) == [2, 3, 4, 5]


def test_a_reservation_is_for_queues_tenants_or_workloads(read: Read) -> None:
    built = build(read(("for: courses", "for: [quick, d]")))
    sets = built.world.node_sets
    assert sets is not None
    holds = {
        built.names.queues[queue]: held.tolist()
        for queue, held in zip(built.world.classes.queue, sets.class_holds, strict=True)
    }
    assert holds == {"train": [0, 1], "quick": [1, 0], "courses": [0, 0], "all": [1, 1]}


def test_the_shortest_run_time_of_queue_and_partitions_counts(read: Read) -> None:
    plan = read()
    limits = {name: queue.limit_s(0) for name, queue in plan.queues.items()}
    assert limits == {"train": 3600, "quick": 3600, "courses": 0, "all": 3600}


def test_what_can_never_run_there_is_known(read: Read) -> None:
    built = build(read())
    queues = [built.names.queues[q] for q in built.world.classes.queue]
    assert dict(zip(queues, most_for_class(built.world).tolist(), strict=True)) == {
        "train": 32, "quick": 8, "courses": 40, "all": 32,
    }  # fmt: skip


def test_the_load_of_a_profile_is_of_the_nodes_of_its_queue(read: Read) -> None:
    profile = "  e: {kind: profile, profile: philly, queue: quick, load: 0.5}\n"
    plan = read(("  d: {kind", profile + "  d: {kind"))
    names = Names.of(plan)
    fleet = capacity_of(plan, names)
    fleet = replace(fleet, queue_nodes=sets_of(plan, names, fleet).queue_nodes)
    usable = usable_gpus(fleet, online_of(fleet), names, plan.queues["quick"], ())
    assert usable.tolist() == [8.0, 8.0, 8.0]
    (stream,) = build(plan).demand.streams
    assert stream.most_s == 3600


def test_a_saved_world_has_its_node_sets(read: Read, tmp_path: Path) -> None:
    built = build(read())
    save_world(tmp_path / "world.npz", built.world, built.demand.arrivals, built.names)
    again, _, _ = load_world(tmp_path / "world.npz")
    assert again.node_sets is not None
    assert built.world.node_sets is not None
    for ours, theirs in zip(again.node_sets, built.world.node_sets, strict=True):
        assert ours.tolist() == theirs.tolist()


def test_a_job_from_outside_is_one_of_its_queue(read: Read) -> None:
    built = build(read(("for: courses", "for: quick")))
    job = AskedJob(line=Place("job.yaml", 1), queue="quick", gpus=1)
    world, row, _ = with_class(built.world, built.names, job)
    assert world.node_sets is not None
    assert world.node_sets.class_holds[row].tolist() == [1, 0]


def test_a_plan_without_sets_has_none(read: Read) -> None:
    text = PLAN[: PLAN.index("partitions:")] + PLAN[PLAN.index("tenants:") :]
    text = text.replace("{partitions: [debug, batch]}", "{}").replace("{partitions: [batch, cores]}", "{}")
    text = text.replace("{partitions: debug, max_run_time: 2 h}", "{}")
    assert build(read((PLAN, text))).world.node_sets is None


# What stands in the plan, what stands there instead, what is found and where, words of it.
CASES = [
    ("beyond the horizon", ("from: 2026-01-12 09:00, to: 2026-01-14", "from: 2026-02-01, to: 2026-02-02"),
     "P013 plan.yaml:20 error", "not before the plan's end"),
    ("before the start", ("from: 2026-01-12 09:00", "from: 2026-01-01"), "P013 plan.yaml:20 error", "before"),
    ("ends before it begins", ("to: 2026-01-14", "to: 2026-01-12 08:00"), "P022 plan.yaml:20 error",
     "2026-01-12 08:00:00, not after its begin, 2026-01-12 09:00:00"),
    ("on top of another", ("nodes: 2", "nodes: 7"), "P150 plan.yaml:21 error",
     "night lies on top of exam: of 32 GPUs in service at lab on 2026-01-13 00:00, 24 are left for it "
     "(1 node short)"),
    ("more than there is then", ("gpus: 16, from: 2026-01-12 09:00, to: 2026-01-14",
     "gpus: 32, from: 2026-01-06, to: 2026-01-07"), "P151 plan.yaml:20 warning",
     "exam keeps 24 GPUs at lab: 24 that it can have are in service on 2026-01-06 00:00 (8 GPUs short)"),
    ("no whole node", ("product: chip, gpus: 16", "product: chip, gpus: 14"), "P152 plan.yaml:20 warning",
     "exam is 14 GPUs; in whole nodes 16"),
    ("no whole node of a partition", ("gpus: 32,", "gpus: 30,"), "P152 plan.yaml:17 warning",
     "batch is 30 GPUs; in whole nodes 32"),
    ("more nodes than ever come", ("nodes: [1, 2]", "nodes: [1, 11]"), "P153 plan.yaml:16 warning",
     "debug goes to node 11 of chip at lab; 10 ever come"),
    ("more GPUs than ever come", ("gpus: 32,", "gpus: 44,"), "P153 plan.yaml:17 warning", "44 chip GPUs"),
    ("every node is in an exclusive one", ("product: core, exclusive", "exclusive"),
     "P154 plan.yaml:24 error", "queue courses has no partition"),
    ("a queue without a node", ("queue: quick, gpus: 4", "queue: quick, products: {core: 1.0}, gpus: 4"),
     "P154 plan.yaml:23 error", "queue quick runs on debug only"),
    ("for somebody who cannot use it", ("product: chip, gpus: 16,", "product: core, gpus: 16,"),
     "P155 plan.yaml:20 error", "exam is for courses; its jobs can use none of its nodes (core at lab)"),
    ("a partition that nobody uses", ("partitions: [batch, cores]", "partitions: batch"),
     "P156 plan.yaml:18 warning", "cores, and it is exclusive"),
    ("unlike run times", ("gpus: 32, max_run_time: 1 h", "gpus: 32, max_run_time: 3 d"),
     "P158 plan.yaml:23 warning",
     "queue train runs on partitions with unlike run times (debug 1 h, batch 3 d): for all of its jobs"),
    ("one that ends after the plan", ("to: 2026-01-14, for", "to: 2026-03-14, for"),
     "P159 plan.yaml:20 warning", "exam ends on 2026-03-14"),
    ("a campaign that is too large", ("queue: quick, gpus: 4", "queue: quick, gpus: 12"),
     "P157 plan.yaml:28 warning", "b wants 12 GPUs at once; the nodes of queue quick have 8 in one place"),
    ("an unknown partition", ("partitions: debug, max", "partitions: debog, max"), "P016 plan.yaml:23 error",
     "there is no partition `debog`"),
    ("an unknown holder", ("for: courses", "for: course"), "P016 plan.yaml:20 error",
     "there is no queue, tenant or workload `course`"),
    ("an unknown site", ("debug: {site: lab", "debug: {site: lob"), "P016 plan.yaml:16 error", "lob"),
    ("GPUs and nodes", ("gpus: 32,", "gpus: 32, nodes: [1, 2],"), "P023 plan.yaml:17 error", "both"),
    ("neither", ("product: chip, gpus: 16,", "product: chip,"), "P023 plan.yaml:20 error", "neither"),
    ("parts and a site", ("gpus: 32,", "parts: [{site: far}],"), "P023 plan.yaml:17 error", "`parts` and"),
    ("no site", ("batch: {site: lab, product: chip, gpus: 32, max_run_time: 1 h}", "batch: {}"),
     "P007 plan.yaml:17 error", "has no nodes"),
    ("an empty list of parts", ("batch: {site: lab, product: chip, gpus: 32,", "batch: {parts: [],"),
     "P008 plan.yaml:17 error", "is empty"),
    ("a range of one", ("nodes: [1, 2]", "nodes: [1]"), "P008 plan.yaml:16 error", "range of nodes"),
    ("a range turned round", ("nodes: [1, 2]", "nodes: [2, 1]"), "P014 plan.yaml:16 error", "ends at 1"),
    ("a misspelt key", ("for: courses", "four: courses"), "P006 plan.yaml:20 error", "four"),
]  # fmt: skip


def findings(read: Read, change: tuple[str, str]) -> list[Finding]:
    """Errors of a plan and its world, else the warnings of both."""
    try:
        plan = read(change)
        return [*plan.warnings, *check_world(plan).findings]
    except GpufleetError as error:
        return list(error.findings)


@pytest.mark.parametrize(
    ("change", "found", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_wrong_is_found_at_its_line(
    read: Read, change: tuple[str, str], found: str, words: str
) -> None:
    first = findings(read, change)[0]
    assert f"{first.code} {first.at} {first.severity}" == found
    assert words in first.says
    assert first.fix
    assert explanations[first.code].example


def test_the_plan_itself_is_right(read: Read) -> None:
    assert findings(read, (PLAN, PLAN)) == []
