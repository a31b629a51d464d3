"""Two folders change places in one step, where the system can do that."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

_AT_CWD: Final = -100
_RENAME_EXCHANGE: Final = 2  # Linux renameat2
_RENAME_SWAP: Final = 2  # macOS renamex_np


def exchange(a: Path, b: Path) -> bool:
    """Swap the names of two folders atomically.

    Returns: False if the system or the file system cannot; then nothing has changed.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(libc.renamex_np(os.fsencode(a), os.fsencode(b), _RENAME_SWAP) == 0)
        done = libc.renameat2(
            _AT_CWD, os.fsencode(a), _AT_CWD, os.fsencode(b), ctypes.c_uint(_RENAME_EXCHANGE)
        )
        return bool(done == 0)
    except (AttributeError, OSError, TypeError):  # no such call here
        return False


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows keeps them itself."""
    if sys.platform != "win32":
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_folder(path: Path) -> int | None:
    """Hold a folder as long as this process lives.

    Returns: a handle to close, or None where folders cannot be locked.
    Raises:  BlockingIOError if another process holds it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # some network file systems
        os.close(handle)
        return None
    return handle
