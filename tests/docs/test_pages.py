"""Code in the docs runs, and says what the page says.

- Every ``python`` block of a page runs; the blocks of a page share their names.
- Every ``console`` block below a line ``<!-- run -->`` (or ``<!-- run: exit 2 -->``) runs: lines that start
  with ``$`` are commands, the lines below are what is printed, and ``...`` stands for anything.
- Every ``yaml`` block that is a whole plan is saved under its name, and checked.
- A block with a title (```` ```yaml title="coast/plan.yaml" ````) is a file, and is saved under its title.

A page that does not speak of ``plans/`` runs in an empty folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
)
BLOCK = re.compile(
    r"^(?:<!-- run(?:: exit (?P<exit>\d+))? -->\n(?P<run>))?"
    r"```(?P<kind>[a-z]+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A block of code in a page."""

    kind: str
    text: str
    line: int
    exit_code: int | None  # of a console block that is to be run
    title: str | None = None  # the file that it is


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        exit_code = int(match["exit"] or 0) if match["run"] is not None else None
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["kind"], match["text"], line, exit_code, match["title"]))
    return found


def runs(block: Block) -> bool:
    """Whether the test does something with a block."""
    whole_plan = block.kind == "yaml" and block.text.startswith("gpufleet:")
    return block.kind == "python" or block.exit_code is not None or whole_plan or block.title is not None


def run_console(block: Block, place: str) -> None:
    """Run the commands of a block, one by one, and compare what they print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
        printed = done.stdout + done.stderr
        assert done.returncode == block.exit_code, f"{place}: {command}\n{printed}"
        pattern = "".join(
            r"(?s:.*)" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
            for line in expected.splitlines()
        )
        assert re.fullmatch(pattern, printed), f"{place}: {command} prints\n{printed}"


def save(block: Block, folder: Path) -> None:
    """Save a block that is a file; only below the folder."""
    assert block.title
    path = (folder / block.title).resolve()
    assert path.is_relative_to(folder), block.title
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(map(runs, blocks(p)))], ids=lambda p: str(p.relative_to(ROOT))
)
def test_code_of_a_page_runs(page: Path, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    if "plans/" not in page.read_text(encoding="utf-8"):
        shutil.rmtree(folder / "plans", ignore_errors=True)
    for block in filter(runs, blocks(page)):
        place = f"{page.name}:{block.line}"
        if block.title is not None:
            save(block, folder)
        elif block.kind == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        elif block.kind == "console":
            run_console(block, place)
        else:
            name = re.search(r"^name: *(\S+)", block.text, re.MULTILINE)
            assert name, f"{place}: a plan without a name"
            plan = folder / f"{name[1]}.yaml"
            plan.write_text(block.text, encoding="utf-8")
            run_console(Block("console", f"$ gpufleet check {plan.name}\n...\n", block.line, 0), place)


def test_every_console_block_is_closed_and_starts_with_a_command() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.kind == "console":
                assert block.text.startswith("$ "), f"{page.name}:{block.line}"


def test_the_file_that_a_block_is_stands_in_the_text_too() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.title is not None:
                before = page.read_text(encoding="utf-8").split("\n")[: block.line - 1]
                assert f"`{block.title}`" in "\n".join(before[-6:]), f"{page.name}:{block.line}"
