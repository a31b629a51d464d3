"""Generated jobs: what they are a function of, and whether they are what was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpufleet.catalog.profiles import Arrivals, load_profile
from gpufleet.plan.load import load_plan
from gpufleet.world.build import build
from gpufleet.world.generate import CHUNK, rows_of
from gpufleet.world.save import load_world, save_world

FLEET = """
systems: {box: {product: B200-SXM, gpus_per_node: 8, nodes_per_domain: 1}}
sites: {lab: {}}
deliveries:
  - {name: x, to: lab, system: box, gpus: 512, at: 2026-01-01}
  - {name: y, to: lab, system: box, gpus: 512, at: 2026-02-01}
tenants: {a: {}, b: {}}
"""
HEAD = "gpufleet: 1\nname: test\nstart: 2026-01-01\nend: 2026-03-01\n"
ONE = FLEET + "workloads:\n  w: {kind: profile, profile: philly, queue: a, load: 0.9}\n"
TWO = ONE + "  v: {kind: profile, profile: philly, queue: b, load: 0.3, scale: {gpus: 3, most_gpus: 16}}\n"


def all_rows(stream, chunk=CHUNK):
    parts = list(rows_of(stream, chunk))
    return type(parts[0])._make(np.concatenate(column) for column in zip(*parts, strict=True))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return build(_plan(tmp_path_factory.mktemp("two"), TWO))


def _plan(folder, text, more=""):
    (folder / "plan.yaml").write_text(HEAD + more + text)
    return load_plan(folder / "plan.yaml")


@given(st.integers(1, 20_000))
@settings(max_examples=8, deadline=None)
def test_the_chunk_changes_nothing(two, chunk):
    stream = two.demand.streams[1]
    for whole, cut in zip(all_rows(stream), all_rows(stream, chunk), strict=True):
        assert whole.tobytes() == cut.tobytes()


@pytest.mark.parametrize("rows", [1000, 1 << 17])
def test_the_batch_changes_nothing(two, rows):
    batches = list(two.demand.batches(rows))
    assert [len(batch.jobs.gpus) for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    for whole, *parts in zip(two.demand.jobs(), *(batch.jobs for batch in batches), strict=True):
        assert whole.tobytes() == np.concatenate(parts).tobytes()
    jobs = two.demand.jobs()
    assert (np.diff(jobs.submit_s) >= 0).all()
    assert jobs.submit_s[-1] < two.world.clock.end_s


def test_another_workload_changes_no_job(two, plan_of):
    alone = all_rows(build(plan_of(ONE)).demand.streams[0])
    beside = all_rows(two.demand.streams[0])
    for one, other in zip(alone, beside, strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_seed_changes_every_job(two, tmp_path):
    other = all_rows(build(_plan(tmp_path, TWO, "seed: 2\n")).demand.streams[0])
    first = all_rows(two.demand.streams[0])
    n = min(len(first.gpus), len(other.gpus))
    assert (first.work_s[:n] != other.work_s[:n]).mean() > 0.99


@pytest.mark.parametrize("row", [0, 1])
def test_the_offered_load_is_reached(two, row):
    rows, stream = all_rows(two.demand.streams[row]), two.demand.streams[row]
    load, capacity = (0.9, 0.3)[row], 512 * 31 * 86400 + 1024 * 28 * 86400
    work = rows.gpus * rows.work_s
    error = np.sqrt((work**2).sum()) / work.sum()  # of a compound Poisson sum
    assert stream.jobs * stream.mean_gpu_s == pytest.approx(work.sum(), rel=5 * error)
    uneven = two_day_error(stream, 59)
    assert work.sum() / capacity == pytest.approx(load, rel=5 * (error + uneven))


def two_day_error(stream, days):
    """Relative error of a mean over days that are uneven: of the expected jobs per day, by the numbers."""
    per_day = np.diff(np.interp(np.arange(days + 1) * 86400, stream.knot_s, stream.knot_jobs))
    return per_day.std() / per_day.mean() / days**0.5


def test_the_load_follows_the_fleet(two):
    stream = two.demand.streams[0]
    february = 31 * 86400
    before = np.interp(february, stream.knot_s, stream.knot_jobs) / 31
    after = (stream.jobs - before * 31) / 28
    assert after / before == pytest.approx(2, rel=5 * two_day_error(stream, 59) + 0.01)


def test_hours_of_the_week_are_local(tmp_path):
    weights = np.linspace(0.2, 1.8, 168)
    even = replace(load_profile("philly"), arrivals=Arrivals(tuple(weights.tolist()), 0.0, 0.0))
    (tmp_path / "even.json").write_text(even.text())
    text = ONE.replace("load: 0.9", "gpu_hours_per_month: 3000000").replace("philly", "even.json")
    built = build(_plan(tmp_path, text, "time_zone: America/New_York\n"))
    rows = all_rows(built.demand.streams[0])
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo("America/New_York"))
    of_week = start.weekday() * 24 + rows.submit_s[rows.submit_s < 56 * 86400] // 3600
    counts = np.bincount(of_week % 168, minlength=168)
    expected = counts.sum() * weights / 168
    assert ((counts - expected) ** 2 / expected).sum() < 260  # 167 degrees of freedom: one in 200,000
    assert rows.gpus.size == pytest.approx(built.demand.streams[0].jobs, abs=5 * rows.gpus.size**0.5)


def test_scale_and_window(plan_of):
    text = (
        FLEET
        + """
