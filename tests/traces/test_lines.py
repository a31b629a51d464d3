"""Files as chunks of lines."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.errors import GpufleetError
from gpufleet.traces.lines import Chunk, chunks

from .conftest import Write


def joined(found: Iterable[Chunk]) -> list[str]:
    return [line for chunk in found for line in chunk.lines.to_list()]


@given(lines=st.lists(st.text("ab,é", max_size=12), min_size=1), size=st.integers(1, 40))
def test_any_chunk_size_gives_the_same_lines(
    lines: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "x"
    text = "\n".join([*lines, "end"])
    path.write_text(text + "\n", encoding="utf-8")
    longest = max(len(line.encode()) for line in [*lines, "end"]) + 1
    found = list(chunks(path, max(size, longest)))
    assert joined(found) == [*lines, "end"]
    at = 1
    for chunk in found:
        assert chunk.first_line == at
        at += chunk.lines.len()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a", ["a"]),
        (b"", []),
    ],
)
def test_line_ends_and_byte_order_mark(data: bytes, lines: list[str], write: Write) -> None:
    assert joined(chunks(write(data))) == lines
    assert joined(chunks(write(data, "jobs.csv.gz"))) == lines


def code_of(path: Path, **options: int) -> tuple[str, int]:
    with pytest.raises(GpufleetError) as caught:
        joined(chunks(path, **options))
    place = caught.value.findings[0].at
    assert place is not None
    assert place.file == str(path)
    return caught.value.findings[0].code, place.line


def test_bytes_that_are_no_utf_8_are_named_by_line(write: Write) -> None:
    assert code_of(write("a\nb\nJörg\n".encode("latin1"))) == ("T003", 3)
    assert code_of(write("a\n".encode("utf-16"))) == ("T003", 1)
    assert code_of(write(b"ab\0\1\2\n")) == ("T003", 0)


def test_a_bad_byte_in_a_later_chunk(write: Write) -> None:
    assert code_of(write(b"aaaa\n" * 10 + b"\xff\n"), chunk_bytes=8) == ("T003", 11)


@pytest.mark.parametrize("cut", [3, 12, 40, -1, -9])
def test_gzip_that_was_cut_off(cut: int, write: Write) -> None:
    packed = gzip.compress(b"".join(b"%d\n" % (i * i) for i in range(1000)))
    assert code_of(write(packed[:cut]))[0] == "T002"


def test_gzip_that_was_damaged(write: Write) -> None:
    packed = bytearray(gzip.compress(b"job,submit\n" * 1000))
    packed[len(packed) // 2] ^= 0xFF
    assert code_of(write(bytes(packed)))[0] == "T002"


@pytest.mark.parametrize("magic", [b"BZh91AY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd..", b"PK\x03\x04.."])
def test_other_packings_are_named(magic: bytes, write: Write) -> None:
    assert code_of(write(magic))[0] == "T002"


def test_a_line_without_end(write: Write) -> None:
    assert code_of(write(b"a\n" + b"x" * 100), chunk_bytes=16) == ("T009", 2)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.csv")[0] == "T001"
    assert code_of(tmp_path)[0] == "T001"
    assert code_of(Path("a\0b"))[0] == "T001"
