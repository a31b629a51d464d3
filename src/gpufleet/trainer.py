"""What `gpufleet train` does: words of the command line become a question, and its answer text or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, NoReturn

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.base.units import NUMBER
from gpufleet.catalog import models, resolve_model, resolve_product, resolve_system
from gpufleet.models.architecture import Architecture
from gpufleet.models.architectures import architecture_of
from gpufleet.models.candidates import batches_near
from gpufleet.models.config_file import read_config
from gpufleet.models.layout import DTYPES
from gpufleet.models.layouts import By
from gpufleet.models.machine import Machine, machine
from gpufleet.models.sizing import DAY_S, Course, Question, course, enough_gpus, front, largest_model
from gpufleet.report.training import comparison_text, course_text, front_text, tokens_text
from gpufleet.report.training_json import course_json

explain_codes(
    """
U050 a number of tokens that cannot be read
Tokens and batches are a number and a letter: K, M, B (10^9) or T (10^12).
    --tokens 15T

U051 a date that cannot be meant
A date is YYYY-MM or YYYY-MM-DD (a month means its first day), and lies after the start (--start, else today).
    --by 2027-06

U052 options of a training that do not go together
A model comes from the catalogue or from a file. GPUs are given (--gpus), or a date from which they follow
(--by), or both, and then the size of the model follows. Products are compared with --compare, one is asked
about with --product.
    gpufleet train llama-3.1-405b --product H200 --tokens 15T --by 2027-06

U053 a part of a layout that is not known
A layout is fixed in parts: tp, pp, vpp, cp, ep, dp, micro_batch.
    --layout tp=8,pp=16
"""
)

BATCH_TOKENS: Final = 2**24
"""Tokens per step where nothing is said: those of Llama 3.1 405B. Larger batches need fewer exchanges, and
learn less from each token."""
SEQ_LEN: Final = 8192
_LETTERS: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_AMOUNT: Final = re.compile(rf"({NUMBER})\s*([A-Za-z]*)")
_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?")
_BEST: Final[dict[str, By]] = {"time": "time", "cost": "cost", "energy": "energy", "gpus": "gpus"}
_FIXABLE: Final = ("tp", "pp", "vpp", "cp", "ep", "dp", "micro_batch")
MOST_GPUS: Final = 2**20
MOST_TOKENS: Final = 1e17
MOST_SEQ: Final = 2**22
MOST_BATCH: Final = 2**34


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for on the command line; None where nothing was."""

    model: str | None = None
    config: Path | None = None
    product: str | None = None
    compare: str | None = None
    gpus: int | None = None
    tokens: str | None = None
    by: str | None = None
    start: str | None = None
    precision: str = "bf16"
    seq_len: int | None = None
    batch: str | None = None
    best: str = "time"
    layout: str | None = None
    price: float | None = None
    fabric_gbps: float | None = None
    front: bool = False


@dataclass(frozen=True)
class Answer:
    """What came out: one training, or one for each product that is compared."""

    courses: tuple[Course, ...]
    notes: tuple[str, ...]
    start: date | None
    compared: bool

    def text(self) -> str:
        """The answer for people."""
        if self.compared:
            return comparison_text(self.courses, self.notes)
        first = self.courses[0]
        text = course_text(first, self.start, self.notes)
        return f"{text}\n\n{front_text(front(first))}" if first.question.front else text

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {
            "courses": [course_json(each, self.start) for each in self.courses],
            "notes": [str(note) for note in self.notes],
        }


def answer(wish: Wish) -> Answer:
    """Answer what was asked.

    Raises: GpufleetError: U050 to U053 (the question), C001 to C024 (names, configurations), M010 to M014
            (there is no such training).
    """
    _go_together(wish)
    start = _date(wish.start, "--start") if wish.start else None
    seconds = _seconds(wish.by, start)
    question, notes = _question(wish, seconds)
    names = [each.strip() for each in (wish.compare or wish.product or "").split(",")]
    machines = []
    for name in names:
        at, note = _machine(name, wish.fabric_gbps)
        machines.append(at)
        notes += [note] if note else []
    courses = _courses(question, machines, wish, notes)
    if wish.gpus and wish.by and not wish.compare:
        first = courses[0].question.model
        notes.append(
            say(
                "the largest model of this shape that is done by {by} (P90): {layers} layers, "
                "hidden size {hidden:,}, {heads} heads",
                by=_date(wish.by, "--by"),
                layers=first.layers,
                hidden=first.hidden,
                heads=first.heads,
            )
        )
    begins = start if start or not wish.by else date.today()
    return Answer(courses, tuple(notes), begins, bool(wish.compare))


