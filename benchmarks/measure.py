"""How things are measured: in fresh processes, in turns, and the median of several turns."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
Sample = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One line of the table. ``met`` is None where there is no target."""

    what: str
    target: str
    measured: str
    baseline: str = ""
    ratio: str = ""
    met: bool | None = None
    exact: bool = False  # a wrong answer, not a slow one, if it is not met


def in_child(function: str, **arguments: Any) -> Any:
    """Call ``module:name`` of this package in a process of its own and give back what it returns (JSON)."""
    return call_with(sys.executable, {}, function, **arguments)


def call_with(python: str, settings: Mapping[str, str], function: str, **arguments: Any) -> Any:
    """The same with another Python and environment variables.

    Raises: RuntimeError with what the process said, if it failed.
    """
    command = [python, "-m", "benchmarks.measure", function, json.dumps(arguments)]
    return json.loads(output_of(command, settings)[0].splitlines()[-1])


def output_of(command: list[str], settings: Mapping[str, str]) -> tuple[str, str]:
    """What a command prints on stdout and stderr; environment variables that are set to "" are taken away.

    Raises: RuntimeError with what it said, if it failed.
    """
    both = os.environ | dict(settings)
    env = {name: value for name, value in both.items() if settings.get(name) != ""}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout, done.stderr


def wall_s(command: list[str], settings: Mapping[str, str] | None = None) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    output_of(command, settings or {})
    return time.perf_counter() - start


def interleaved(cases: Mapping[str, Callable[[], Sample]], repeats: int) -> dict[str, Sample]:
    """Every case once, then every case once more, and so on; per case the median of each figure."""
    taken: dict[str, list[Sample]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            taken[name].append(case())
    return {
        name: {figure: median(sample[figure] for sample in samples) for figure in samples[0]}
        for name, samples in taken.items()
    }


class Stopwatch:
    """Adds up wall and processor seconds of what runs inside ``with``."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> Stopwatch:
        self.wall_s -= time.perf_counter()
        self.cpu_s -= time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter()
        self.cpu_s += time.process_time()

    def figures(self, n_jobs: int, other: Stopwatch | None = None) -> Sample:
        """Speed, and the share of a core that there was; less the time that ``other`` counted meanwhile."""
        wall, cpu = (self.wall_s, self.cpu_s)
        if other:
            wall, cpu = wall - other.wall_s, cpu - other.cpu_s
        return {"jobs_per_s": n_jobs / wall, "core": cpu / wall}


def peak_bytes() -> int:
    """Most memory that this process has held so far (not what its parent held, as ``getrusage`` may say)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def speed(sample: Sample) -> str:
    """Jobs per second for people, with a remark if other processes took the core away meanwhile.

    >>> speed({"jobs_per_s": 1_234_567, "core": 1.0}), speed({"jobs_per_s": 345_678, "core": 0.5})
    ('1.23 M jobs/s', '346,000 jobs/s (had 50 % of a core)')
    """
    per_s = sample["jobs_per_s"]
    text = f"{per_s / 1e6:.2f} M jobs/s" if per_s >= 1e6 else f"{round(per_s, -3):,.0f} jobs/s"
    return text + busy(sample)


def busy(sample: Sample) -> str:
    """A remark if less than a core was to be had."""
    core = sample.get("core", 1.0)
    return "" if core > 0.9 else f" (had {core * 100:.0f} % of a core)"


def times(a: float, b: float) -> str:
    """A ratio for people.

    >>> times(3, 2), times(3, 6000)
    ('1.50', '1/2,000')
    """
    return f"{a / b:.2f}" if a / b >= 0.1 else f"1/{b / a:,.0f}"


def _main() -> None:
    module, name = sys.argv[1].split(":")
    result = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**json.loads(sys.argv[2]))
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
