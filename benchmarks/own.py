"""Own policies beside the built-in rules that they imitate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from benchmarks import fleet
from benchmarks.measure import Row, Sample, Stopwatch, in_child, interleaved, peak_bytes, speed, times
from gpufleet.plan.own_code import OwnKind, read_code
from gpufleet.world.layout import OWN, OwnCode, OwnPolicies, World

TITLE: Final = "Own policies"
ABOUT: Final = """\
The fleet and the jobs of the first table, with an own order and an own placement that do what strict FIFO and
best fit do: `def order(job): return 0` and `def placement(place): return place.free`. Both are compiled, kept
in the cache, and called by their address. The schedules must be the same."""
TEXT: Final = "def order(job):\n    return 0\n\n\ndef placement(place):\n    return place.free\n"


@dataclass(frozen=True)
class Case:
    """The plain fleet, with own functions for some of its rules."""

    n_jobs: int
    load: float
    order: bool
    placement: bool


def world_of(case: Case) -> World:
    """The plain fleet; what is own does as the built-in rule does."""
    plain = fleet.world_of(fleet.Case(case.n_jobs, case.load))
    own = OwnPolicies(_code("order") if case.order else None, _code("placement") if case.placement else None)
    policy = plain.policy
    policy = policy._replace(order=OWN) if case.order else policy
    policy = policy._replace(placement=OWN) if case.placement else policy
    return plain._replace(policy=policy, own=own)


def _code(kind: OwnKind) -> OwnCode:
    code = read_code(TEXT, kind, kind, ())
    return OwnCode(kind, "own.py", code.line, code.source, code.program)


def simulate_here(**case: Any) -> Sample:
    """Run a case in this process, kernels compiled before. Making the jobs is not counted."""
    from gpufleet.engine.run import run

    wanted = Case(**case)
    short = fleet.Case(1000, wanted.load)
    run(world_of(Case(**(case | {"n_jobs": 1000}))), fleet.batches(short), fleet.Counter())
    whole, making, sink = Stopwatch(), Stopwatch(), fleet.Counter()
    jobs = fleet.batches(fleet.Case(wanted.n_jobs, wanted.load))
    with whole:
        run(world_of(wanted), fleet._timed(jobs, making), sink)
    return {
        **whole.figures(wanted.n_jobs, making),
        "wait_s": sink.wait_s / sink.jobs,
        "waited": sink.waited / sink.jobs,
        "jobs": sink.jobs,
        "peak_bytes": peak_bytes(),
    }


def simulate(case: Case) -> Sample:
    """Run a case in a process of its own."""
    sample: Sample = in_child("own:simulate_here", **asdict(case))
    return sample


def rows(quick: bool) -> Iterator[Row]:
    """Order, placement, and both, at a load at which jobs wait."""
    n, repeats = (500_000, 3) if quick else (3_000_000, 9)
    kinds = {
        "built-in": (False, False),
        "order": (True, False),
        "placement": (False, True),
        "both": (True, True),
    }
    cases = {name: Case(n, 0.95, *which) for name, which in kinds.items()}
    taken = interleaved({name: partial(simulate, case) for name, case in cases.items()}, repeats)
    plain = taken.pop("built-in")
    for name, ours in taken.items():
        yield Row(
            what=f"{n / 1e6:g} M jobs, 95 % load ({ours['waited'] * 100:.1f} % wait), own: {name}",
            target="at most 2 times the built-in time",
            measured=speed(ours),
            baseline=f"built-in {speed(plain)}",
            ratio=times(ours["jobs_per_s"], plain["jobs_per_s"]),
            met=2 * ours["jobs_per_s"] >= plain["jobs_per_s"],
        )
        same = (ours["wait_s"], ours["jobs"]) == (plain["wait_s"], plain["jobs"])
        yield Row(
            what=f"mean wait, own: {name}",
            target="the same",
            measured=f"{ours['wait_s']:.3f} s",
            baseline=f"built-in {plain['wait_s']:.3f} s",
            met=same,
            exact=True,
        )
