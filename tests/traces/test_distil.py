from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.catalog.profile import Profile
from gpufleet.catalog.profiles import load_profile
from gpufleet.plan.load import load_plan
from gpufleet.traces.distil import About, distil
from gpufleet.traces.read import read_trace
from gpufleet.traces.trace import Trace
from gpufleet.world.build import build

from .conftest import Write

ABOUT = About("lab", "A lab", "a log", "none", "by hand")

FOUR = """\
    job,submit,gpus,duration_s,limit_s,queue,user,state
    a,2026-01-05T09:00:00,1,0.5,0,x,ann,COMPLETED
    b,2026-01-05T10:00:00,1,7,14,x,ann,CANCELLED by 7
    c,2026-01-06T11:00:00,8,100,100,y,ann,TIMEOUT
    d,2026-01-06T12:00:00,8,300,900,x,bob,OUT_OF_MEMORY
    """

PLAN = """\
gpufleet: 1
name: like
start: 2026-01-05
end: 2026-12-28
time_zone: UTC
sites: {here: {}}
systems: {node: {product: gpu, gpus_per_node: 8, nodes_per_domain: 1}}
deliveries: [{name: all, to: here, system: node, gpus: 10000, at: 2026-01-05, status: online}]
tenants: {all: {}}
workloads: {like: {kind: profile, profile: p.json, queue: all, gpu_hours_per_month: GPU_HOURS}}
"""


def test_worked_by_hand(write: Write) -> None:
    made, found = distil(read_trace(write(FOUR)), ABOUT)
    one, eight = made.sizes
    assert (made.jobs, made.mean_gpus, made.mean_run_s, made.mean_gpu_s) == (4, 4.5, 102.0, 802.0)
    assert made.weeks == pytest.approx(27 / 168, rel=1e-5)
    assert (one.gpus, one.share, one.mean_run_s) == (1, 0.5, 4.0)  # 0.5 s counts as 1 s
    assert (one.run_s.p, one.run_s.s) == ((0, 0.25, 0.75, 1), (1, 1, 7, 7))
    assert (eight.gpus, eight.share, eight.mean_run_s) == (8, 0.5, 200.0)
    assert one.limit is not None
    assert (one.limit.share, set(one.limit.over_run)) == (0.5, {2.0})
    assert eight.limit is not None
    assert (eight.limit.share, eight.limit.over_run) == (1.0, (1, 1, 3, 3))
    assert made.queues == {"x": 0.75, "y": 0.25}
    assert made.end_states == {"killed": 0.5, "done": 0.25, "failed": 0.25}
    assert made.users is not None
    assert (made.users.count, made.users.p, made.users.share) == (2, (0, 0.5, 1), (0, 0.75, 1))
    assert set(made.arrivals.hour_of_week) == {1.0}
    assert [each.code for each in found] == ["T081"]
    assert made.time_zone == "local"


def test_what_a_log_does_not_have_is_not_made_up(write: Write) -> None:
    made, _ = distil(read_trace(write("job,submit_s,gpus,duration_s\na,0,1,5\nb,9,1,5\n")), ABOUT)
    assert (made.users, dict(made.queues), dict(made.end_states), made.sizes[0].limit) == (None, {}, {}, None)


