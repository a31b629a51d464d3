"""Limits and dependencies of a plan as the engine gets them, and back from a file."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from gpufleet.catalog.profiles import load_profile
from gpufleet.world.asked import demand_findings
from gpufleet.world.build import build
from gpufleet.world.capacity import capacity_of
from gpufleet.world.layout import UNKNOWN_S, UNLIMITED
from gpufleet.world.names import Names
from gpufleet.world.save import load_accounts, load_world, save_world

DAY_S = 86400
TEXT = """
systems: {box: {product: chip, gpus_per_node: 8}, rack: {product: card, gpus_per_node: 4}}
sites: {lab: {}, hall: {}, far: {}}
deliveries:
  - {to: lab, system: box, gpus: 64, at: 2026-01-01}
  - {to: hall, system: rack, gpus: 64, at: 2026-01-01}
tenants:
  a:
    limits: {per_project: {gpus: {chip: 16, card: 8}, jobs: 5, for: 20 d}}
    queues: {one: {}, two: {limits: {per_user: {gpus: 4}, per_project: {gpus: 32}}}}
  b: {}
workloads:
  history: {kind: trace, file: jobs.csv, queue: {default: two}, project: vision}
  daily: {kind: profile, profile: philly, load: 0.2, queue: one, projects: 3, to: 2026-02-15,
          from: 2026-01-03, products: {chip: 1}}
  sweep: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02, tasks: 3, at_once: 2}
  sum: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02,
        after: [history, {workload: daily, any: true}]}
  plain: {kind: campaign, queue: b, gpus: 1, duration: 1 h, at: 2026-01-02}
"""
JOBS = """\
    job,submit,gpus,duration_s,queue,user
    x,2026-01-02T00:00:00,1,60,two,ann
    y,2026-01-03T00:00:00,1,60,two,bob
    z,2026-01-04T00:00:00,1,60,two,ann
    w,2026-01-05T00:00:00,1,60,two,
