"""`why`: times that sum, causes with their lines, never against not now, names that are one job's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import STORIES, Small, Story, small

from gpufleet.base.errors import GpufleetError
from gpufleet.engine.run import simulate
from gpufleet.plan.load import load_plan
from gpufleet.results.blame import Wish, blame, products_of
from gpufleet.results.columns import MEANINGS, WAITS, WORDS
from gpufleet.results.explain import why
from gpufleet.results.run import Run
from gpufleet.world.build import build
from gpufleet.world.layout import BEYOND_DEPTH, FRAGMENTED, NO_FREE, NOT_ONLINE, ORDER, RESERVATION


@pytest.mark.parametrize("job", range(7))
def test_parts_and_causes_sum_to_the_wait(run: Run, job: int) -> None:
    told = why(run, job)
    assert sum(part.wait_s for part in told.parts) == told.row["wait_s"]
    assert sum(cause.wait_s for cause in told.causes) == told.row["wait_s"]


def test_own_quota_blames_the_line_of_the_quota(run: Run) -> None:
    told = why(run, "b")
    assert [(c.root, c.wait_s, str(c.lines[0])) for c in told.causes] == [
        ("own_quota", 3535, "tenants.research.quota.P100-like at plan.yaml:20"),
        ("between_passes", 5, "policy.interval at plan.yaml:25"),
    ]
    assert told.text().splitlines()[0] == (
        "job 1 waited 59 min; first cause: own quota (tenants.research.quota.P100-like at plan.yaml:20)"
    )
    assert "16 P100-like online, 8 busy; its queue held 8 of a quota of 8" in told.text()


def test_order_names_the_job_ahead_and_the_root_its_lines(run: Run) -> None:
    told = why(run, "d")
    assert [str(b) for b in told.parts[0].lines] == [
        "policy.order at plan.yaml:25",
        "policy.strict (default)",
    ]
    assert (told.causes[0].root, told.causes[0].job) == ("no_free", 2)
    assert "held by order, behind job 2 (last)" in told.text()
    assert "deliveries.lot-1 at plan.yaml:12; deliveries.lot-2 at plan.yaml:13" in told.text()


def test_never_is_not_not_now(run: Run) -> None:
    never, quota, not_now, at_once = (why(run, job) for job in ("history/big", "wide", "big/big", "a"))
    assert str(never).startswith(
        "job 4 can never run: it wants 64 GPUs; at most 24 P100-like are ever online in one place "
        "(deliveries.lot-1 at plan.yaml:12; deliveries.lot-2 at plan.yaml:13)\n"
    )
    assert "the quota of queue debug is 4 P100-like (tenants.vision.queues.debug.quota.P100-like at" in str(
        quota
    )
    assert str(not_now).startswith("job 6 has not started yet after 22 h; first cause: no free GPUs")
    assert not not_now.never
    assert str(at_once).startswith("job 0 did not wait\n")


def test_json_is_complete_and_plain(run: Run) -> None:
    value = why(run, 3).to_json()
    assert value["schema"] == "gpufleet.why/1"
    assert value == json.loads(json.dumps(value))
    assert value["waits"] == [
        {
            "state": "order",
            "wait_s": 600,
            "words": "held by order",
            "lines": [{"path": "policy.order", "at": "plan.yaml:25"}, {"path": "policy.strict", "at": None}],
        }
    ]
    assert value["when_it_came"]["products"] == [
        {
            "product": "P100-like",
            "online_gpus": 16.0,
            "busy_gpus": 8.0,
            "queue_gpus": 0.0,
            "quota_gpus": None,
            "obstacle": None,
        }
    ]
    assert value["never"] is None
    assert value["times"]["start"] == "2026-01-05 00:13:20"


def test_what_is_not_online_waits_for_the_next_delivery(run: Run) -> None:
    wish = Wish("train", tuple(products_of(run.plan, "history")), 8, from_s=100)
    lines = blame(run.plan, "not_online", wish)
    assert [str(b) for b in lines] == ["deliveries.lot-2 at plan.yaml:13"]
    late = blame(run.plan, "not_online", wish._replace(from_s=80_000))
    assert [b.path for b in late] == ["deliveries.lot-2", "deliveries.lot-1"]


def test_a_tenants_own_gpus_are_counted_alone(tmp_path: Path) -> None:
    own = ["deliveries.lot-1.for=research", "deliveries.lot-2.for=vision"]
    run = small(tmp_path / "plan", sets=own).write(tmp_path / "run")
    told = why(run, "b")
    assert told.then.whose == "GPUs of research"
    assert (told.then.products[0].online, told.then.peak) == (16, 16)
    wish = Wish("train", ("P100-like",), 8)
    assert [b.path for b in blame(run.plan, "no_free", wish)] == ["deliveries.lot-2"]


def test_every_state_has_words_and_lines(tmp_path: Path) -> None:
    states = (NO_FREE, NOT_ONLINE, FRAGMENTED, BEYOND_DEPTH)
    waits = [(state, state, 10) for state in states] + [(RESERVATION, NO_FREE, 10), (ORDER, NOT_ONLINE, 10)]
    stories = [STORIES[0], Story(waits, 60, behind=0), *STORIES[2:]]
    told = why(small(tmp_path / "plan", stories).write(tmp_path / "run"), 1)
    assert len(told.parts) == 6
    assert all(part.lines for part in told.parts)
    assert "reservation, behind job 0 (last)  [policy.backfill (default)]" in told.text()
    assert {*WAITS, "dependency"} == set(WORDS) == set(MEANINGS)


def test_a_name_that_means_several_jobs_lists_them(run: Run) -> None:
    with pytest.raises(GpufleetError, match=r"#4 \(history/big\), #6 \(big/big\)") as error:
        why(run, "big")
    assert error.value.findings[0].code == "R007"
    with pytest.raises(GpufleetError, match="R007"):
        why(run, "3")
    assert why(run, "#3").row["name"] == "d"
    assert why(run, "history/3").row["job"] == 2
    assert why(run, 3).row["name"] == "d"


@pytest.mark.parametrize("job", ["nobody", "99", "#99", 99, -1, "", "9" * 40, "history/", "#"])
def test_a_job_that_is_not_there_is_said(run: Run, job: int | str) -> None:
    with pytest.raises(GpufleetError, match="jobs are numbered 0 to 6") as error:
        why(run, job)
    assert error.value.findings[0].code == "R006"


def test_a_likely_name_is_suggested(run: Run) -> None:
    with pytest.raises(GpufleetError, match="did you mean `wide`"):
        why(run, "wid")


SEVERAL = """\
gpufleet: 1
name: several
start: 2026-01-05
end: 2026-01-06
sites:
  east: {}
  west: {power: 10 W, pue: 1}
