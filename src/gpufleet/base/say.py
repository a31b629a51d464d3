"""Text for people that can be said in another language later.

What a room says is English, and it is stored in English, so that a run is the same bytes whatever language
its reader has. `say` keeps the template and the values beside the text; `tell` says it again in the language
that is being spoken (`gpufleet.base.language.speaking`). While another language is spoken, `say` says it in
that language at once: a report is made so.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from string import Formatter
from typing import Any, ClassVar, Final, Self


class Said(str):
    """Text that remembers how it was made. Everywhere else it is a plain `str`."""

    __slots__ = ("many", "template", "values")
    template: str
    many: str | None
    values: dict[str, Any]

    def __new__(  # noqa: D102
        cls,
        text: str,
        template: str | None = None,
        many: str | None = None,
        values: dict[str, Any] | None = None,
    ) -> Self:
        self = super().__new__(cls, text)
        self.template, self.many, self.values = text if template is None else template, many, values or {}
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:  # of str it is only the text
        return str(self), self.template, self.many, self.values


class Voice:
    """How one language says a text: its words, and how it writes numbers and dates. This one is English."""

    tag: ClassVar[str] = "en"
    comma: ClassVar[str] = ", "
    """What stands between the items of a list where a template does not say it."""

    def form(self, template: str, many: str | None, number: Any) -> str:
        """The template in this language; with a plural, the form for that number."""
        return template if many is None or number == 1 else many

    def short(self, value: float) -> str:
        """A number with three significant digits, never with an exponent."""
        return significant(value)

    def date(self, when: date, form: str) -> str:
        """A date in a form of `strftime`; "" is year, month and day."""
        return when.strftime(form or "%Y-%m-%d")

    def says(self, template: str, many: str | None, values: Mapping[str, Any]) -> str:
        """A template with its values."""
        form = self.form(template, many, values.get("n"))
        if not values:
            return form
        parts = (text + ("" if name is None else self._field(values[name], spec, conversion))
                 for text, name, spec, conversion in _parsed(form))  # fmt: skip
        return "".join(parts)

    def _field(self, value: Any, spec: str, conversion: str | None) -> str:
        if isinstance(value, Said):
            value = self.says(value.template, value.many, value.values)
        if conversion == "r":
            value = repr(value)
        if isinstance(value, list | tuple):
            return (spec or self.comma).join(self._field(each, "", None) for each in value)
        if isinstance(value, date):
            return self.date(value, spec)
        if spec == "short":
            return self.short(value)
        return format(value, spec)


@lru_cache(maxsize=4096)
def _parsed(template: str) -> tuple[tuple[str, str | None, str, str | None], ...]:
    """A template as pieces of (text, name of the field behind it, its format, its conversion).

    Raises: ValueError for a field that is more than a name: values come from files that others wrote.
    """
    pieces = []
    for text, name, spec, conversion in Formatter().parse(template):
        if name is not None and not name.isidentifier():
            raise ValueError(f"`{name}` in {template!r} is not the name of a value")
        pieces.append((text, name, spec or "", conversion))
    return tuple(pieces)


def significant(value: float) -> str:
    """Three significant digits, thousands separated, never an exponent.

    >>> [significant(v) for v in (143217, 51.234, 0.04567, 0, 7)]
    ['143,000', '51.2', '0.0457', '0', '7']
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100 or rounded == int(rounded):
        return f"{rounded:,.0f}"
    return f"{rounded:,.6f}".rstrip("0")


ENGLISH: Final = Voice()
voice: Final[ContextVar[Voice]] = ContextVar("voice", default=ENGLISH)
"""Who speaks; changed by `gpufleet.base.language.speaking`."""


def say(template: str, many: str | None = None, /, **values: Any) -> Said:
    """A sentence from a template and its values.

    Args:
        template: English text with named fields, as for `str.format`; literal in the source, because
            translators' catalogues are made from it. Besides the formats of Python: ``{x:short}`` is a number
            with three significant digits, ``{days:%Y-%m}`` a date, ``{items:; }`` a list with what stands
            between (default the comma of the language). A translation names its own: ``{items:。}``.
        many: the plural, used when the value ``n`` is not 1.
        values: texts (also `Said` ones), numbers, dates, lists of these.

    >>> say("{site} has {power}", site="lab", power="10 MW")
    'lab has 10 MW'
    >>> say("{n:,} job", "{n:,} jobs", n=1200), say("{n:,} job", "{n:,} jobs", n=1).template
    ('1,200 jobs', '{n:,} job')
    >>> say("{parts:; }, {n:short}", parts=["a", say("b")], n=143217)
    'a; b, 143,000'
    """
    return Said(voice.get().says(template, many, values), template, many, values)


def tell(text: str) -> str:
    """A text in the language that is being spoken; a plain `str` (a name, say) stays as it is."""
    if not isinstance(text, Said):
        return text
    return say(text.template, text.many, **text.values)


def to_data(text: Any) -> Any:
    """A text as JSON values that `from_data` reads: plain texts and numbers stay what they are.

    >>> to_data(say("{n:,} job", "{n:,} jobs", n=2))
    {'say': '{n:,} job', 'many': '{n:,} jobs', 'with': {'n': 2}}
    """
    if isinstance(text, Said):
        if not text.values:
            return {"say": text.template}
        many = {} if text.many is None else {"many": text.many}
        values = {key: to_data(each) for key, each in text.values.items()}
        return {"say": text.template, **many, "with": values}
    if isinstance(text, list | tuple):
        return [to_data(each) for each in text]
    if isinstance(text, date):
        return {"date": text.isoformat()}
    if text is None or isinstance(text, bool | int | float | str):
        return text
    return text.item() if hasattr(text, "item") else str(text)


def from_data(data: Any) -> Any:
    """What `to_data` wrote, in the language that is being spoken.

    Raises: ValueError or KeyError if it is something else.

    >>> from_data(to_data(say("{n:,} job since {at}", "{n:,} jobs since {at}", n=2, at=date(2027, 3, 1))))
    '2 jobs since 2027-03-01'
    """
    if isinstance(data, list):
        return [from_data(each) for each in data]
    if not isinstance(data, dict):
        return data
    if "date" in data:
        kind = datetime if "T" in data["date"] else date
        return kind.fromisoformat(data["date"])
    values = {key: from_data(each) for key, each in data.get("with", {}).items()}
    return say(data["say"], data.get("many"), **values)
