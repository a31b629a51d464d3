"""Reference pages are made from the code, and their pieces hold together."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from gpufleet.results.folder import FILES, MARK

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/_hooks/reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples_of_the_generator(reference: ModuleType) -> None:
    assert doctest.testmod(reference).failed == 0


def test_each_mark_of_a_page_is_known_and_each_fragment_is_used(reference: ModuleType) -> None:
    marks = [
        m[1]
        for page in (ROOT / "docs").glob("**/*.md")
        for m in reference.MARK.finditer(page.read_text("utf-8"))
    ]
    assert sorted(marks) == sorted(reference.FRAGMENTS)


def test_a_mark_that_is_not_known_fails_the_build(reference: ModuleType) -> None:
    with pytest.raises(KeyError, match="nothing"):
        reference.on_page_markdown("text\n<!-- generated: nothing -->\n")


@pytest.mark.parametrize(
    "name",
    [
        "commands",
        "plan.keys",
        "trace.formats",
        "run.jobs",
        "run.supply",
        "run.shortage",
        "run.preemptions",
        "run.quotas",
        "findings",
        "catalogue.export-rules",
        "catalogue.export-chips",
        "export.inputs",
        "export.policies",
    ],
)
def test_fragments_have_a_line_for_each_thing(reference: ModuleType, name: str) -> None:
    wanted = {
        "commands": [
            "## gpufleet check",
            "## gpufleet run",
            "## gpufleet why",
            "## gpufleet profile",
            "## gpufleet export",
            "## gpufleet export-check",
            "--lang",
            "--against",
            "--fresh",
        ],
        "plan.keys": [
            "`start` (needed)",
            "## policy",
            "`backfill`",
            "`easy`",
            "## deliveries.NAME",
            "(kind: campaign)",
            "(kind: profile)",
            "## promises.NAME",
            "## actuals.NAME",
            "`counts_toward`",
            "`gpu_hours_per_month`",
            "`as_of`",
            "`jobs_until`",
            "`seed`",
        ],
        "trace.formats": ["## philly", "## sacct", "`duration_s`"],
        "run.jobs": ["`wait_s`", "`root_fragmented_s`"],
        "run.supply": ["`gpus_low`", "`tflops_bf16`", "`first`"],
        "run.shortage": ["`step`", "`overdue`", "`place`"],
        "run.preemptions": ["`preemptor`", "InCohortReclamation", "`lost_gpu_s`"],
        "run.quotas": ["`borrowed_gpu_h`", "in proportion to their unused lendable quota", "`taken_by_gpus`"],
        "catalogue.export-rules": [
            "| `US-2023-10-17` | imposes | 2023-11-17 |",
            "88 FR 73458",
            "| `CN-2026-05-15` |",
        ],
        "catalogue.export-chips": [
            "| `H20` | H20 | 2,368 | 2.909 | 4,000 | 1,028 | 1 |",
            "| `RTX 4090D` |  |",
        ],
        "export.inputs": [
            "| `dc` | `dc_marketed` |",
            "| `tpp` | `tpp` | TPP | number | not known |",
            "never empty",
        ],
        "export.policies": ["`presumption_of_denial` | licence |", "| `aca` | exception |", "`duty_0`"],
        "findings": ["## P006", "## P072", "## P081", "## P108", "## C002", "## T006", "## T081", "## U020"],
    }
    text = reference.FRAGMENTS[name]()
    assert [piece for piece in wanted[name] if piece not in text] == []


def test_findings_have_one_heading_each(reference: ModuleType) -> None:
    codes = re.findall(r"^## ([A-Z]\d{3}) ", reference.findings(), re.MULTILINE)
    assert codes == sorted(set(codes))


def test_each_file_of_a_run_folder_is_described() -> None:
    page = (ROOT / "docs/reference/run-folder.md").read_text("utf-8")
    assert re.findall(r"^\| `(\S+)` \|", page, re.MULTILINE) == [*FILES, MARK]


def test_words_of_the_engine_page_are_in_the_glossary() -> None:
    glossary = (ROOT / "docs/reference/glossary.md").read_text("utf-8")
    for word in (
        "island",
        "lane",
        "shape",
        "cell",
        "holder",
        "reservation",
        "root",
        "estimate",
        "pass",
        "quota",
    ):
        assert re.search(rf"\*\*[^*]*\b{word}\b", glossary), word
