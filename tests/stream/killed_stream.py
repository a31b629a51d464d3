"""Kills a streaming run at calls that reach the file system, runs it again, and compares the bytes.

A program of its own: it forks, which a test process with threads should not. Prints the number of moments,
and how many of the runs went on from a checkpoint.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from streamed import built, contents, small_steps, write

from gpufleet.stream import Watcher
from gpufleet.world.layout import EASY, FIFO

MEMORY = "/dev/shm"  # quicker: each run waits for the disk several times
FILE_EVENTS = ("open", "os.", "shutil.", "tempfile.")
STEP = 7
JOBS = 30


def in_child(out: Path, of: Any, moment: int | None) -> int:
    """Write the run in a child, which dies at the moment if there is one.

    Returns: its exit code; 7 if it was whole and had gone on from a checkpoint.
    """
    child = os.fork()
    if child == 0:
        left = moment if moment is not None else 1 << 60
        went_on = False

        def count(event: str, about: tuple[object, ...]) -> None:
            nonlocal left
            if event.startswith(FILE_EVENTS) and any(str(out.parent) in str(word) for word in about):
                left -= 1
                if left < 0:
                    signal.raise_signal(signal.SIGKILL)

        def hear(_: object) -> None:
            nonlocal went_on
            went_on = True

        sys.addaudithook(count)
        write(out, of, Watcher(resumed=hear))
        os._exit(7 if went_on else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    home = Path(tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None))
    of = built(3, JOBS, (FIFO, EASY, 1, 1))
    moments = resumed = 0
    with small_steps():
        assert in_child(home / "whole", of, None) == 0  # here nothing may run: a fork takes no threads along
        whole = contents(home / "whole")
        while in_child(home / "run", of, moments * STEP) == -signal.SIGKILL:
            code = in_child(home / "run", of, None)
            assert code in (0, 7), (moments, code)
            assert contents(home / "run") == whole, moments
            assert sorted(os.listdir(home)) == ["run", "whole"], (moments, os.listdir(home))
            resumed += code == 7
            shutil.rmtree(home / "run")
            moments += 1
    shutil.rmtree(home)
    print(moments, resumed)


if __name__ == "__main__":
    main()