"""


@pytest.fixture
def built(plan_of):
    return build(plan_of(TEXT, jobs=JOBS))


def rows(built):
    """Accounts by name: kind, path, limit, total, jobs, end."""
    names, a = built.names, built.world.accounts
    columns = (names.account_kinds, names.account_paths, a.limit.tolist(), a.total.tolist(), a.jobs.tolist())
    return dict(zip(names.accounts, zip(*columns, a.end_s.tolist(), strict=True), strict=True))


def test_accounts_are_what_the_plan_limits(built):
    found, free = rows(built), UNLIMITED
    assert built.names.products == ("chip", "card")
    user = ("user", "tenants.a.queues.two.limits.per_user", [free, free], 4, free, UNKNOWN_S)
    assert found["ann"] == found["bob"] == user
    array = ("array", "workloads.sweep.at_once", [free, free], free, 2, UNKNOWN_S)
    assert found["sweep"] == array
    # named: from the start on; generated: from that of the workload, and then a new one follows
    of_tenant = ("project", "tenants.a.limits.per_project", [16, 8], free, 5)
    assert found["daily-project-2"] == (*of_tenant, 22 * DAY_S)
    assert found["daily-project-2.2"] == (*of_tenant, 42 * DAY_S)
    assert found["daily-project-2.3"] == (*of_tenant, 62 * DAY_S)
    assert "daily-project-2.4" not in found
    vision = [at for at, name in enumerate(built.names.accounts) if name == "vision"]
    a = built.world.accounts
    assert [(a.total[at], a.end_s[at]) for at in vision] == [(free, 20 * DAY_S), (32, UNKNOWN_S)]


def test_jobs_count_in_the_accounts_of_their_user_and_project(built):
    jobs, table, a = built.demand.jobs(), built.demand.table, built.world.accounts
    of = {}
    for name, cls in zip(table["name"].to_list(), jobs.cls.tolist(), strict=True):
        of[name] = [built.names.accounts[at] for at in a.of_class[cls].tolist() if at >= 0]
    assert of["x"] == of["z"] == ["ann", "vision", "vision"]
    assert of["y"] == ["bob", "vision", "vision"]
    assert of["w"] == ["vision", "vision"]  # nobody's
    assert of["sweep-1"] == of["sweep-3"] == ["sweep"]
    assert of["plain"] == of["sum"] == []


def test_generated_jobs_are_dealt_to_projects_that_follow_each_other(built):
    jobs, a = built.demand.jobs(), built.world.accounts
    mine = built.demand.table["workload"].to_numpy() == "daily"
    account = a.of_class[jobs.cls[mine], 0]
    generation = (jobs.submit_s[mine] - 2 * DAY_S) // (20 * DAY_S)
    assert set(generation.tolist()) == {0, 1, 2}
    assert (a.end_s[account] == (2 + 20 * (generation + 1)) * DAY_S).all()
    counts = np.unique(account[generation == 0], return_counts=True)[1]
    assert counts.size == 3
    assert counts.min() > 0.8 * counts.mean()


def test_the_same_jobs_whatever_the_limits(built, plan_of):
    plain = build(plan_of(TEXT.replace(", projects: 3", ""), jobs=JOBS)).demand.jobs()
    jobs = built.demand.jobs()
    for name in ("submit_s", "gpus", "work_s", "limit_s"):
        np.testing.assert_array_equal(getattr(jobs, name), getattr(plain, name))


def test_all_jobs_of_a_user_are_of_one_project(tmp_path, plan_of):
    source = files("gpufleet.catalog").joinpath("profiles", "philly.json")
    known = json.loads(source.read_text(encoding="utf-8"))
    known["users"] = {"count": 40, "p": [0.0, 1.0], "share": [0.0, 1.0]}
    (tmp_path / "like.json").write_text(json.dumps(known))
    assert load_profile(tmp_path / "like.json").users.count == 40
    demand = build(plan_of(TEXT.replace("profile: philly", "profile: ./like.json"), jobs=JOBS)).demand
    mine = demand.table["workload"].to_numpy() == "daily"
    users, cls = demand.table["user"].to_numpy()[mine], demand.jobs().cls[mine]
    early = demand.jobs().submit_s[mine] < 22 * DAY_S
    pairs = set(zip(users[early].tolist(), cls[early].tolist(), strict=True))
    assert len(pairs) == len(set(users[early].tolist())) == 40
    assert len(set(cls[early].tolist())) == 3


def test_gates_are_the_dependencies(built):
    gates, jobs = built.world.gates, built.demand.jobs()
    names = built.demand.table["name"].to_list()
    of = {name: cls for name, cls in zip(names, jobs.cls.tolist(), strict=True) if name}
    assert (gates.of_class[of["sum"]], gates.of_class[of["plain"]]) == (0, -1)
    assert gates.source[of["x"]] == gates.source[of["y"]] == 0
    assert gates.source[of["sum"]] == -1
    assert (gates.gate.tolist(), gates.after.tolist(), gates.any_end.tolist()) == ([0, 0], [0, 1], [0, 1])
    assert gates.last_s.tolist() == [4 * DAY_S, 45 * DAY_S - 1]


def test_queues_with_a_common_account_are_one_island(built, plan_of):
    # the two queues of tenant a use different products here; only the project joins them
    text = TEXT.replace(
        "queue: {default: two}, project: vision", "queue: {default: two}, products: {card: 1}"
    )
    text = text.replace("queue: b, gpus: 1", "queue: b, gpus: 1, products: {chip: 1}")
    island = build(plan_of(text, jobs=JOBS)).world.queues.island
    assert island[0] != island[1]
    both = text.replace("products: {card: 1}", "products: {card: 1}, project: vision")
    both = both.replace("projects: 3", "project: vision")
    island = build(plan_of(both, jobs=JOBS)).world.queues.island
    assert island[0] == island[1]


def test_a_world_comes_back_with_accounts_and_gates(built, tmp_path):
    save_world(tmp_path / "world.npz", built.world, built.demand.arrivals, built.names)
    world, arrivals, names = load_world(tmp_path / "world.npz")
    assert names == built.names
    accounts, named = load_accounts(tmp_path / "world.npz")
    assert named == names
    for ours, theirs in ((world.accounts, built.world.accounts), (accounts, world.accounts)):
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y)
    for x, y in zip(world.gates, built.world.gates, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(arrivals.streams[0].owner_cls, built.demand.streams[0].owner_cls)


def test_without_limits_there_is_nothing(plan_of):
    plain = build(plan_of(TEXT.replace("at_once: 2", "").replace(", projects: 3", "")
                          .replace(", project: vision", "").replace("{limits: {per_user: {gpus: 4}, "
                          "per_project: {gpus: 32}}}", "{}"), jobs=JOBS))  # fmt: skip
    assert plain.world.accounts is None
    assert plain.names.accounts == ()
    assert plain.demand.streams[0].owner_cls.size == 0


def test_generated_jobs_above_a_limit_are_told(plan_of):
    plan = plan_of(TEXT.replace("{chip: 16, card: 8}", "{chip: 2}").replace("project: vision", ""), jobs=JOBS)
    names = Names.of(plan)
    _, found = demand_findings(plan, names, capacity_of(plan, names))
    (one,) = [each for each in found if each.code == "P075"]
    assert "at most 2 can ever be had at once" in one.says
