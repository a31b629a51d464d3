"""``python -m gpufleet`` is ``gpufleet``: from the first import to the last line, Ctrl-C ends it with 130."""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

INTERRUPTED: Final = 130


def main() -> None:
    """Entry point of ``gpufleet``. Ends the process with the exit code of the command."""
    try:
        _run()
    except KeyboardInterrupt:  # while modules load, or while the end is told: nothing is half done then
        os._exit(INTERRUPTED)


def _run() -> None:
    code: int | str | None = None
    try:
        from gpufleet.cli import main as command

        command()
    except SystemExit as left:
        code = left.code
    # All is done and told. Python gives up its handler before the last libraries have ended; a Ctrl-C would
    # then kill the process by the signal, though nothing is left to interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
