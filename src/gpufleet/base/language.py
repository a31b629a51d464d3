"""The languages that reports, findings and answers are said in, and how each writes numbers and dates.

Words come from gettext catalogues in ``gpufleet/locale``; ``make messages`` brings them up to date with the
source.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from importlib import resources
from typing import ClassVar, Final

from gpufleet.base.errors import GpufleetError, explain_code, finding
from gpufleet.base.say import ENGLISH, Said, Voice, say, significant, voice

LANGUAGES: Final = {"en": "English", "ko": "한국어", "ja": "日本語"}
"""Tags of the languages with their own names."""

VARIABLE: Final = "GPUFLEET_LANG"
"""Environment variable that chooses a language where no option does."""

NO_LANGUAGE: Final = explain_code(
    "U020",
    "no such language",
    "Reports, findings and answers are in English (en), Korean (ko) or Japanese (ja): by --lang, or by "
    f"{VARIABLE} in the environment, also as ko_KR.UTF-8. The help texts and JSON stay English.",
    "gpufleet report runs/one-cluster --lang ko",
).code


class _Translated(Voice):
    """A language with a catalogue; large numbers count in ten thousands."""

    units: ClassVar[tuple[tuple[float, str], ...]] = ()
    dates: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        path = resources.files("gpufleet").joinpath("locale", self.tag, "LC_MESSAGES", "gpufleet.mo")
        with path.open("rb") as file:
            self._words = gettext.GNUTranslations(file)

    def form(self, template: str, many: str | None, number: object) -> str:
        """The template in this language; English if the catalogue does not have it."""
        if not template:
            return template
        if many is None:
            return self._words.gettext(template)
        whole = number if isinstance(number, int) else 2
        return self._words.ngettext(template, many, whole)

    def short(self, value: float) -> str:
        """Three significant digits, counted in 10^4, 10^8, 10^12."""
        rounded = float(f"{value:.3g}")
        for size, unit in self.units:
            if abs(rounded) >= size:
                return significant(rounded / size) + unit
        return significant(value)

    def date(self, when: date, form: str) -> str:
        """A date as people write it, a time behind it as it stands in the form."""
        days, _, time = (form or "%Y-%m-%d").partition(" ")
        if days not in self.dates:
            return when.strftime(form)
        text = self.dates[days].format(y=when.year, m=when.month, d=when.day)
        return f"{text} {when.strftime(time)}" if time else text


class _Korean(_Translated):
    tag = "ko"
    units = ((1e12, "조"), (1e8, "억"), (1e4, "만"))
    dates: ClassVar[dict[str, str]] = {
        "%Y-%m-%d": "{y}년 {m}월 {d}일", "%Y-%m": "{y}년 {m}월", "%Y": "{y}년",
    }  # fmt: skip


class _Japanese(_Translated):
    tag = "ja"
    comma = "、"
    units = ((1e12, "兆"), (1e8, "億"), (1e4, "万"))
    dates: ClassVar[dict[str, str]] = {
        "%Y-%m-%d": "{y}年{m}月{d}日", "%Y-%m": "{y}年{m}月", "%Y": "{y}年",
    }  # fmt: skip


@cache
def _voice(language: str) -> Voice:
    return {"ko": _Korean, "ja": _Japanese}[language]() if language != "en" else ENGLISH


_LOCALE: Final = re.compile(r"(?P<tag>[a-z]+)(?:[-_][a-z0-9]+)*(?:\.[-\w]+)?(?:@\w+)?", re.IGNORECASE)
"""How an environment writes a language: with territory, encoding and modifier, such as ko_KR.UTF-8."""


def chosen(language: str | None = None) -> str:
    """The language to use: the one named, else that of the environment, else English.

    Raises: GpufleetError U020 for one that is not there.

    >>> chosen("ko"), chosen("EN"), chosen("ja_JP.UTF-8"), chosen("ko-KR"), chosen("C.UTF-8")
    ('ko', 'en', 'ja', 'ko', 'en')
    """
    wanted = (language or os.environ.get(VARIABLE) or "en").strip()
    match = _LOCALE.fullmatch(wanted)
    tag = match["tag"].lower() if match else ""
    tag = "en" if tag in ("c", "posix") else tag
    if tag in LANGUAGES:
        return tag
    names = [f"{tag} ({name})" for tag, name in LANGUAGES.items()]
    fix = say("choose one of {names}", names=names)
    where = "--lang" if language else VARIABLE
    raise GpufleetError(
        finding(NO_LANGUAGE, say("{where} is `{language}`", where=where, language=wanted), fix)
    )


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Inside the block, `say` and `tell` speak this language.

    Raises: GpufleetError U020 for one that is not there.

    >>> with speaking("ko"):
    ...     str(say("{at:%Y-%m}: {n:short} GPU", at=date(2027, 3, 1), n=260_000))
    '2027년 3월: 26만 GPU'
    >>> with speaking("ja"):
    ...     str(say("{at}", at=date(2027, 3, 1)))
    '2027年3月1日'
    """
    token = voice.set(_voice(chosen(language)))
    try:
        yield
    finally:
        voice.reset(token)


def spoken() -> str:
    """Tag of the language that is being spoken.

    >>> spoken()
    'en'
    """
    return voice.get().tag


def said(text: str, language: str) -> str:
    """A text in a language; a plain `str` (a name, say) stays as it is.

    >>> said(say("{n:short} GPU", n=143_217), "ko")
    '14.3만 GPU'
    """
    if not isinstance(text, Said):
        return text
    return _voice(chosen(language)).says(text.template, text.many, text.values)
