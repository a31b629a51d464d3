"""What can be wrong with a run folder or with a question about a run."""

from __future__ import annotations

from typing import Final, NoReturn

from gpufleet.base.errors import GpufleetError, explain_code, finding

NOT_A_RUN: Final = explain_code(
    "R001",
    "output folder is not a run folder",
    "A run replaces what an earlier run wrote, and nothing else. A folder with other things "
    "in it is left alone.",
    "gpufleet run plan.yaml --out ~/Documents      # refused\n"
    "gpufleet run plan.yaml --out runs/first       # fine",
).code
NOT_WRITABLE: Final = explain_code(
    "R002",
    "output folder is not writable",
    "A run is written to a folder beside the output folder and moved in place when it is whole; so "
    "the folder that holds the output folder must be writable. This is tried before anything is simulated.",
    "gpufleet run plan.yaml --out /usr/share/run   # no permission",
).code
DISK_FULL: Final = explain_code(
    "R003",
    "run could not be written",
    "The disk is full, a quota is used up, or the disk failed. The part that was written has been removed; "
    "an earlier run in the output folder is whole and unchanged.",
    "gpufleet run plan.yaml --out /mnt/small/run   # a disk with more room helps",
).code
NO_RUN: Final = explain_code(
    "R004",
    "no complete run here",
    "A run folder is a result only with the mark complete.json, which is written last and lists every file "
    "with its size and SHA-256. A folder without it, or with a file of another size, is never "
    "taken for a result.",
    "gpufleet why runs/first 17                    # after: gpufleet run plan.yaml --out runs/first",
).code
EXTRA_FILES: Final = explain_code(
    "R005",
    "run folder holds files that are not of the run",
    "A new run replaces the whole folder. Files that somebody put into it would be lost: it is left alone.",
    "mv runs/first/notes.txt runs/                 # then run again",
).code
NO_JOB: Final = explain_code(
    "R006",
    "no such job",
    "A job is named by its number (column job of jobs.parquet; `#17` is always a number), by its name in the "
    "trace, or by both workload and name (`history/a-17`).",
    "gpufleet why runs/first 17\ngpufleet why runs/first history/a-17",
).code
AMBIGUOUS_JOB: Final = explain_code(
    "R007",
    "job name means several jobs",
    "Names come from traces: two workloads may use one name, a trace may use it twice, and a name may look "
    "like a job number.",
    "gpufleet why runs/first '#17'                 # the job with the number 17, whatever others are called",
).code
NO_PART: Final = explain_code(
    "R008",
    "no such lot, promise, tenant or training",
    "A lot (a delivery), a promise, a tenant or a training of the plan is asked for by its name, or its "
    "path, which no job has (`deliveries.lot-1`; `deliveries.#2` is the second one, without a name).",
    "gpufleet why runs/first lot-1\ngpufleet why runs/first promises.fifty",
).code


def fail(code: str, says: str, fix: str) -> NoReturn:
    """Raise the finding of a registered code as an error."""
    raise GpufleetError(finding(code, says, fix))
