"""Brings the catalogues of translations up to date with the source: ``make messages``.

Collects every text that `gpufleet.base.say.say` is given, in Python and in the page's template, and the
texts that are declared elsewhere (titles of codes, what measures are). Writes them to the catalogue of each
language (``gpufleet.po``), keeping what is translated, and compiles it (``gpufleet.mo``). Prints what is not
translated.
"""

from __future__ import annotations

import ast
import csv
import struct
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "gpufleet"
LOCALE: Final = SOURCE / "locale"
LANGUAGES: Final = ("ko", "ja")
_LEDGER: Final = ("default", "declared in the plan")


class Message(NamedTuple):
    """A text to translate, its plural, and the files that it is in."""

    text: str
    many: str | None
    files: tuple[str, ...]


@cache
def collect() -> tuple[Message, ...]:
    """Every text that is said, in the order of the source."""
    found: dict[str, tuple[str | None, dict[str, None]]] = {}
    for text, many, file in [*_said(), *_declared()]:
        known, files = found.setdefault(text, (many, {}))
        if known and many and known != many:
            raise SystemExit(f"{file}: {text!r} has two plurals: {known!r} and {many!r}")
        found[text] = (known or many, {**files, file: None})
    return tuple(
        Message(text, many, tuple(files)) for text, (many, files) in found.items() if has_words(text)
    )


def has_words(template: str) -> bool:
    """Whether a template says anything beside its fields: words, or how its parts are joined.

    >>> has_words("{n:,} jobs"), has_words("{supply}. {parts}"), has_words("{a} {b:,}")
    (True, True, False)
    """
    from string import Formatter

    try:
        pieces = list(Formatter().parse(template))
    except ValueError:  # a text with braces of its own
        return True
    words = any(c.isalpha() or c in "%;.,(" for text, *_ in pieces for c in text)
    return words or any(spec in (", ", "; ") for _, _, spec, _ in pieces)


def _said() -> Iterator[tuple[str, str | None, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for text, many in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            yield text, many, path.relative_to(SOURCE).as_posix()
    for path in sorted(SOURCE.rglob("*.j2")):
        for text, many in _template(path.read_text(encoding="utf-8")):
            yield text, many, path.relative_to(SOURCE).as_posix()


def _calls(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Arguments of `say`, whatever a module calls it."""
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "gpufleet.base.say"
        for alias in node.names
        if alias.name == "say"
    }
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    for call in sorted(calls, key=lambda node: node.lineno):
        if call.func.id in names:  # type: ignore[attr-defined]
            texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if texts:
                yield texts[0], texts[1] if len(texts) > 1 else None


def _template(text: str) -> Iterator[tuple[str, str | None]]:
    from jinja2 import Environment
    from jinja2.ext import extract_from_ast

    for _, _, message in extract_from_ast(Environment().parse(text), ("say",)):
        parts = [part for part in (message if isinstance(message, tuple) else (message,)) if part]
        yield parts[0], parts[1] if len(parts) > 1 else None


def _declared() -> Iterator[tuple[str, str | None, str]]:
    """Texts that are declared with what they belong to."""
    from gpufleet.codes import all_codes
    from gpufleet.results.measures import MEASURES

    for explanation in all_codes().values():
        yield str(explanation.title), None, "titles of codes"
    for measure in MEASURES.values():
        yield str(measure.says), None, "measures"
        yield measure.formula, None, "formulas"
    with (SOURCE / "catalog" / "aliases.csv").open(encoding="utf-8", newline="") as file:
        for alias in csv.DictReader(file):
            if alias["note"]:
                yield alias["note"], None, "catalog/aliases.csv"
    for text in _LEDGER:
        yield text, None, "results/ledger.py"


def path_of(language: str) -> Path:
    """The catalogue of a language."""
    return LOCALE / language / "LC_MESSAGES" / "gpufleet.po"


def read(language: str) -> Catalog:
    """The catalogue of a language as it is; an empty one if there is none."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def merged(language: str, messages: Iterable[Message]) -> Catalog:
    """The messages with what the catalogue has for them."""
    old = read(language)
    new = Catalog(locale=language, fuzzy=False)
    for text, many, files in messages:
        known = old.get(text)
        string = known.string if known else ""
        if many and isinstance(string, str):
            string = (string,)
        elif not many and isinstance(string, tuple):
            string = string[0]
        new.add((text, many) if many else text, string, auto_comments=files)
    return new


def po(catalog: Catalog) -> str:
    """A catalogue as text."""
    blocks = [
        "".join([_entry("msgid", ""), _entry("msgstr", "".join(f"{k}: {v}\n" for k, v in _head(catalog)))])
    ]
    for message in catalog:
        if not message.id:
            continue
        lines = "".join(f"#. {comment}\n" for comment in message.auto_comments)
        if isinstance(message.id, tuple):
            lines += _entry("msgid", message.id[0]) + _entry("msgid_plural", message.id[1])
            lines += _entry("msgstr[0]", message.string[0])
        else:
            lines += _entry("msgid", message.id) + _entry("msgstr", message.string)
        blocks.append(lines)
    return "\n".join(blocks)


def _head(catalog: Catalog) -> list[tuple[str, str]]:
    return [
        ("Language", str(catalog.locale)),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Plural-Forms", "nplurals=1; plural=0;"),
    ]


def _entry(key: str, text: str) -> str:
    def quoted(part: str) -> str:
        escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{escaped}"'

    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return f"{key} {quoted(text)}\n"
    return "\n".join([f'{key} ""', *map(quoted, lines)]) + "\n"


def mo(catalog: Catalog) -> bytes:
    """A catalogue as gettext reads it; Babel's own writer puts times and its version into it."""
    head = "".join(f"{key}: {value}\n" for key, value in _head(catalog))
    pairs = [(b"", head.encode())]
    for message in catalog:
        ids, strings = _forms(message.id), _forms(message.string)
        if message.id and strings[0]:
            pairs.append(("\0".join(ids).encode(), "\0".join(strings).encode()))
    pairs.sort()
    n, at = len(pairs), 28 + 16 * len(pairs)
    places, data = [], b""
    for side in (0, 1):
        for pair in pairs:
            places += [len(pair[side]), at + len(data)]
            data += pair[side] + b"\0"
    return (
        struct.pack("<7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, at)
        + struct.pack(f"<{4 * n}I", *places)
        + data
    )


def _forms(texts: str | tuple[str, ...]) -> tuple[str, ...]:
    return texts if isinstance(texts, tuple) else (texts,)


def missing(catalog: Catalog) -> list[str]:
    """Texts that are not translated."""
    texts = [(m.id, m.string) for m in catalog if m.id]
    return [
        str(i[0] if isinstance(i, tuple) else i)
        for i, s in texts
        if not (s[0] if isinstance(s, tuple) else s)
    ]


def main() -> int:
    """Write all catalogues; 1 if something is not translated."""
    messages = collect()
    lacking = 0
    for language in LANGUAGES:
        catalog = merged(language, messages)
        path_of(language).write_text(po(catalog), encoding="utf-8", newline="\n")
        path_of(language).with_suffix(".mo").write_bytes(mo(catalog))
        for text in missing(catalog):
            print(f"{language}: not translated: {text!r}")
            lacking += 1
    print(f"{len(messages)} texts, {lacking} not translated")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
