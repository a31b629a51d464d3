"""Files as chunks of lines: plain or gzip, checked UTF-8, memory bounded by a chunk."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import polars as pl

from gpufleet.base.say import say
from gpufleet.traces.findings import fault

CHUNK_BYTES: Final = 16 << 20
"""Bytes of text that are held at once; also the longest line."""

_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"PAR1": "parquet",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


class Chunk(NamedTuple):
    """Some lines of a file, without their line ends; blank ones included."""

    first_line: int  # number of the first one, from 1
    lines: pl.Series  # String


def container(path: Path) -> str:
    """How the file is packed, by its first bytes: text, gzip, parquet.

    Raises: GpufleetError T001 if it cannot be opened, T002 if it is packed otherwise.
    """
    with _open(path) as file:
        head = file.read(8)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "text")
    if kind in ("bzip2", "xz", "zstd", "zip"):
        raise fault(
            "T002", path, f"the file is {kind} data; plain text, .gz and Parquet are read", "unpack it first"
        )
    return kind


def chunks(path: Path, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """The file's lines, chunk by chunk.

    Args:    path: a text file, plain or gzip.   chunk_bytes: text held at once.
    Raises:  GpufleetError T001 (cannot be read), T002 (damaged gzip), T003 (no UTF-8), T009 (line too long).
    """
    packed = container(path) == "gzip"
    with _open(path) as raw, gzip.open(raw) if packed else raw as file:
        first_line, rest = 1, b""
        while True:
            block = _block(file, chunk_bytes, path)
            text = rest + block
            cut = text.rfind(b"\n") + 1 if block else len(text)
            if first_line == 1:
                _refuse_binary(text[:4096], path)
            if not cut and len(text) > chunk_bytes:
                raise fault(
                    "T009", path, "a line of more than 16 MiB", "check its line ends", line=first_line
                )
            if cut:
                yield Chunk(first_line, _lines(text[:cut], first_line, path))
                first_line += text.count(b"\n", 0, cut)
            if not block:
                return
            rest = text[cut:]


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        fix = say("check the path; a relative path starts at the plan's folder")
        raise fault("T001", path, f"the file cannot be opened: {why}", fix) from None


def _block(file: IO[bytes] | gzip.GzipFile, size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        fix = say("get the file again; `gzip -t {name}` tells whether it is whole", name=path.name)
        raise fault("T002", path, f"the gzip data is damaged or cut off: {error}", fix) from None
    except OSError as error:
        raise fault("T001", path, f"the file cannot be read: {error.strerror}", "check the disk") from None


def _lines(text: bytes, first_line: int, path: Path) -> pl.Series:
    """Lines of a block that ends with a line end, or with the file."""
    if first_line == 1:
        text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        says = say("byte 0x{text:02x} on line {line} is not UTF-8", text=text[error.start], line=line)
        fix = say(
            "convert it, e.g. `iconv -f latin1 -t utf-8 {name}`; the field's program may offer UTF-8",
            name=path.name,
        )
        raise fault("T003", path, says, fix, line=line) from None
    lines = pl.Series("line", [decoded.removesuffix("\n")], pl.String).str.split("\n").explode()
    return lines.str.strip_suffix("\r") if "\r" in decoded else lines


def _refuse_binary(head: bytes, path: Path) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        fix = say("convert it: `iconv -f utf-16 -t utf-8 {name}`", name=path.name)
        raise fault("T003", path, "the file is UTF-16 text", fix, line=1)
    if b"\0" in head:
        raise fault(
            "T003", path, "the file is binary data, no text", "give the job log as text, .gz or Parquet"
        )