def _courses(
    question: Question, machines: Sequence[Machine], wish: Wish, notes: list[str]
) -> tuple[Course, ...]:
    """A course for each machine; among several one that cannot do it becomes a note, unless none can."""
    done, refused = [], []
    for at in machines:
        try:
            done.append(_course(question, at, wish))
        except GpufleetError as refusal:
            refused += list(refusal.findings)
    if not done:
        raise GpufleetError(*refused)
    notes += [each.says for each in refused]
    return tuple(done)


def _course(question: Question, at: Machine, wish: Wish) -> Course:
    if wish.gpus is None:
        return enough_gpus(question, at)
    return largest_model(question, at, wish.gpus) if question.seconds else course(question, at, wish.gpus)


def _go_together(wish: Wish) -> None:
    """Every conflict at once."""
    found = [*_missing(wish), *_out_of_bounds(wish)]
    if found:
        raise GpufleetError(*found)


def _conflict(says: str, fix: str) -> Finding:
    return finding("U052", says, fix)


def _missing(wish: Wish) -> Iterator[Finding]:
    """What is not said, or said twice."""
    if (wish.model is None) == (wish.config is None):
        fix = say("name one of `gpufleet catalog models`, or give --config FILE")
        yield _conflict(say("one model is needed"), fix)
    if (wish.product is None) == (wish.compare is None):
        fix = say("give --product H200 or --compare H200,B200")
        yield _conflict(say("one product is needed, or several to compare"), fix)
    if wish.gpus is None and wish.by is None:
        fix = say("give --gpus 512, or --by 2027-06, or both")
        yield _conflict(say("neither GPUs nor a date are given"), fix)
    if wish.best != "time" and wish.gpus is None:
        fix = say("leave it out: with a date alone it is the fewest GPUs; or give --gpus too")
        yield _conflict(say("--best goes with --gpus"), fix)
    if wish.front and wish.compare:
        yield _conflict(say("--front is of one product"), say("give --product instead of --compare"))


def _out_of_bounds(wish: Wish) -> Iterator[Finding]:
    """What is said and cannot be meant."""
    if wish.gpus is not None and not 1 <= wish.gpus <= MOST_GPUS:
        fix = say("give from 1 to {most:,}", most=MOST_GPUS)
        yield _conflict(say("{n:,} GPUs are out of bounds", n=wish.gpus), fix)
    if wish.best not in _BEST:
        says = say("`{best}` is nothing that a layout can be best in", best=wish.best)
        yield _conflict(says, did_you_mean(wish.best, _BEST))
    if wish.precision.lower() not in DTYPES:
        says = say("`{dtype}` is no number type of linear layers", dtype=wish.precision)
        yield _conflict(says, did_you_mean(wish.precision, DTYPES))
    if wish.seq_len is not None and not 128 <= wish.seq_len <= MOST_SEQ:
        fix = say("give from 128 to {most:,}", most=MOST_SEQ)
        yield _conflict(say("sequences of {n:,} tokens are out of bounds", n=wish.seq_len), fix)
    for name, value in (("--price", wish.price), ("--fabric", wish.fabric_gbps)):
        if value is not None and not 0 < value < 1e6:
            says = say("{name} {value:g} is out of bounds", name=name, value=value)
            yield _conflict(says, say("give a number above 0"))


def _question(wish: Wish, seconds: float | None) -> tuple[Question, list[str]]:
    model, published, longest, notes = _model(wish)
    seq_len = wish.seq_len or min(SEQ_LEN, longest or SEQ_LEN)
    batch = amount(wish.batch, "--batch") if wish.batch else BATCH_TOKENS
    if not seq_len <= batch <= MOST_BATCH:
        says = say("a batch of {batch:,.0f} tokens is out of bounds", batch=batch)
        fix = say("give from one sequence ({seq:,}) to {most:,}", seq=seq_len, most=MOST_BATCH)
        _refuse("U050", says, fix, "--batch")
    if wish.batch is None:
        text = tokens_text(BATCH_TOKENS)
        notes.append(say("a batch of about {tokens} tokens is assumed (--batch)", tokens=text))
    tokens = _tokens(wish, published, batch, notes)
    return (
        Question(
            model=model,
            tokens=tokens,
            seq_len=seq_len,
            batches=batches_near(batch, seq_len, exact=wish.batch is not None),
            dtype=wish.precision.lower(),
            by=_BEST[wish.best],
            seconds=seconds,
            fixed=_fixed(wish.layout),
            price_usd_h=wish.price,
            front=wish.front,
        ),
        notes,
    )


