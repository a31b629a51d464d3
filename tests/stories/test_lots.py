"""A programme office follows lots that come in parts, are cancelled, are replaced, and share crews."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PLAN = """\
gpufleet: 1
name: lots
start: 2027-01-01
end: 2028-07-01
time_zone: Asia/Seoul
sites: {ulsan: {power: 200 MW, pue: 1.2}}
systems:
  npu: {product: my-npu, gpus_per_node: 8, node_power: 5 kW}
milestones: {grid: {kind: grid, at: 2027-10-01}}
slots:
  crews: {step: installed, sites: ulsan, gpus_per_month: 2048}
lead_times:
  default: {installed: 30 d, accepted: 14 d}
promises: {all: {for: lab, gpus: 16000, at: 2027-01-01, until: 2027-10-20}}
deliveries:
  - name: first
    to: ulsan
    system: DGX B200
    gpus: 4096
    at: 2027-03-01
    for: lab
    counts_toward: all
    parts:
      - {gpus: 1024}
      - {gpus: 2048, at: 2027-05-01, needs: {installed: grid}}
  - {name: second, to: ulsan, system: DGX B200, gpus: 4096, ordered: 2027-02-01, for: lab, counts_toward: all,
     cancelled: {at: 2027-05-10, because: budget cut, written_off: 2028-01-01}}
  - {name: old, to: ulsan, system: DGX B200, gpus: 2048, ordered: 2027-02-01, for: lab, counts_toward: all}
  - {name: domestic, to: ulsan, system: npu, ordered: 2027-03-15, unit_price: 15 kUSD/GPU, for: lab,
     counts_toward: all, replaces: {lot: old, by: money}}
