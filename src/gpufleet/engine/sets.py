"""Ordered sets of small whole numbers as three-level bitmaps.

Free nodes are kept in one set per (cell, free GPUs): the lowest or the next member is found with three word
look-ups, whatever the size of the fleet. A set over n numbers takes n/64 words and two upper levels; the top
level is scanned word by word (one word up to 262,144 members)."""

from __future__ import annotations

import numpy as np

from gpufleet.base.arrays import Ints, Words
from gpufleet.engine.jit import entry, lowest_bit

ONE = np.uint64(1)
ZERO = np.uint64(0)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
COLUMNS = 4  # per set: offsets of the three levels, words in the top level


def lay_out(sizes: list[int]) -> tuple[Ints, Words]:
    """Offsets ``(n_sets, 4)`` and zeroed words for sets over ``sizes[i]`` numbers each.

    >>> where, words = lay_out([70, 3])
    >>> where.tolist(), words.shape
    ([[0, 2, 3, 1], [4, 5, 6, 1]], (7,))
    """
    where = np.zeros((len(sizes), COLUMNS), np.int64)
    top = 0
    for row, size in enumerate(sizes):
        words = max(1, -(-size // 64))
        for level in range(3):
            where[row, level] = top
            top += words
            if level < 2:
                words = -(-words // 64)
        where[row, 3] = words
    return where, np.zeros(max(top, 1), np.uint64)


@entry
def add(words: Words, where: Ints, row: int, i: int) -> None:
    """Put ``i`` into set ``row``."""
    for level in range(3):
        at = where[row, level] + (i >> 6)
        old = words[at]
        words[at] = old | (ONE << np.uint64(i & 63))
        if old != ZERO:
            return
        i >>= 6


@entry
def remove(words: Words, where: Ints, row: int, i: int) -> None:
    """Take ``i`` out of set ``row``."""
    for level in range(3):
        at = where[row, level] + (i >> 6)
        left = words[at] & ~(ONE << np.uint64(i & 63))
        words[at] = left
        if left != ZERO:
            return
        i >>= 6


@entry
def lowest(words: Words, where: Ints, row: int) -> int:
    """Lowest member of set ``row``, -1 if it is empty."""
    for top in range(where[row, 3]):
        word = words[where[row, 2] + top]
        if word != ZERO:
            i = (top << 6) + lowest_bit(word)
            i = (i << 6) + lowest_bit(words[where[row, 1] + i])
            return int((i << 6) + lowest_bit(words[where[row, 0] + i]))
    return -1


@entry
def following(words: Words, where: Ints, row: int, i: int) -> int:
    """Lowest member of set ``row`` above ``i``, -1 if there is none."""
    for level in range(3):
        i += 1
        at = i >> 6
        end = where[row, level + 1] if level < 2 else where[row, 2] + where[row, 3]
        if where[row, level] + at < end and i & 63 != 0:
            word = words[where[row, level] + at] & (ALL << np.uint64(i & 63))
        elif where[row, level] + at < end:
            word = words[where[row, level] + at]
        else:
            word = ZERO
        if word != ZERO:
            i = (at << 6) + lowest_bit(word)
            for below in range(level):
                i = (i << 6) + lowest_bit(words[where[row, level - 1 - below] + i])
            return i
        i = at
        if level == 2:
            for top in range(at + 1, where[row, 3]):
                word = words[where[row, 2] + top]
                if word != ZERO:
                    i = (top << 6) + lowest_bit(word)
                    i = (i << 6) + lowest_bit(words[where[row, 1] + i])
                    return int((i << 6) + lowest_bit(words[where[row, 0] + i]))
    return -1
