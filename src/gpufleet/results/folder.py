"""Run folders on disk: written beside their place, moved there in one step, results only with a closing mark.

A run is written to ``.NAME.part-...`` beside NAME. When all files are on the disk, the mark `complete.json`
is written, and the folder takes NAME; an earlier run there goes away only after that. Whatever happens in
between, NAME is the earlier run or the new one, whole. Parts of killed runs are removed by the next run,
which may first take over a jobs table with a checkpoint (`take_over`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from gpufleet.base.say import say
from gpufleet.results import checkpoint
from gpufleet.results.checkpoint import PARTS
from gpufleet.results.codes import DISK_FULL, EXTRA_FILES, NO_RUN, NOT_A_RUN, NOT_WRITABLE, fail
from gpufleet.results.swap import exchange, lock_folder, sync_file, sync_folder

MARK: Final = "complete.json"
SCHEMA: Final = "gpufleet.complete/1"
LOCK, WORLD, JOBS, TIMELINE = "plan.lock.yaml", "world.npz", "jobs.parquet", "timeline.parquet"
SUPPLY, SHORTAGE, CHAIN = "supply.parquet", "shortage.parquet", "chain.parquet"
POWER = "power.parquet"
MONEY, FUNDING = "money.parquet", "funding.parquet"
PREEMPTIONS, QUOTAS, FRAGMENTATION = "preemptions.parquet", "quotas.parquet", "fragmentation.parquet"
LICENCES = "licences.parquet"
MEASURES, LEDGER, ENVIRONMENT, REPORT = "measures.json", "ledger.json", "environment.json", "report.html"
FILES: Final = (
    *(
        LOCK,
        WORLD,
        JOBS,
        TIMELINE,
        SUPPLY,
        SHORTAGE,
        CHAIN,
        PREEMPTIONS,
        QUOTAS,
        FRAGMENTATION,
        LICENCES,
        POWER,
        MONEY,
        FUNDING,
    ),
    *(MEASURES, LEDGER, ENVIRONMENT, REPORT),
)
"""What a run folder may hold beside the mark; all but environment.json the same bytes for the same plan."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SHUT: Final = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)


@contextlib.contextmanager
def new_run(out: Path, *, resume: bool = False) -> Iterator[Path]:
    """Write a run folder; it is in place, whole, when the block ends without an error, and else not at all.

    A part with a checkpoint stays when the run is interrupted or the disk is full.

    Args:   out: where the run is to be; its parents are made. An earlier run there is replaced.
            resume: leave parts with a checkpoint where they are, for `take_over`.
    Yields: the folder to write the files of the run to.
    Raises: GpufleetError R001 or R005 if something else than a run is there, R002 if nothing can be written
            there, R003 if the disk is full or fails.

    >>> with tempfile.TemporaryDirectory() as home:
    ...     with new_run(Path(home) / "first") as folder:
    ...         _ = (folder / "measures.json").write_text("{}")
    ...     is_complete(Path(home) / "first")
    True
    """
    target = Path(os.path.realpath(out))
    part, lock = _prepare(target, out, resume)
    stays = False
    try:
        yield part
        _close(part)
        _put_in_place(part, target)
    except KeyboardInterrupt:
        stays = kept_rows(part) > 0
        raise
    except OSError as error:
        if not _no_room(error):
            raise
        stays = kept_rows(part) > 0
        _tell_no_room(error, out, target, kept_rows(part))
    finally:
        if not stays:
            shutil.rmtree(part, ignore_errors=True)  # the part that failed, or the earlier run
        if lock is not None:
            os.close(lock)


def _tell_no_room(error: OSError, out: Path, target: Path, rows: int) -> NoReturn:
    """Raise R003, with what is left."""
    why, free = error.strerror or str(error), shutil.disk_usage(target.parent).free / 1e6
    says = say(
        "{why} at {out} ({free:,.0f} MB free); what was there is unchanged", why=why, out=out, free=free
    )
    fix = say("make room, or choose another --out")
    if rows:
        fix = say(
            "make room and run the plan again: it goes on after the first {n:,} job, which is kept",
            "make room and run the plan again: it goes on after the first {n:,} jobs, which are kept",
            n=rows,
        )
    fail(DISK_FULL, says, fix)