def test_hours_are_counted_in_the_time_zone(write: Write) -> None:
    rows = [
        f"j{week}-{i},2026-01-{5 + 7 * week:02}T00:{i:02}:00+00:00,1,60"  # Mondays at midnight, UTC
        for week in range(3)
        for i in range(50)
    ]
    rows += ["first,2026-01-04T00:00:00Z,1,60", "last,2026-01-26T23:59:00Z,1,60"]
    path = write("job,submit,gpus,duration_s\n" + "\n".join(rows) + "\n")
    busiest = {
        zone: int(np.argmax(distil(read_trace(path), ABOUT, zone)[0].arrivals.hour_of_week))
        for zone in (None, "Asia/Seoul")
    }
    assert busiest == {None: 0, "Asia/Seoul": 9}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["a,0,1,5"], "the trace has 1 job"),
        (["a,7,1,5", "b,7,1,5"], "the trace's 2 jobs were submitted in one second"),
    ],
)
def test_too_few_jobs_are_refused(write: Write, rows: list[str], says: str) -> None:
    path = write("\n".join(["job,submit_s,gpus,duration_s", *rows, ""]))
    with pytest.raises(GpufleetError) as caught:
        distil(read_trace(path), ABOUT)
    (found,) = caught.value.findings
    assert (found.code, found.says, found.at and found.at.file) == ("T080", says, str(path))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(1, 64), st.floats(0, 1e6), st.integers(0, 10**5)),
        min_size=2,
        max_size=200,
    ).filter(lambda jobs: len({job[0] for job in jobs}) > 1)
)
def test_every_profile_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[int, int, float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("profiles")
    lines = [f"j{i},{s},{g},{r},{limit}" for i, (s, g, r, limit) in enumerate(jobs)]
    (folder / "t.csv").write_text("\n".join(["job,submit_s,gpus,duration_s,limit_s", *lines]))
    made, _ = distil(read_trace(folder / "t.csv"), ABOUT)
    (folder / "p.json").write_text(made.text())
    assert load_profile(folder / "p.json") == made
    work = [g * max(r, 1.0) for _, g, r, _ in jobs]
    assert made.mean_gpu_s == pytest.approx(np.mean(work), rel=1e-5)
    assert sum(size.share * size.gpus * size.run_s.mean_s for size in made.sizes) == pytest.approx(
        made.mean_gpu_s, rel=1e-4
    )


def drawn(profile: Profile, folder: Path) -> Trace:
    """A year of jobs drawn from a profile, as a log."""
    (folder / "p.json").write_text(profile.text())
    gpu_hours = 50_000 / 51 * profile.mean_gpu_s / 3600 * 730.5 / 168
    (folder / "plan.yaml").write_text(PLAN.replace("GPU_HOURS", f"{gpu_hours:.0f}"))
    lines = ["job,submit,gpus,duration_s,limit_s,user"]
    start = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp())
    number = 0
    for jobs, table in build(load_plan(folder / "plan.yaml")).demand.batches():
        users = table["user"].to_list()
        for s, gpus, run_s, limit, user in zip(
            jobs.submit_s, jobs.gpus, jobs.work_s, jobs.limit_s, users, strict=True
        ):
            at = datetime.fromtimestamp(start + int(s), UTC)
            lines.append(f"j{number},{at:%Y-%m-%dT%H:%M:%S},{gpus},{run_s:.3f},{limit},{user or ''}")
            number += 1
    (folder / "drawn.csv").write_text("\n".join(lines))
    return read_trace(folder / "drawn.csv")


def test_distilling_drawn_jobs_gives_the_profile_back(tmp_path: Path, write: Write) -> None:
    before = _invented()
    after, _ = distil(drawn(before, tmp_path), ABOUT)
    assert after.jobs == pytest.approx(50_000, rel=0.1)
    assert [size.gpus for size in after.sizes] == [1, 8, 64]
    for old, new in zip(before.sizes, after.sizes, strict=True):
        assert new.share == pytest.approx(old.share, rel=0.1)
        assert new.mean_run_s == pytest.approx(old.mean_run_s, rel=0.1)
        p = np.linspace(0.05, 0.95, 19)
        then, now = (np.interp(p, size.run_s.p, size.run_s.s) for size in (old, new))
        assert np.abs(np.interp(now, old.run_s.s, old.run_s.p) - p).max() < 0.05, then
    assert after.sizes[1].limit is not None
    assert after.sizes[1].limit.share == pytest.approx(0.5, abs=0.03)
    assert after.sizes[0].limit is None
    assert after.arrivals.day_cv == pytest.approx(0.3, abs=0.07)
    assert after.arrivals.hour_cv == pytest.approx(0.5, abs=0.07)
    weights = np.array(before.arrivals.hour_of_week), np.array(after.arrivals.hour_of_week)
    assert np.corrcoef(*weights)[0, 1] > 0.95
    assert before.users is not None
    assert after.users is not None
    assert after.users.count == before.users.count
    top = (np.interp(0.1, each.p, each.share) for each in (before.users, after.users))
    assert next(top) == pytest.approx(next(top), abs=0.02)


def _invented() -> Profile:
    """A profile whose every part differs from what nothing would give."""
    from gpufleet.catalog.profile import Arrivals, Limits, Quantiles, Size, Users

    week = 1 + 0.7 * np.sin(np.arange(168) * 2 * np.pi / 24)
    limit = Limits(0.5, (0.0, 1.0), (1.5, 4.0))
    sizes = (
        Size(1, 0.7, Quantiles((0.0, 0.5, 0.9, 1.0), (10.0, 100.0, 3000.0, 9000.0)), 1247.5, None),
        Size(8, 0.2, Quantiles((0.0, 0.8, 1.0), (60.0, 6000.0, 50_000.0)), 8024.0, limit),
        Size(64, 0.1, Quantiles((0.0, 1.0), (3600.0, 36_000.0)), 19_800.0, None),
    )
    mean_gpus, mean_run_s = 0.7 + 1.6 + 6.4, 0.7 * 1247.5 + 0.2 * 8024 + 0.1 * 19_800
    return Profile(
        *("invented", "Invented", "a test", "none", "by hand", "assumption", 1000, 4.0, "UTC"),
        Arrivals(tuple(week / week.mean()), 0.3, 0.5),
        sizes,
        Users(40, (0.0, 0.1, 0.5, 1.0), (0.0, 0.6, 0.95, 1.0)),
        {},
        {},
        mean_gpus,
        mean_run_s,
        0.7 * 1247.5 + 1.6 * 8024 + 6.4 * 19_800,
    )