systems:
  old: {product: H100-like, gpus_per_node: 8, node_power: 10 kW}
  new: {product: B200-like, gpus_per_node: 8, node_power: 10 kW}
deliveries:
  - {name: h100, to: east, system: old, gpus: 800, at: 2026-01-05}
  - {name: b200, to: east, system: new, gpus: 16, at: 2026-01-05}
  - {name: dark, to: west, system: new, gpus: 8, at: 2026-01-05}
  - {name: darker, to: west, system: old, gpus: 64, at: 2026-01-05 12:00}
tenants:
  lab: {quota: {H100-like: 8}}
workloads:
  first: {kind: campaign, queue: lab, gpus: 16, duration: 2 h, at: 2026-01-05 00:00, products: {B200-like: 1}}
  second: {kind: campaign, queue: lab, gpus: 16, duration: 1 h, at: 2026-01-05 01:00,
           products: {H100-like: 1, B200-like: 1}}
  third: {kind: campaign, queue: lab, gpus: 24, duration: 1 h, at: 2026-01-05 04:00,
          products: {H100-like: 1, B200-like: 1}}
"""


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two products: of one the quota binds, of the other the delivery. `third` can never run."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "plan.yaml").write_text(SEVERAL)
    plan = load_plan(folder / "plan.yaml")
    built = build(plan)
    result = simulate(built.world, built.demand.jobs())
    told = Small(plan, built, result.outcomes, result.tallies)
    return told.write(folder / "run")


def test_each_option_has_its_own_obstacle(several: Run) -> None:
    told = why(several, "second")
    assert (told.causes[0].root, told.row["wait_s"]) == ("no_free", 3600)
    assert [b.path for b in told.causes[0].lines] == ["deliveries.b200", "tenants.lab.quota.H100-like"]
    assert several.answer.endswith(
        "first cause: no free GPUs (deliveries at plan.yaml:13, quota at plan.yaml:17)"
    )
    assert (
        "    800 H100-like online, 0 busy; its queue held 0 of a quota of 8: own quota\n"
        "    16 B200-like online, 16 busy; its queue held 16: no free GPUs"
    ) in told.text()
    obstacles = [row["obstacle"] for row in told.to_json()["when_it_came"]["products"]]
    assert obstacles == ["own_quota", "no_free"]


def test_no_power_is_blamed_where_it_would_not_help(several: Run) -> None:
    never = why(several, "third").never
    assert never == (
        "it wants 24 GPUs; at most 16 B200-like are ever online in one place "
        "(deliveries.b200 at plan.yaml:13; deliveries.dark at plan.yaml:14); "
        "the quota of queue lab is 8 H100-like (tenants.lab.quota.H100-like at plan.yaml:17)"
    )
    wish = Wish("lab", ("H100-like", "B200-like"), 8, held={"H100-like": 8})
    dark = ["dark", "darker"]
    lines = [b.path for b in blame(several.plan, "no_free", wish, unpowered=dark)]
    assert lines == ["deliveries.b200", "deliveries.dark", "sites.west.power", "tenants.lab.quota.H100-like"]
    early = [b.path for b in blame(several.plan, "not_online", wish._replace(gpus=16), unpowered=dark)]
    assert early == ["deliveries.b200", "tenants.lab.quota.H100-like"]
    quota = [b.path for b in blame(several.plan, "own_quota", wish)]
    assert quota == ["tenants.lab.quota.H100-like"]


OVERTAKEN = """\
gpufleet: 1
name: overtaken
start: 2026-01-05
end: 2026-01-06
sites: {hall: {}}
systems:
  old: {product: H100-like, gpus_per_node: 8}
  new: {product: B200-like, gpus_per_node: 8}
