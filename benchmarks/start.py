"""How long a user waits before anything is simulated: imports, compiling, the cache, another installation."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import (
    ROOT,
    Row,
    Sample,
    Stopwatch,
    busy,
    call_with,
    interleaved,
    output_of,
    times,
    wall_s,
)

TITLE: Final = "Start"
ABOUT: Final = """\
Whole commands, bytecode present. Kernels: seconds from before `gpufleet.engine` is imported until a first
small simulation has ended, in a process of its own, once with an empty cache and then again; beside it the
same for the minimal loop."""
GPUFLEET: Final = [str(Path(sys.executable).with_name("gpufleet"))]
FIRST_S: Final = {"one-cluster": 20, "all": 60}
CACHED_S: Final = 2


def rows(quick: bool) -> Iterator[Row]:
    """Commands, compiling here, and compiling in a read-only installation."""
    yield from _commands(5 if quick else 9)
    yield from _kernels(("one-cluster",) if quick else ("one-cluster", "all"))
    if not quick:
        yield from _whole_run()
        yield from _installed()


def _commands(repeats: int) -> Iterator[Row]:
    plain = [sys.executable, "-c", "pass"]
    commands = {
        "plain": plain,
        "--help": [*GPUFLEET, "--help"],
        "check": [*GPUFLEET, "check", "plans/one-cluster"],
    }
    for command in commands.values():
        wall_s(command)
    taken = interleaved({name: partial(_timed, command) for name, command in commands.items()}, repeats)
    nothing = taken["plain"]["s"]
    for name, text, limit in (("--help", "--help", 0.5), ("check", "check plans/one-cluster", 1.0)):
        yield _row(f"`gpufleet {text}`", taken[name], limit, f"python -c pass {nothing:.3f} s", nothing)


def _timed(command: list[str]) -> Sample:
    return {"s": wall_s(command)}


def _row(what: str, taken: Sample, limit: float, beside: str, base: float) -> Row:
    measured = f"{taken['s']:.2f} s{busy(taken)}"
    return Row(what, f"< {limit:g} s", measured, beside, times(taken["s"], base), taken["s"] < limit)


def _kernels(which: tuple[str, ...], python: str = sys.executable, where: str = "") -> Iterator[Row]:
    """First run and second run of each set of kernels, each set with a cache folder of its own."""
    base = _first_and_second("minimal", python)
    for name in which:
        first, second = _first_and_second(name, python)
        kernels = "all kernels" if name == "all" else f"kernels of {name}"
        for how, taken, limit, loop in (
            ("first compile", first, FIRST_S[name], base[0]),
            ("from the cache", second, CACHED_S, base[1]),
        ):
            beside = f"minimal loop {loop['s']:.2f} s"
            yield _row(f"{kernels}, {how}{where}", taken, limit, beside, loop["s"])


def _first_and_second(what: str, python: str) -> tuple[Any, Any]:
    with tempfile.TemporaryDirectory() as cache:
        # The loop is not gpufleet's: it uses Numba's own setting.
        own = {
            "NUMBA_CACHE_DIR": cache if what == "minimal" else "",
            "PYTHONPATH": "",
            "XDG_CACHE_HOME": cache,
        }
        first, second = (call_with(python, own, "start:kernels_here", what=what) for _ in range(2))
    if Path(python).parent.parent not in Path(second["code"]).parents and python != sys.executable:
        raise RuntimeError(f"{second['code']} was measured, not what is installed beside {python}")
    return first, second


def kernels_here(what: str) -> dict[str, Any]:
    """Seconds until kernels are ready in this process, and the file that they come from."""
    run = {"one-cluster": _one_cluster, "all": _all_rules, "minimal": _minimal}[what]()
    with Stopwatch() as watch:
        run()
    import gpufleet

    return {
        "s": watch.wall_s,
        "core": watch.cpu_s / watch.wall_s,
        "code": str(Path(gpufleet.__file__).resolve()),
    }


def _one_cluster() -> Any:
    from gpufleet.plan.load import load_plan
    from gpufleet.world.build import build

    built = build(load_plan(ROOT / "plans" / "one-cluster"))
    jobs = built.demand.jobs()

    def run() -> None:
        from gpufleet.engine.run import simulate

        simulate(built.world, jobs)

    return run


def _all_rules() -> Any:
    from tests.oracle.worlds import random_world

    from benchmarks.worlds import combinations

    worlds = [random_world(seed, *rules) for seed, rules in enumerate(combinations())]

    def run() -> None:
        from gpufleet.engine.run import simulate

        for world, jobs in worlds:
            simulate(world, jobs)

    return run


def _minimal() -> Any:
    import numpy as np

    def run() -> None:
        from benchmarks.minimal import strict_fifo

        strict_fifo(np.zeros(9, np.int64), np.ones(9, np.int32), np.ones(9, np.int64), 4, 8)

    return run


def _whole_run() -> Iterator[Row]:
    """`gpufleet run` with an empty cache, which must say so, and again."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": f"{folder}/cache"}
        command = [*GPUFLEET, "run", "plans/one-cluster", "--out", f"{folder}/run"]
        start = time.perf_counter()
        _, said = output_of(command, own)
        first = time.perf_counter() - start
        second = wall_s(command, own)
    told = "compiling" in said
    yield Row(
        what="whole `gpufleet run plans/one-cluster`, report included, first; announced on stderr",
        target="announced",
        measured=f"{first:.2f} s, {'announced' if told else 'not announced'}",
        baseline=f"second run {second:.2f} s",
        ratio=times(first, second),
        met=told,
    )


def _installed() -> Iterator[Row]:
    """The wheel in a virtual environment whose packages nobody may write."""
    with tempfile.TemporaryDirectory() as folder:
        python, packages = _install(Path(folder))
        before = _protect(packages)
        yield from _kernels(("one-cluster", "all"), str(python), ", installed from the wheel, read-only")
        written = _files(packages) - before
        for path in packages.rglob("*"):
            path.chmod(0o755)
        packages.chmod(0o755)
    yield Row(
        what="files that this wrote into the read-only installation",
        target="0",
        measured=f"{len(written)}",
        met=not written,
        exact=True,
    )


def _install(folder: Path) -> tuple[Path, Path]:
    """Build the wheel and install it into a new environment that borrows the dependencies of this one."""
    uv = str(Path(sys.executable).with_name("uv"))
    output_of([uv, "build", "--quiet", "--wheel", "--out-dir", f"{folder}/dist", str(ROOT)], {})
    output_of([sys.executable, "-m", "venv", "--without-pip", f"{folder}/env"], {})
    python = folder / "env" / "bin" / "python"
    wheel = next((folder / "dist").glob("*.whl"))
    output_of(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--compile-bytecode",
            "--python",
            str(python),
            str(wheel),
        ],
        {},
    )
    packages = next((folder / "env" / "lib").glob("python*/site-packages"))
    # A plain line in a .pth file adds a folder, not what its own .pth files name: no way to this checkout.
    import numba

    (packages / "dependencies.pth").write_text(f"{Path(numba.__file__).parent.parent}\n")
    return python, packages


def _protect(packages: Path) -> set[tuple[str, int]]:
    """Make everything read-only; root may write all the same, so what is there is noted too."""
    for path in [packages, *packages.rglob("*")]:
        path.chmod(0o555)
    return _files(packages)


def _files(packages: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in packages.rglob("*") if path.is_file()}