def _model(wish: Wish) -> tuple[Architecture, float | None, int | None, list[str]]:
    """The architecture, the tokens that it was trained on as published, its longest sequence, notes."""
    if wish.config is not None:
        return read_config(wish.config), None, None, []
    meant = resolve_model(wish.model or "")
    row = models()[meant.id]
    notes = [meant.note] if meant.note else []
    trained = row.trained_tokens_b
    return architecture_of(row), None if trained is None else trained * 1e9, row.context, notes


def _tokens(wish: Wish, published: float | None, batch: float, notes: list[str]) -> float | None:
    """The budget: as asked, else as published; for the size of a model None, and then the optimal ones."""
    if wish.tokens is None:
        if wish.gpus is not None and wish.by is not None:
            return None
        if published is None:
            _refuse("U050", say("no tokens are given, and none are published"), say("give --tokens 15T"))
        text = tokens_text(published)
        notes.append(say("{tokens} tokens: as published of this model", tokens=text))
        return published
    tokens = amount(wish.tokens, "--tokens")
    if not batch <= tokens <= MOST_TOKENS:
        says = say(
            "{tokens:,.0f} tokens are out of bounds: a step alone takes {batch:,.0f}",
            tokens=tokens,
            batch=batch,
        )
        _refuse("U050", says, say("check the letter: B is 10^9, T is 10^12"), "--tokens")
    return tokens


def amount(text: str, option: str) -> float:
    """A number with a letter.

    Raises: GpufleetError U050.

    >>> amount("15T", "--tokens"), amount("2.5 B", "--tokens")
    (15000000000000.0, 2500000000.0)
    """
    match = _AMOUNT.fullmatch(text.strip())
    letter = match[2].upper() if match else ""
    if match and not letter:
        says = say("`{text}` has no letter for its size", text=text)
        fix = say("write {text}T (10^12) or {text}B (10^9)", text=text.strip())
        if float(match[1]) >= _LETTERS["M"]:  # written out
            in_t = float(match[1]) / _LETTERS["T"]
            fix = say("write {trillions:g}T (10^12), if it is written out", trillions=in_t)
        _refuse("U050", says, fix, option)
    if match is None or letter not in _LETTERS:
        _refuse(
            "U050", say("`{text}` is no number of tokens", text=text), say("write e.g. 15T or 500B"), option
        )
    value = float(match[1]) * _LETTERS[letter]
    if not 0 < value < float("inf"):
        _refuse("U050", say("`{text}` is out of bounds", text=text), say("write e.g. 15T or 500B"), option)
    return value


def _date(text: str, option: str) -> date:
    match = _DATE.fullmatch(text.strip())
    with suppress(ValueError):
        if match:
            return date(int(match[1]), int(match[2]), int(match[3] or 1))
    return _refuse(
        "U051", say("`{text}` is no date", text=text), say("write e.g. 2027-06 or 2027-06-15"), option
    )


def _seconds(by: str | None, start: date | None) -> float | None:
    """From the start until the deadline, s."""
    if by is None:
        return None
    end, begin = _date(by, "--by"), start or date.today()
    if end <= begin:
        says = say("{end} is not after the start, {begin}", end=end, begin=begin)
        _refuse("U051", says, say("give a later date, or an earlier --start"), "--by")
    return (end - begin).days * DAY_S


def _fixed(text: str | None) -> dict[str, int]:
    """Parts of a layout that are fixed: `tp=8,pp=16`."""
    fixed = {}
    for part in filter(None, re.split(r"[,\s]+", text or "")):
        name, _, value = part.partition("=")
        name = {"mb": "micro_batch", "mbs": "micro_batch"}.get(name.lower(), name.lower().replace("-", "_"))
        if name not in _FIXABLE:
            fix = did_you_mean(name, _FIXABLE)
            _refuse("U053", say("`{part}` is no part of a layout", part=part), fix, "--layout")
        if not value.isdecimal() or not 1 <= int(value) <= MOST_GPUS:
            says = say("`{part}` gives no whole number above 0", part=part)
            _refuse("U053", says, say("write e.g. {name}=8", name=name), "--layout")
        fixed[name] = int(value)
    return fixed


def _machine(name: str, fabric_gbps: float | None) -> tuple[Machine, str | None]:
    """The machine that a name means, and what should be said about the choice."""
    try:
        meant = resolve_system(name)
    except GpufleetError:
        meant = resolve_product(name)
    return machine(meant.id, fabric_gbps=fabric_gbps), meant.note


def _refuse(code: str, says: str, fix: str, option: str = "") -> NoReturn:
    raise GpufleetError(finding(code, says, fix, Place(option, 0) if option else None))
