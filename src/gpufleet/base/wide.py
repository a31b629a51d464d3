"""Text on a terminal, where a Korean or Japanese character takes two columns."""

from __future__ import annotations

import re
from typing import Final
from unicodedata import combining, east_asian_width

_PIECE: Final = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff][、。」）]*|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""What may not be broken: a word; Japanese writes without spaces and breaks between characters."""


def columns(text: str) -> int:
    """Columns that a text takes.

    >>> columns("GPU"), columns("대기"), columns("待ち")
    (3, 4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def left(text: str, width: int) -> str:
    """A text with spaces behind it.

    >>> left("대기", 6)
    '대기  '
    """
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """A text with spaces before it.

    >>> right("대기", 6)
    '  대기'
    """
    return " " * (width - columns(text)) + text


def wrapped(text: str, width: int) -> str:
    """A text in lines of at most so many columns; a longer word stays whole.

    >>> wrapped("64 GPUs at lab were busy", 12)
    '64 GPUs at\\nlab were\\nbusy'
    >>> wrapped("GPUの空きを待つ", 8)
    'GPUの空\\nきを待つ'
    """
    lines, line, used = [], "", 0
    for piece in _PIECE.findall(text):
        size = columns(piece)
        if used + size > width and line.strip() and not piece.isspace():
            lines.append(line.rstrip())
            line, used = "", 0
        if line or not piece.isspace():
            line, used = line + (" " if piece.isspace() else piece), used + (1 if piece.isspace() else size)
    return "\n".join([*lines, line.rstrip()] if line.strip() else lines)