tenants: {lab: {}}
"""
LOTS = ("first/1", "first/2", "first", "second", "old", "domestic")


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gpufleet.plan.load import load_plan
    from gpufleet.study import simulate

    path = tmp_path_factory.mktemp("lots")
    (path / "plan.yaml").write_text(PLAN)
    simulate(load_plan(path / "plan.yaml"), out=path / "run")
    return path / "run"


def steps(run: Path, lot: str, step: str) -> dict[str, int]:
    rows = pl.read_parquet(run / "supply.parquet").filter(lot=lot, step=step)
    return dict(rows.select("month", "gpus").iter_rows())


def test_every_part_has_its_own_way(run_of: Path) -> None:
    chain = pl.read_parquet(run_of / "chain.parquet")
    assert tuple(chain["lot"].unique(maintain_order=True)) == LOTS
    ready = dict(chain.filter(step="accepted").select("lot", "at").iter_rows())
    # 2,048 a month: the first two on 31 March; domestic (7,680) from July to October, 1,536 of it then;
    # first/2 is ready on 1 October, and needs 1,536 of November
    assert ready == {
        "first/1": "2027-04-14", "first": "2027-04-14", "first/2": "2027-11-15", "domestic": "2027-10-15",
    }  # fmt: skip
    slot = chain.filter(lot="first/2", step="installed").row(0, named=True)
    assert (slot["at"], slot["cause"], slot["name"], slot["place"]) == (
        "2027-11-01", "slot", "crews", "plan.yaml:11",
    )  # fmt: skip


def test_what_is_cancelled_is_left_over_until_it_is_written_off(run_of: Path) -> None:
    """The second lot is delivered on 26 April, 12 weeks after its order."""
    left, gone = steps(run_of, "second", "left_over"), steps(run_of, "second", "cancelled")
    assert [month for month, gpus in left.items() if gpus][::7] == ["2027-05", "2027-12"]
    assert (gone["2027-04"], gone["2027-05"], gone["2028-06"]) == (0, 4096, 4096)
    assert steps(run_of, "second", "ordered")["2028-06"] == 4096  # it has come
    assert steps(run_of, "old", "ordered") == {
        month: 2048 if month == "2027-02" else 0 for month in steps(run_of, "old", "ordered")
    }
    assert not any(steps(run_of, "old", "left_over").values())
    assert not steps(run_of, "first", "cancelled")


def test_what_is_missing_of_the_promise_adds_up(run_of: Path) -> None:
    """Whatever is cancelled or stands in for something: each GPU of the promise is there, or missing once."""
    short = pl.read_parquet(run_of / "shortage.parquet").group_by("month").agg(pl.col("gpus").sum())
    missing = dict(short.iter_rows())
    supply = pl.read_parquet(run_of / "supply.parquet").filter(step="online")
    for month, online in supply.group_by("month").agg(pl.col("gpus").sum()).iter_rows():
        assert online + missing.get(month, 0) == 16_000, month


def test_what_holds_gpus_back_has_its_line(run_of: Path) -> None:
    short = pl.read_parquet(run_of / "shortage.parquet").filter(month="2027-10")
    assert short.select("lot", "stuck", "cause", "gpus", "place").rows() == [
        ("first/2", "installed", "slot crews", 2048, "plan.yaml:11"),
        ("second", "cancelled", "cancelled budget cut", 4096, "plan.yaml:27"),
        (None, None, None, 128, "plan.yaml:14"),
    ]
    before = pl.read_parquet(run_of / "shortage.parquet").filter(month="2027-04", lot="second")
    assert before.select("stuck", "cause").rows() == [("installed", "slot crews")]  # not yet cancelled


def test_why_tells_each_part(cli: Any, run_of: Path) -> None:
    said = cli("why", run_of, "first").out
    assert "lot first is 3 parts: 4,096 of its 4,096 GPUs are online at the plan's end" in said
    assert "2027-11-01  installed" in said
    assert "waits for its turn in slot crews  plan.yaml:11" in said
    found = json.loads(cli("why", run_of, "first", "--json").out)
    assert (found["schema"], [part["lot"] for part in found["parts"]]) == (
        "gpufleet.why-lot-parts/1", ["first/1", "first/2", "first"],
    )  # fmt: skip
    assert "lot first/2: all 2,048 GPUs are online from 2027-11-15" in cli("why", run_of, "first/2").out


def test_why_tells_what_is_cancelled(cli: Any, run_of: Path) -> None:
    said = cli("why", run_of, "second").out
    assert "its 4,096 GPUs are cancelled on 2027-05-10: budget cut (plan.yaml:27)" in said
    assert "4,096 GPUs are delivered by then: left over, and written off on 2028-01-01" in said
    said = cli("why", run_of, "old").out
    assert "cancelled on 2027-03-15, domestic stands in for it (plan.yaml:30)" in said
    assert "no GPU of it is made by then" in said
    assert "never delivered" in cli("why", run_of, "promises.all").out


def test_why_tells_where_a_lot_is_stuck_and_since_when(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(f"as_of: 2027-06-10\n{PLAN}")
    done = cli("run", tmp_path / "plan.yaml", "--out", tmp_path / "run", "--quiet")
    assert done.code == 0, done
    said = cli("why", tmp_path / "run", "first/2").out
    assert (
        "on 2027-06-10 it is delivered since 2027-05-01, and waits to be installed, until 2027-11-01: "
        "waits for its turn in slot crews"
    ) in said
    found = json.loads(cli("why", tmp_path / "run", "domestic", "--json").out)["stuck"]
    assert (found["last"]["step"], found["last"]["on"]) == ("delivered", "2027-06-07")
    assert (found["next"]["step"], found["next"]["cause"]) == ("installed", "slot")
    assert json.loads(cli("why", tmp_path / "run", "first/1", "--json").out)["stuck"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'id="table-stuck"' in page


def test_the_summary_and_the_page_tell_what_holds_gpus_back(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    said = cli("run", tmp_path / "plan.yaml", "--out", tmp_path / "again").out
    assert "What holds 6,272 GPUs back at the end of 2027-10" in said
    assert "  2,048  wait to be installed at ulsan: waits for its turn in slot crews (plan.yaml:11)" in said
    assert "  4,096  cancelled: budget cut (plan.yaml:27)" in said
    page = (tmp_path / "again" / "report.html").read_text()
    for text in ("waits for its turn in slot crews", "cancelled: budget cut", "domestic stands in for it"):
        assert text in page


def test_parts_of_a_difference_sum_to_the_whole(cli: Any, tmp_path: Path) -> None:
    """A cancelled lot takes its own GPUs from the promise, and two of them what both take."""
    import itertools

    names = ("first", "second")
    lots = "\n".join(
        f"  - {{name: {name}, to: hall, system: DGX B200, gpus: {gpus}, at: 2027-03-01, for: lab,"
        " counts_toward: all}"
        for name, gpus in zip(names, (64, 128), strict=True)
    )
    plan = (
        "gpufleet: 1\nname: d\nstart: 2027-01-01\nend: 2028-01-01\nsites: {hall: {}}\ntenants: {lab: {}}\n"
        "promises: {all: {for: lab, gpus: 192, at: 2027-01-01, until: 2027-06-01}}\n"
        f"deliveries:\n{lots}\n"
    )
    (tmp_path / "plan.yaml").write_text(plan)
    online = {}
    for cut in itertools.chain.from_iterable(itertools.combinations(names, n) for n in range(3)):
        sets = [word for name in cut for word in ("--set", f"deliveries.{name}.cancelled=2027-02-01")]
        out = tmp_path / "-".join(["run", *cut])
        done = cli("run", tmp_path / "plan.yaml", "--out", out, "--quiet", *sets)
        assert done.code == 0, done
        rows = pl.read_parquet(out / "supply.parquet").filter(step="online", month="2027-12")
        online[cut] = int(rows["gpus"].sum())
    lost = {cut: online[()] - gpus for cut, gpus in online.items()}
    assert lost == {(): 0, ("first",): 64, ("second",): 128, names: 192}


LAW = """\
gpufleet: 1
name: law
start: 2025-01-01
end: 2026-06-01
time_zone: Asia/Shanghai
sites: {hall: {power: 100 MW, pue: 1.3, country: CN}}
systems:
  box: {product: H20, gpus_per_node: 8, node_power: 8 kW}
  home: {product: Ascend-910C, gpus_per_node: 8, node_power: 8 kW}
