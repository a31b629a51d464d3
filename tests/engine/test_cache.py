"""Compiled kernels are kept: for an installed package, a read-only one too, and never beyond an edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from tests.conftest import ROOT

ROOMS: Final = ("base", "engine", "world")  # what the engine imports
HEAP: Final = Path("gpufleet", "engine", "heap.py")
# Compiles one small kernel, and tells what was compiled, what the kernel gave and where kernels are kept.
CHILD: Final = """
import json
import numba
import numpy as np
settings = numba.config.CACHE_DIR
from gpufleet.engine import heap, jit
compiled = []
jit.on_compile(compiled.append)
known = jit.is_compiled()
numbers = np.array([5, 7, 9, 0])
found = {"top": heap.pop(numbers, 3), "compiled": compiled, "known": known, "home": heap.__file__}
assert numba.config.CACHE_DIR == settings, "another package's cache would move"
print(json.dumps(found | {"folder": str(jit.cache_folder())}))
"""


class Installed(NamedTuple):
    """A copy of the package, as an installation has it, and a cache of its own."""

    site: Path
    cache: Path
    temporary: Path

    def run(self, **changed: str) -> dict[str, Any]:
        """Run the child with this copy."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(self.site), *sys.path]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(self.cache),
            "TMPDIR": str(self.temporary),
        }
        command = [sys.executable, "-c", CHILD]
        options: dict[str, Any] = {
            "capture_output": True,
            "text": True,
            "timeout": 120,
            "cwd": self.temporary,
        }
        done = subprocess.run(command, env=environment | changed, **options)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert Path(found["home"]) == self.site / HEAP
        return found

    def kept(self) -> list[Path]:
        return sorted(self.cache.rglob("*.nbi"))

    def files(self) -> list[Path]:
        return sorted(self.site.rglob("*"))


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    source, site = ROOT / "src" / "gpufleet", tmp_path / "lib" / "site-packages"
    package = site / "gpufleet"
    package.mkdir(parents=True)
    shutil.copy(source / "__init__.py", package)
    for room in ROOMS:
        shutil.copytree(source / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cache", "temporary"):
        (tmp_path / name).mkdir()
    return Installed(site, tmp_path / "cache", tmp_path / "temporary")


def test_an_installed_package_compiles_once(installed: Installed) -> None:
    first = installed.run()
    assert (first["compiled"], first["known"], first["top"]) == (["pop"], False, 5)
    assert installed.kept()
    assert Path(first["folder"]).is_relative_to(installed.cache / "gpufleet")
    again = installed.run()
    assert (again["compiled"], again["known"], again["top"]) == ([], True, 5)
    assert again["folder"] == first["folder"]


def test_an_installation_that_cannot_be_written_to_is_cached_too(installed: Installed) -> None:
    """Root may write everywhere, so what is checked is that nobody tries."""
    before = installed.files()
    for path in [*before, installed.site]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert installed.run()["compiled"] == ["pop"]
        assert installed.run()["compiled"] == []
        assert installed.files() == before
        assert installed.kept()
    finally:
        for path in [installed.site, *before]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_without_a_home_the_temporary_folder_serves(installed: Installed) -> None:
    no_folder = installed.cache / "file"
    no_folder.write_text("a cache cannot be made in here")
    first = installed.run(XDG_CACHE_HOME=str(no_folder))
    assert first["compiled"] == ["pop"]
    assert Path(first["folder"]).is_relative_to(installed.temporary)
    assert installed.run(XDG_CACHE_HOME=str(no_folder))["compiled"] == []


def test_numbas_own_setting_is_respected(installed: Installed) -> None:
    folder = installed.temporary / "mine"
    assert installed.run(NUMBA_CACHE_DIR=str(folder))["compiled"] == ["pop"]
    assert list(folder.rglob("*.nbi"))
    assert installed.kept() == []
    assert installed.run(NUMBA_CACHE_DIR=str(folder))["compiled"] == []


def edit(path: Path, old: str, new: str) -> None:
    """Replace text; the file keeps its time and size, by which alone Numba would tell."""
    text, stat = path.read_text(), path.stat()
    assert text.count(old) == 1
    assert len(old) == len(new)
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_an_edited_kernel_is_compiled_anew(installed: Installed) -> None:
    first = installed.run()
    edit(installed.site / HEAP, "top = heap[0]", "top = heap[2]")
    edited = installed.run()
    assert (edited["compiled"], edited["known"], edited["top"]) == (["pop"], False, 9)
    assert edited["folder"] != first["folder"]
    edit(installed.site / HEAP, "top = heap[2]", "top = heap[0]")
    back = installed.run()
    assert (back["compiled"], back["top"], back["folder"]) == ([], 5, first["folder"])


@pytest.mark.parametrize("name", ["engine/order.py", "engine/jit.py", "world/layout.py"])
def test_so_are_all_kernels_when_another_source_was_edited(installed: Installed, name: str) -> None:
    """A kernel holds the code of those that it calls, and the constants of the layout."""
    first = installed.run()
    path = installed.site / "gpufleet" / name
    path.write_text(path.read_text() + "\n# another line\n")
    edited = installed.run()
    assert edited["compiled"] == ["pop"]
    assert edited["folder"] != first["folder"]
