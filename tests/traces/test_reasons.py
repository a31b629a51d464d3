"""Reasons of dropped rows are stored in English and said in the reader's language."""

from __future__ import annotations

import pytest

from gpufleet.base.language import speaking
from gpufleet.traces import read, sacct, swf
from gpufleet.traces.findings import counted
from gpufleet.traces.reasons import reason_said

FIXED = [
    *(read.DUPLICATE, read.BEFORE, read.AFTER, read.OUTSIDE),
    *(sacct.STEP, sacct.CANCELLED, sacct.NEVER, sacct.NO_GPUS, sacct.MERGED),
    *(swf.PART, swf.CANCELLED, swf.NEVER),
]


@pytest.mark.parametrize("language", ["ko", "ja"])
@pytest.mark.parametrize("reason", [*FIXED, "gpus is zero", "submit is not a time", "duration_s is missing"])
def test_every_reason_is_translated(reason: str, language: str) -> None:
    assert reason_said(reason) == reason
    with speaking(language):
        assert reason_said(reason) != reason


def test_counts_stay_with_their_reasons() -> None:
    with speaking("ko"):
        assert counted({"gpus is zero": 2, "own words": 1}) == "2 gpus 값이 0. 1 own words"