def kept_rows(part: Path) -> int:
    """Jobs that need not be simulated again, by the last checkpoint in a part; 0 without one."""
    found = checkpoint.find(part / PARTS)
    return found.rows if found else 0


def take_over(part: Path, out: Path, fingerprint: str) -> bool:
    """Move the jobs table of a run that was killed to this run's part, and remove all that such runs left.

    Args:   part: of `new_run`, with ``resume``; out: as given there;
            fingerprint: of all that decides about the run's bytes; only a checkpoint with the same is of use.
    Returns: whether there was one.
    """
    target = Path(os.path.realpath(out))
    with contextlib.ExitStack() as locks:
        dead = [left for left in _dead(target, locks) if left != part]
        kept = {left: checkpoint.find(left / PARTS, fingerprint) for left in dead}
        found = [(known.rows, left) for left, known in kept.items() if known]
        if found:
            (max(found)[1] / PARTS).replace(part / PARTS)
            sync_folder(part)
        for left in dead:
            shutil.rmtree(left, ignore_errors=True)
    return bool(found)


def is_complete(path: Path) -> bool:
    """Whether a folder is a whole run: it has the mark, and every file has the size that the mark says."""
    listed = _marked(path)
    return listed is not None and not _damaged(path, listed)


def open_run(path: Path) -> Path:
    """The folder of a whole run; one that a killed run left between two names is put in place first.

    Raises: GpufleetError R004.
    """
    target = Path(os.path.realpath(path))
    _recover(target)
    listed = _marked(target)
    if listed is None:
        there = say("there is no such folder") if not target.exists() else say("it has no {mark}", mark=MARK)
        fail(
            NO_RUN,
            say("{path}: {there}", path=path, there=there),
            say("run the plan first: gpufleet run PLAN --out DIR"),
        )
    damaged = _damaged(target, listed)
    if damaged:
        fail(
            NO_RUN,
            say("{path}: {damaged:, } is not as the run wrote it", path=path, damaged=damaged),
            say("run the plan again"),
        )
    return target


def dump_json(value: Any) -> str:
    """JSON with sorted keys, floats of 12 significant digits, and a newline at the end.

    >>> dump_json({"b": 0.1 + 0.2, "a": 1})
    '{\\n "a": 1,\\n "b": 0.3\\n}\\n'
    """
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file as `dump_json` formats it."""
    path.write_text(dump_json(value), encoding="utf-8", newline="\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# --- the mark -----------------------------------------------------------------------------------------------


def _close(part: Path) -> None:
    """Bring everything to the disk, then say in the mark what there is, then bring the mark to the disk."""
    files = {f.relative_to(part).as_posix(): f for f in part.rglob("*") if f.is_file() and f != part / MARK}
    for file in files.values():
        sync_file(file)
    # environment.json differs from run to run, and the mark must not
    listed = {
        name: {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for name, file in sorted(files.items())
        if name != ENVIRONMENT
    }
    write_json(part / MARK, {"schema": SCHEMA, "files": listed})
    sync_file(part / MARK)
    sync_folder(part)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _marked(path: Path) -> dict[str, dict[str, Any]] | None:
    """The files that the mark lists, or None if the folder has no mark of a run."""
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = mark["files"]
        return files if mark["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _damaged(path: Path, listed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Files that are missing or of another size. The report is nobody's input: it may be remade or gone."""

    def size(name: str) -> int:
        try:
            return (path / name).stat().st_size
        except OSError:
            return -1

    return [name for name, facts in listed.items() if name != REPORT and size(name) != facts["bytes"]]


# --- the place ----------------------------------------------------------------------------------------------


