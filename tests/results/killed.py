"""Kills a writer of run folders at each call that reaches the file system, and looks at what is left.

A program of its own: it forks, which a test process with threads should not. Prints the number of moments.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from gpufleet.base.errors import GpufleetError
from gpufleet.results import folder

MEMORY = "/dev/shm"  # quicker: each run waits for the disk several times
FILE_EVENTS = ("open", "os.", "shutil.", "tempfile.", "ctypes.dlsym")


def write(out: Path, text: str) -> None:
    with folder.new_run(out) as path:
        for name in ("jobs.parquet", "measures.json"):
            (path / name).write_text(text)


def killed_at(moment: int, out: Path, *, exchange: bool) -> bool:
    """Write in a child that dies at the given moment. False: it was done before."""
    child = os.fork()
    if child == 0:
        if not exchange:
            folder.exchange = lambda a, b: False
        left = moment

        def count(event: str, _: object) -> None:
            nonlocal left
            if event.startswith(FILE_EVENTS):
                left -= 1
                if left < 0:
                    signal.raise_signal(signal.SIGKILL)

        sys.addaudithook(count)
        write(out, "new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def texts(out: Path) -> set[str]:
    """What a reader finds: one text, or nothing if there is no run."""
    try:
        whole = folder.open_run(out)
    except GpufleetError:
        return set()
    return {(whole / name).read_text() for name in ("jobs.parquet", "measures.json")}


def check(moment: int, *, before: bool, exchange: bool) -> bool:
    home = Path(tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None))
    out = home / "run"
    if before:
        write(out, "old")
    died = killed_at(moment, out, exchange=exchange)
    found = texts(out)
    allowed = [{"new"}] if not died else [{"old"}, {"new"}] if before else [set(), {"new"}]
    assert found in allowed, (moment, before, exchange, found, os.listdir(home))
    write(out, "again")
    assert texts(out) == {"again"}, (moment, before, exchange)
    assert os.listdir(home) == ["run"], (moment, before, exchange, os.listdir(home))
    shutil.rmtree(home)
    return died


def main() -> None:
    moments = 0
    for before, exchange in ((False, True), (True, True), (True, False)):
        moment = 0
        while check(moment, before=before, exchange=exchange):
            moment += 1
        moments += moment
    print(moments, "moments")


if __name__ == "__main__":
    main()
