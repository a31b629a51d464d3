"""On what the figures were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from benchmarks.measure import ROOT


def machine() -> dict[str, str]:
    """Processor, memory, versions and commit, each as a text."""
    import numba

    load = f"{os.getloadavg()[0]:.1f}"
    return {
        "processor": f"{_processor()}, {cores()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_version()}, Numba {numba.__version__}",
        "commit": _commit(),
        "load average before": load,
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    found = (
        [line for line in path.read_text().splitlines() if line.startswith("model name")]
        if path.exists()
        else []
    )
    return found[0].split(":", 1)[1].strip() if found else platform.processor() or "unknown processor"


def _commit() -> str:
    """The commit, and whether files that git knows were changed since."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"
    return f"{commit}, with changes that are not committed" if changed else commit


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
