"""Texts keep how they were made; in another language they carry the same values."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpufleet.base.language import said, speaking
from gpufleet.base.say import Said, from_data, say, significant, tell, to_data
from gpufleet.base.units import format_duration
from gpufleet.base.wide import columns, wrapped

SIZES = {"ko": {"만": 4, "억": 8, "조": 12}, "ja": {"万": 4, "億": 8, "兆": 12}}


def test_a_text_is_english_and_remembers() -> None:
    text = say("{site} has {n:,} GPU", "{site} has {n:,} GPUs", site="lab", n=1200)
    assert text == "lab has 1,200 GPUs"
    assert (text.template, text.values["n"]) == ("{site} has {n:,} GPU", 1200)


def test_a_text_without_values_may_hold_braces() -> None:
    assert say("write `{a: 1}`") == "write `{a: 1}`"


def test_a_field_is_a_name_and_no_more() -> None:
    with pytest.raises(ValueError, match="not the name of a value"):
        say("{x.__class__}", x=1)
    with pytest.raises(ValueError, match="not the name of a value"):
        say("{x[0]}", x="ab")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_are_whole(again: Any) -> None:
    text = again(say("{n:,} job", "{n:,} jobs", n=2))
    assert isinstance(text, Said)
    assert (text, text.template, text.many, text.values) == ("2 jobs", "{n:,} job", "{n:,} jobs", {"n": 2})


VALUES = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.dates(),
    st.datetimes(),
    st.builds(lambda n: say("{n:,} job", "{n:,} jobs", n=n), st.integers(0, 10**9)),
    st.lists(st.text(), max_size=3),
)


@given(VALUES)
def test_a_stored_text_comes_back(value: Any) -> None:
    text = say("it is {value}", value=value)
    stored = json.loads(json.dumps(to_data(text)))
    assert from_data(stored) == text
    with speaking("ko"):
        assert from_data(stored) == say("it is {value}", value=value)


@given(st.floats(-1e15, 1e15), st.sampled_from(["ko", "ja"]))
def test_short_numbers_are_the_same_number(value: float, language: str) -> None:
    text, power = said(say("{x:short}", x=value), language), 0
    for unit, size in SIZES[language].items():
        if text.endswith(unit):
            text, power = text.removesuffix(unit), size
    shown = float(text.replace(",", "")) * 10.0**power
    assert shown == pytest.approx(float(significant(value).replace(",", "")), rel=1e-9, abs=1e-6)
    assert "e" not in text


@pytest.mark.parametrize(
    ("value", "korean", "japanese"),
    [
        (260_000, "26만", "26万"),
        (143_217, "14.3만", "14.3万"),
        (9_999, "1만", "1万"),
        (1_234, "1,230", "1,230"),
        (99_960_000, "1억", "1億"),
        (12_345_678, "1,230만", "1,230万"),
        (2.5e12, "2.5조", "2.5兆"),
        (0, "0", "0"),
        (-31_336, "-3.13만", "-3.13万"),
    ],
)
def test_large_numbers_count_in_ten_thousands(value: float, korean: str, japanese: str) -> None:
    text = say("{x:short}", x=value)
    assert (said(text, "ko"), said(text, "ja")) == (korean, japanese)
    assert said(say("{x:,}", x=value), "ko") == f"{value:,}"


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        ("{at}", ("2027-03-01", "2027년 3월 1일", "2027年3月1日")),
        ("{at:%Y-%m}", ("2027-03", "2027년 3월", "2027年3月")),
        ("{at:%Y-%m-%d %H:%M}", ("2027-03-01 09:05", "2027년 3월 1일 09:05", "2027年3月1日 09:05")),
    ],
)
def test_dates_are_local(form: str, texts: tuple[str, ...]) -> None:
    text = say(form, at=datetime(2027, 3, 1, 9, 5))
    assert tuple(said(text, language) for language in ("en", "ko", "ja")) == texts


def test_durations_are_local() -> None:
    times = [format_duration(s) for s in (93_600, 5_430, 61, 0.4, 86_400)]
    assert [said(t, "ko") for t in times] == ["1일 2시간", "1시간 30분", "1분 1초", "0.4초", "1일"]
    assert [said(t, "ja") for t in times] == ["1日2時間", "1時間30分", "1分1秒", "0.4秒", "1日"]


def test_values_are_said_too() -> None:
    inner = say("{n:,} job", "{n:,} jobs", n=3)
    text = say("note: {note}", note=inner)
    assert said(text, "ko") == "참고: 작업 3건"
    with speaking("ja"):
        assert tell(text) == "注: ジョブ 3 件"
        assert say("note: {note}", note=inner) == "注: ジョブ 3 件"
    assert tell(text) == "note: 3 jobs"


def test_names_are_not_translated() -> None:
    with speaking("ko"):
        assert tell("error") == "error"
        assert say("note: {note}", note="error") == "참고: error"


def test_an_unknown_text_stays_english() -> None:
    assert said(say("never {word} before", word="seen"), "ko") == "never seen before"


@given(st.text(alphabet="GPU 대기 待ちの空き、。ab", max_size=60), st.integers(4, 30))
def test_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width).splitlines()
    assert "".join(text.split()) == "".join("".join(lines).split())
    for line in lines:
        assert columns(line) <= width or " " not in line


def test_dates_of_tables_are_dates() -> None:
    assert to_data(say("{at}", at=date(2027, 3, 1)))["with"] == {"at": {"date": "2027-03-01"}}


def test_a_language_joins_the_items_of_a_list_its_own_way() -> None:
    text = say("known: {names}", names=["a", "b"])
    assert (text, said(text, "ko"), said(text, "ja")) == (
        "known: a, b",
        "사용할 수 있는 값: a, b",
        "使える値: a、b",
    )


def test_a_language_joins_sentences_its_own_way() -> None:
    text = say("{supply}. {parts:; }", supply="A", parts=["B", "C"])
    assert (text, said(text, "ko"), said(text, "ja")) == ("A. B; C", "A. B. C", "A。B。C")
