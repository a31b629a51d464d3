"""Work that goes on behind the caller's back, in one thread, in the order in which it was given.

Compressing and writing let go of the interpreter, so they overlap with the kernels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

MOST_AHEAD: Final = 4
"""Calls that may wait; then the caller waits. Bounds the memory of what they hold."""

_Call = tuple[Callable[..., object], tuple[Any, ...]]


class Behind:
    """One thread that makes calls.

    An error of a call is raised by the next `call`, or by `close`; the calls that were waiting are dropped.

    >>> found = []
    >>> with Behind() as behind:
    ...     for number in range(3):
    ...         behind.call(found.append, number)
    >>> found
    [0, 1, 2]
    """

    def __init__(self, most_ahead: int = MOST_AHEAD) -> None:
        """Args: most_ahead: calls that may wait."""
        self._calls: queue.Queue[_Call | None] = queue.Queue(most_ahead)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._work, name="gpufleet-writer", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if not self._dropping:
                self._make(*call)
            del call  # or what it holds would live on while the queue is empty

    def _make(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except BaseException as error:
            self._error, self._dropping = error, True

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have ``function(*arguments)`` called after all that was given before.

        Raises: what an earlier call raised.
        """
        self._raise()
        self._calls.put((function, arguments))

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait until all is done.

        Raises: what a call raised, if that has not been told yet.
        """
        self._stop()
        self._raise()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._calls.put(None)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:  # what was given before is still done, if it can be: there may be a checkpoint among it
            self._stop()