licences: {first: {to: CN, products: H20, from: 2025-08-08, gpus: 496}}
milestones: {grid: {kind: grid, at: 2025-09-20}}
deliveries:
  - {name: spring, to: hall, system: box, gpus: 800, at: 2025-05-01, needs: {accepted: grid},
     parts: [{gpus: 200}, {gpus: 200, at: 2025-06-01, cancelled: {at: 2025-07-01, because: law}}]}
  - {name: late, to: hall, system: box, gpus: 400, at: 2025-02-01, needs: {installed: grid}}
  - {name: sub, to: hall, system: home, replaces: {lot: late, at: 2025-04-01, by: compute}, at: 2025-09-01}
tenants: {lab: {}}
"""


def test_law_parts_and_a_domestic_product(cli: Any, tmp_path: Path) -> None:
    """Law lets the parts go in August; all wait for the grid on 20 September, however they were shipped.

    An H20 does 148 TFLOPS dense BF16, an Ascend 910C about 800: 400 are 72 in whole nodes.
    """
    (tmp_path / "plan.yaml").write_text(LAW)
    done = cli("run", tmp_path / "plan.yaml", "--out", tmp_path / "run", "--quiet")
    assert done.code == 0, done
    by_month = steps(tmp_path / "run", "spring", "online")
    assert (by_month["2025-08"], by_month["2025-09"]) == (0, 400)
    said = cli("why", tmp_path / "run", "deliveries.spring").out
    assert "lot spring/2: its 200 GPUs are cancelled on 2025-07-01: law" in said
    assert "without power" not in said  # they wait for the grid's milestone, not for the site's power
    assert "lot sub: all 72 GPUs are online from 2025-09-01" in cli("why", tmp_path / "run", "sub").out
    said = cli("why", tmp_path / "run", "late").out
    assert "400 GPUs are delivered by then: stock that is left over" in said
