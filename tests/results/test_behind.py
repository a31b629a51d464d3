"""Work behind the caller's back: in order, and no error is lost."""

from __future__ import annotations

import threading

import pytest

from gpufleet.results.behind import Behind


def fails() -> None:
    raise OSError(28, "No space left on device")


def test_calls_are_made_in_order_in_another_thread() -> None:
    made: list[tuple[int, bool]] = []
    with Behind() as behind:
        for i in range(100):
            behind.call(lambda i: made.append((i, threading.current_thread() is threading.main_thread())), i)
    assert made == [(i, False) for i in range(100)]


def test_an_error_comes_back_and_what_waits_is_dropped() -> None:
    made: list[int] = []

    def work() -> None:
        with Behind(most_ahead=1) as behind:
            behind.call(fails)
            for i in range(100):
                behind.call(made.append, i)

    with pytest.raises(OSError, match="No space left"):
        work()
    assert made == []


def test_an_error_of_the_last_call_comes_at_the_end() -> None:
    with pytest.raises(OSError, match="No space left"), Behind() as behind:
        behind.call(fails)


def test_the_callers_own_error_is_the_one_to_hear_of_and_what_was_given_is_done() -> None:
    made: list[int] = []

    def work() -> None:
        with Behind() as behind:
            behind.call(made.append, 1)
            behind.call(fails)
            behind.call(made.append, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert made == [1]
