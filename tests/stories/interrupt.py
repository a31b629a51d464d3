"""Runs gpufleet in this process and sends it Ctrl-C at one moment: the n-th event that Python tells its audit
hooks (imports, files). A program of its own, as the whole life of a process is what is looked at.

`python interrupt.py MOMENT ARGUMENT...`. The moment -1 is never: the number of events is printed last;
-2 is the very end, when Python takes its modules apart and has given up its own handler.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import Any

MOMENT, sys.argv = int(sys.argv[1]), ["gpufleet", *sys.argv[2:]]
EVENTS = ("import", "open", "os.", "shutil.", "ctypes.dlsym")
seen = -1


def count(event: str, _: Any) -> None:
    """Count an event; at the moment, interrupt."""
    global seen
    if event.startswith(EVENTS):
        seen += 1
        if seen == MOMENT:
            signal.raise_signal(signal.SIGINT)


class AtTheEnd:
    """Interrupts when it is taken apart."""

    def __del__(self, kill: Any = os.kill, pid: int = os.getpid(), number: int = signal.SIGINT) -> None:
        kill(pid, number)


if MOMENT == -1:
    atexit.register(lambda: print(seen, "events", file=sys.stderr))

from gpufleet.__main__ import main  # noqa: E402

if MOMENT == -2:
    last = AtTheEnd()
sys.addaudithook(count)
main()
