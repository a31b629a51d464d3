"""Codes T001 to T012: what can be wrong with a trace file, and the errors that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gpufleet.base.errors import GpufleetError, Place, explain_code, finding
from gpufleet.base.say import say
from gpufleet.traces.reasons import reason_said

_SHOWN: Final = 30  # columns or reasons named in one message

explain_code(
    "T001",
    "trace cannot be read",
    "The file does not exist, is a folder, or this user may not read it.",
    "files: {trace: jobs.csv} names a file beside the plan; a relative path starts at the plan's folder.",
)
explain_code(
    "T002",
    "trace is damaged",
    "The file is compressed or Parquet, and it cannot be unpacked to its end: usually a download or copy "
    "that was cut off. Nothing of it is used, since what is missing cannot be known.",
    "gzip -t jobs.csv.gz tells whether a .gz file is whole.",
)
explain_code(
    "T003",
    "trace is not UTF-8 text",
    "The file holds bytes that are no UTF-8 text: another encoding (a spreadsheet's export, Latin-1 names), "
    "or no text at all. Guessing an encoding could change job and queue names, so it is refused.",
    "iconv -f utf-16 -t utf-8 jobs.csv > jobs-utf8.csv",
)
explain_code(
    "T004",
    "trace is empty",
    "The file has no line with text in it.",
    "sacct writes an empty file when its -S and -E dates select nothing.",
)
explain_code(
    "T005",
    "trace format is not known",
    "The format is told from the file's first line (its column names), not from its name. None of the known "
    "formats fits: each needs at least a submit time, a number of GPUs and a run time.",
    "Rename columns to the own format's: job,submit,gpus,duration_s[,queue,user,limit_s,priority].",
)
explain_code(
    "T006",
    "a column of the trace is missing or unusable",
    "The format is known, but a column that it must have is not there, or (Parquet) holds lists or the like.",
    "sacct -a -X -D -P --format=JobIDRaw,User,Account,Submit,Eligible,Start,End,ElapsedRaw,TimelimitRaw,"
    "ReqTRES,AllocTRES,State",
)
explain_code(
    "T007",
    "trace has no usable job",
    "Every row was dropped, or there is none. The message counts the rows by reason. Often the trace's dates "
    "lie outside the plan's.",
    "A trace of 2017 in a plan of 2026: move the plan's start and end, or shift the trace.",
)
explain_code(
    "T008",
    "two columns of the trace have one name",
    "Which of the two is meant cannot be known.",
    "job,submit,gpus,duration_s,duration_s",
)
explain_code(
    "T009",
    "line of the trace is too long",
    "A line is longer than 16 MiB. A job is one line, so this is no job log, or its line ends were lost.",
    "tr '\\r' '\\n' < jobs.csv > jobs-lines.csv mends line ends of the old Mac kind.",
)
explain_code(
    "T010",
    "rows of the trace were dropped",
    "Rows that do not describe a job that can be simulated are left out, and counted by reason: values that "
    "are missing, no number, negative or too large, a job id that came before, a time outside the plan. "
    "The others are used.",
    "job,submit,gpus,duration_s / j1,2026-01-05T09:00:00,zero,3600 drops one row: gpus is not a number.",
)
explain_code(
    "T011",
    "trace is not sorted by submit time",
    "Jobs are put in the order of their submit times; rows with the same time keep the file's order.",
    "Harmless, unless the file's order was the order of arrival and its times are wrong.",
)
explain_code(
    "T012",
    "trace setting is not known",
    "The format or time zone that was asked for does not exist.",
    "format: sacct, time_zone: Asia/Seoul",
)


def fault(code: str, path: Path, says: str, fix: str, *, line: int = 0) -> GpufleetError:
    """An error of one code at a file, and at a line of it where there is one (0 = none)."""
    return GpufleetError(finding(code, says, fix, Place(str(path), line)))


def listed(names: Sequence[str]) -> str:
    """Column names for a message; long lists and long names are cut.

    >>> listed(["job", "gpus"]), listed([])
    ('job, gpus', '(none)')
    """
    shown = [n if len(n) <= 40 else n[:37] + "..." for n in names[:_SHOWN]]
    if not shown:
        return say("(none)")
    if len(names) > _SHOWN:
        return say("{names:, } ... ({count} more)", names=shown, count=len(names) - _SHOWN)
    return ", ".join(shown)


def counted(dropped: Mapping[str, int]) -> str:
    """Dropped rows by reason, most first.

    >>> counted({"gpus is zero": 2, "duplicate job id": 1200})
    '1,200 duplicate job id; 2 gpus is zero'
    """
    order = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    parts = [say("{rows:,} {reason}", rows=rows, reason=reason_said(reason)) for reason, rows in order]
    return say("{parts:; }", parts=parts)