deliveries:
  - {name: shared, to: hall, system: old, gpus: 16, at: 2026-01-05}
  - {name: theirs, to: hall, system: new, gpus: 64, at: 2026-01-05, for: other}
tenants: {lab: {}, other: {}}
policy: {strict: false}
workloads:
  first: {kind: campaign, queue: lab, gpus: 8, duration: 3 h, at: 2026-01-05 00:00}
  large: {kind: campaign, queue: lab, gpus: 16, duration: 1 h, at: 2026-01-05 01:00}
  small: {kind: campaign, queue: lab, gpus: 4, duration: 4 h, at: 2026-01-05 02:00}
  after: {kind: campaign, queue: lab, gpus: 4, duration: 1 h, at: 2026-01-05 02:30}
  theirs: {kind: campaign, queue: other, gpus: 4, duration: 1 h, at: 2026-01-05 02:30}
"""


def overtaken(folder: Path, text: str) -> Run:
    folder.mkdir()
    (folder / "plan.yaml").write_text(text)
    plan = load_plan(folder / "plan.yaml")
    built = build(plan)
    result = simulate(built.world, built.demand.jobs())
    return Small(plan, built, result.outcomes, result.tallies).write(folder / "run")


def test_who_overtook_a_large_job(tmp_path: Path) -> None:
    told = why(overtaken(tmp_path / "loose", OVERTAKEN), "large")
    assert (
        "  2 jobs came to its queue later and started before it, 2 of them with fewer GPUs "
        "(policy.strict at plan.yaml:13)"
    ) in told.text().splitlines()
    assert told.to_json()["overtaken_by"] == {"jobs": 2, "smaller": 2}
    strict = why(overtaken(tmp_path / "strict", OVERTAKEN.replace("strict: false", "strict: true")), "large")
    assert strict.to_json()["overtaken_by"] == {"jobs": 0, "smaller": 0}
    assert "started before it" not in strict.text()


def test_products_that_a_tenant_can_never_use_are_left_out(tmp_path: Path) -> None:
    run = overtaken(tmp_path / "loose", OVERTAKEN)
    products = {
        job: why(run, job).to_json()["when_it_came"]["products"] for job in ("large", "theirs/theirs")
    }
    named = {job: [row["product"] for row in rows] for job, rows in products.items()}
    assert named == {"large": ["H100-like"], "theirs/theirs": ["H100-like", "B200-like"]}


def test_beyond_depth_names_the_depth_and_its_line(tmp_path: Path) -> None:
    waits = [Story([(BEYOND_DEPTH, BEYOND_DEPTH, 600)], 60)]
    run = small(tmp_path / "a", [STORIES[0], *waits, STORIES[0], *STORIES[0:1] * 4]).write(tmp_path / "run")
    told = why(run, 1)
    assert str(told.causes[0].lines[0]) == "policy.backfill.depth (default)"
    assert "it looks at 100 jobs of a queue" in told.text()
    lock = {"lines": {"policy.backfill": "plan.yaml:9"}}
    assert str(blame(lock, "beyond_depth", Wish("q", ("p",), 8))[0]) == "policy.backfill.depth at plan.yaml:9"
    lock["lines"]["policy.backfill.depth"] = "plan.yaml:10"
    assert (
        str(blame(lock, "beyond_depth", Wish("q", ("p",), 8))[0]) == "policy.backfill.depth at plan.yaml:10"
    )
