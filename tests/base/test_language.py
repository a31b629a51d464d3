"""Which language is used, and whether the catalogues are whole."""

from __future__ import annotations

import sys
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.base.language import LANGUAGES, VARIABLE, chosen, speaking, spoken

ROOT = Path(__file__).parents[2]
pytest.importorskip("babel")


def _messages() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        from tools import messages
    finally:
        sys.path.remove(str(ROOT))
    return messages


def test_option_goes_before_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ja")
    assert chosen() == "ja"
    assert chosen("ko") == "ko"
    monkeypatch.delenv(VARIABLE)
    assert chosen() == "en"


@pytest.mark.parametrize(("option", "variable", "where"), [("fr", "", "--lang"), (None, "xx", VARIABLE)])
def test_unknown_language_is_refused(
    monkeypatch: pytest.MonkeyPatch, option: str | None, variable: str, where: str
) -> None:
    monkeypatch.setenv(VARIABLE, variable)
    with pytest.raises(GpufleetError) as caught:
        chosen(option)
    (found,) = caught.value.findings
    assert (found.code, found.says) == ("U020", f"{where} is `{option or variable}`")
    assert found.fix == "choose one of en (English), ko (한국어), ja (日本語)"


def test_a_language_ends_with_its_block() -> None:
    with speaking("ko"):
        with speaking("ja"):
            assert spoken() == "ja"
        assert spoken() == "ko"
    assert spoken() == "en"


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", [tag for tag in LANGUAGES if tag != "en"])
class TestCatalogue:
    """Each translation is there, holds the same values, and is compiled."""

    def test_nothing_is_missing(self, language: str) -> None:
        messages = _messages()
        assert messages.missing(messages.merged(language, messages.collect())) == []

    def test_it_is_as_the_source(self, language: str) -> None:
        messages = _messages()
        text = messages.po(messages.merged(language, messages.collect()))
        assert messages.path_of(language).read_text(encoding="utf-8") == text, "run: make messages"

    def test_it_is_compiled(self, language: str) -> None:
        messages = _messages()
        compiled = messages.path_of(language).with_suffix(".mo").read_bytes()
        assert compiled == messages.mo(messages.read(language)), "run: make messages"

    def test_values_are_the_same(self, language: str) -> None:
        messages = _messages()
        plurals = {message.text: message.many for message in messages.collect()}
        for message in messages.read(language):
            text = message.id[0] if isinstance(message.id, tuple) else message.id
            string = message.string[0] if isinstance(message.string, tuple) else message.string
            if not text or not string or text not in plurals or not _filled(text):
                continue
            wanted = _fields(plurals[text] or text)
            assert _fields(string) == wanted, f"{text!r} -> {string!r}"


def _filled(text: str) -> bool:
    """Whether a text is a template: some have braces of their own."""
    try:
        return all(name.isidentifier() for name in _fields(text))
    except ValueError:
        return False