workloads:
  w: {kind: profile, profile: philly, queue: a, gpu_hours_per_month: 100000, from: 2026-01-10, to: 2026-01-20}
  v: {kind: profile, profile: philly, queue: a, gpu_hours_per_month: 100000, priority: 3,
      scale: {gpus: 3, run_time: 2, most_gpus: 10}, products: {B200: 0.5}}
"""
    )
    built = build(plan_of(text))
    w, v = built.demand.streams
    rows = all_rows(w)
    assert 9 * 86400 <= rows.submit_s[0] <= 9.2 * 86400
    assert 18.8 * 86400 <= rows.submit_s[-1] < 19 * 86400
    assert v.gpus.tolist() == [min(3 * gpus, 10) for gpus in w.gpus.tolist()]
    assert v.mean_run_s == pytest.approx(2 * w.mean_run_s)
    assert all_rows(v).priority.tolist()[:2] == [3, 3]
    assert w.jobs * w.mean_gpu_s / 3600 == pytest.approx(100_000 * 240 / 730.5, rel=0.4)


def test_run_times_and_sizes_are_the_profiles(two):
    stream, rows = two.demand.streams[0], all_rows(two.demand.streams[0])
    share = np.diff(stream.share, prepend=0.0)
    n = len(rows.gpus)
    for size, gpus in enumerate(stream.gpus.tolist()):
        mine = rows.work_s[rows.gpus == gpus]
        assert mine.size == pytest.approx(n * share[size], abs=5 * (n * share[size]) ** 0.5 + 1)
        if mine.size > 1000:
            error = mine.std() / mine.size**0.5
            assert mine.mean() == pytest.approx(stream.mean_run_s[size], abs=5 * error)
            of = (stream.run_at >= size) & (stream.run_at <= size + 1)
            median = np.interp(size + 0.5, stream.run_at[of], stream.run_s[of])
            assert (mine <= median).mean() == pytest.approx(0.5, abs=2.5 / mine.size**0.5)


def test_gaps_are_poisson(two):
    """On the clock of expected jobs, arrivals have rate 1 and gaps without memory."""
    from gpufleet.world.generate import _TICKS, _due

    at = _due(two.demand.streams[0].key, np.arange(200_000, dtype=np.uint64), 0) / _TICKS
    gaps = np.diff(at)
    assert gaps.mean() == pytest.approx(1, abs=5 / 200_000**0.5)
    assert gaps.std() == pytest.approx(1, rel=0.02)
    assert (gaps > 1).mean() == pytest.approx(np.exp(-1), abs=5 * 0.5 / 200_000**0.5)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 5 / 200_000**0.5


def test_limits_and_users(two):
    stream = two.demand.streams[0]._replace(
        limited=np.full(two.demand.streams[0].gpus.size, 0.25),
        limit_at=np.array([0.0, stream_rows(two)]),
        limit_over_run=np.array([2.0, 2.0]),
        users=4,
        user_share=np.array([0.0, 0.7, 1.0]),
        user_p=np.array([0.0, 0.25, 1.0]),
    )
    rows = all_rows(stream)
    limited = rows.limit_s > 0
    n = len(rows.gpus)
    assert limited.mean() == pytest.approx(0.25, abs=2.5 / n**0.5)
    assert (rows.limit_s[limited] == np.maximum(np.ceil(2 * rows.work_s[limited]), 1)).all()
    shares = np.bincount(rows.user, minlength=4) / n
    assert shares == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=3 / n**0.5)


def stream_rows(built):
    return float(built.demand.streams[0].gpus.size)


def test_recorded_jobs_stand_between_generated_ones(plan_of):
    jobs = "job,submit_s,gpus,duration_s,queue,user\nj0,50,4,100,a,u1\nj1,600000,2,100,a,\n"
    text = ONE + "  h: {kind: trace, file: jobs.csv}\n"
    text += "  big: {kind: campaign, queue: b, gpus: 8, duration: 3 d, at: 2026-01-08}\n"
    built = build(plan_of(text, jobs=jobs))
    table = built.demand.table
    codes = built.names.workloads
    assert set(table["workload"].unique()) == set(codes)
    named = table.drop_nulls("name")
    assert named["name"].to_list() == ["j0", "j1", "big"]
    assert named["user"].to_list() == ["u1", None, None]
    assert (built.demand.jobs().submit_s[named["id"].to_numpy()] == [50, 600000, 7 * 86400]).all()
    generated = table.filter(table["name"].is_null())
    assert generated["workload"].unique().to_list() == ["w"]
    small = [batch.table for batch in built.demand.batches(7)]
    assert sum(part.height for part in small) == table.height
    assert [name for part in small for name in part["name"].drop_nulls()] == ["j0", "j1", "big"]


def test_a_saved_world_makes_the_same_jobs(two, tmp_path):
    save_world(tmp_path / "world.npz", two.world, two.demand.arrivals, two.names)
    assert (tmp_path / "world.npz").stat().st_size < 200_000
    _, arrivals, _ = load_world(tmp_path / "world.npz")
    again = [np.concatenate(column) for column in zip(*arrivals.batches(5000), strict=True)]
    for before, after in zip(two.demand.jobs(), again, strict=True):
        assert before.tobytes() == after.tobytes()


def test_jobs_until_ends_the_jobs_not_the_plan(tmp_path):
    built = build(_plan(tmp_path, ONE, "jobs_until: 2026-01-11\n"))
    assert built.world.clock.end_s == 10 * 86400
    assert built.demand.jobs().submit_s[-1] < 10 * 86400
    whole = build(_plan(tmp_path, ONE))
    n = len(built.demand.jobs().gpus)
    assert (whole.demand.jobs().submit_s[:n] == built.demand.jobs().submit_s).all()