def _prepare(target: Path, out: Path, resume: bool) -> tuple[Path, int | None]:
    """Tidy up, refuse what must not be replaced, and make the folder beside the target, with its lock.

    Making it is also the test that one can write there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy(target, resume)
        _check_target(target, out)
        return _make_part(target)
    except OSError as error:
        if _no_room(error):
            fail(
                DISK_FULL,
                say("{strerror} at {out}", strerror=error.strerror, out=out),
                say("make room, or choose another --out"),
            )
        if error.errno not in _SHUT:
            raise
        says = say(
            "{out}: {lower} ({filename})",
            out=out,
            lower=(error.strerror or "cannot be used").lower(),
            filename=error.filename or target.parent,
        )
        fail(NOT_WRITABLE, says, say("choose another --out, or make the folder writable"))


def _check_target(target: Path, out: Path) -> None:
    """Refuse to replace what is not a run."""
    if not target.exists():
        return
    if not target.is_dir():
        fail(NOT_A_RUN, say("{out} is a file", out=out), say("choose another --out"))
    there = {p.name for p in target.iterdir()} | {f"{JOBS}/{p.name}" for p in (target / JOBS).glob("*")}
    listed = _marked(target)
    if listed is None and there:
        says = say(
            "{out} holds other things (e.g. {there}) and no {mark}; it is left alone",
            out=out,
            there=min(there),
            mark=MARK,
        )
        fail(
            NOT_A_RUN,
            says,
            say("choose another --out, e.g. {out}, or empty the folder yourself", out=out / "run"),
        )
    extra = sorted(there - {*(listed or {}), *FILES, MARK})
    if extra:
        fail(
            EXTRA_FILES,
            say("{out}: {extra:, }", out=out, extra=extra[:5]),
            say("move them elsewhere, or choose another --out"),
        )


def _make_part(target: Path) -> tuple[Path, int | None]:
    """Make and lock the part. Another run that tidies up may be quicker than the lock: then make another."""
    while True:
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = lock_folder(part)
            part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
            return part, lock


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _put_in_place(part: Path, target: Path) -> None:
    """Give the part the target's name. Afterwards the part's name is free, or that of the earlier run."""
    if not target.exists() or not any(target.iterdir()):
        part.replace(target)
    elif not exchange(part, target):
        # two steps: if the process dies between them, `_recover` takes the second
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
        target.replace(old)
        part.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def _leftovers(target: Path) -> list[Path]:
    """Parts (first) and old runs that stand beside the target under temporary names."""
    left = re.compile(rf"\.{re.escape(target.name)}\.(part|old)-[a-z0-9_]{{8}}")
    if not target.parent.is_dir():
        return []
    return sorted((p for p in target.parent.iterdir() if left.fullmatch(p.name)), key=_parts_first)


def _parts_first(path: Path) -> tuple[bool, str]:
    return ".part-" not in path.name, path.name


def _recover(target: Path) -> None:
    """If a run died after its mark, before it was in place, put it in place; failing that, the one before."""
    if target.exists():
        return
    for left in _leftovers(target):
        try:
            lock = lock_folder(left)
        except OSError:
            return  # its run is alive
        if lock is not None:
            os.close(lock)
        if is_complete(left):
            with contextlib.suppress(OSError):
                left.replace(target)
            return


def _tidy(target: Path, resume: bool) -> None:
    """Remove what killed runs left here, but for checkpoints that may be of use."""
    _recover(target)
    with contextlib.ExitStack() as locks:
        for left in _dead(target, locks):
            if not (resume and kept_rows(left)):
                shutil.rmtree(left, ignore_errors=True)


def _dead(target: Path, locks: contextlib.ExitStack) -> Iterator[Path]:
    """Leftovers of runs that are dead, locked until ``locks`` ends. A run that is alive holds its own."""
    for left in _leftovers(target):
        with contextlib.suppress(OSError):
            lock = lock_folder(left)
            if lock is not None:
                locks.callback(os.close, lock)
            yield left


def _no_room(error: OSError) -> bool:
    """Whether this is the disk; NumPy says it in words only."""
    return error.errno in _NO_ROOM or (error.errno is None and "requested and" in str(error))
