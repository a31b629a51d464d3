"""Training workloads: a model and a budget of tokens; how long that takes follows from the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from typing_extensions import override

from gpufleet.base.errors import GpufleetError, Place, explain_codes
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, Part, Sourced
from gpufleet.plan.job_rules import WorkloadRules
from gpufleet.plan.kinds import Choice, Count, Kind, Number, Ref, Schema, Text
from gpufleet.plan.moments import Moment
from gpufleet.plan.priorities import PriorityKind
from gpufleet.plan.reader import Origin, Reader, UnreadableError
from gpufleet.plan.supply import product_named
from gpufleet.plan.tokens import Tokens
from gpufleet.plan.tree import Leaf, Map, Node, Seq

explain_codes(
    """
P170 phases of a training that take more than all of it
Each phase has a share of the GPU-hours of the whole training; what is left is the pre-training, whose
GPU-hours follow from its tokens. Shares that come to 100 % or more leave nothing for it.
    phases: {ablations: {share: 0.7}, post_training: {share: 0.4}}      # 110 %
"""
)

PRE_TRAINING: Final = "pre-training"
ABLATIONS: Final = "ablations"
SEQ_LEN: Final = 8192
"""Tokens of a sequence where nothing is said; of a model that sees fewer, those."""
BATCH_TOKENS: Final = float(2**24)
"""Tokens of a step where nothing is said: those of Llama 3.1 405B."""
PRECISIONS: Final = ("bf16", "fp8", "mxfp8", "fp4")
MOST_GPUS: Final = 2**17


class ModelName(Text):
    """A model of the catalogue, or the `config.json` of one."""

    wants = say("the name of a model, or its config.json")

    @override
    def read(self, node: Node, path: str, reader: Reader) -> str | Path:  # type: ignore[override]
        from gpufleet.catalog.load import resolve_model

        word = super().read(node, path, reader)
        at = reader.origins[path].at
        if word in reader.known.get("file", ()) or word.endswith(".json"):
            return reader.file(word, at)
        try:
            found = resolve_model(word)
        except GpufleetError as error:
            raise reader.pass_on(error, at) from error
        if found.note:
            reader.note(found.note)
        return found.id

    @override
    def short_schema(self) -> Schema:
        says = say("A model of the catalogue, a key of `files`, or the path of a config.json.")
        return {"type": "string", "description": says, "examples": ["llama-3.1-405b"]}


class ProductList(Kind[tuple[tuple[str, float], ...]]):
    """Products in order of preference: one, or a list; in one cell of a table separated by `;`.

    Read as (product, 1) each: the speeds follow from the model, where the workload is made into jobs.
    """

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[tuple[str, float], ...]:
        if isinstance(node, Map):
            says = say("`{path}` is a list of products: their speeds follow from the model", path=path)
            raise reader.refuse("P008", node.at, says, say("write `[B200, H100]`, the preferred one first"))
        found: dict[str, float] = {}
        ok = True
        for word, at in _words(node, path, reader):
            try:
                product = product_named(word, at, reader)
            except UnreadableError:
                ok = False
                continue
            if product in found:
                says = say("`{name}` is {product}, which is named already", name=word, product=product)
                reader.report("P020", at, says, say("keep one"))
                ok = False
            found[product] = 1.0
        if not ok or not found:
            raise UnreadableError(path)
        return tuple(found.items())

    @override
    def schema(self) -> Schema:
        word = {"type": "string"}
        return {"anyOf": [word, {"type": "array", "items": word, "minItems": 1}]}


def _words(node: Node, path: str, reader: Reader) -> Iterator[tuple[str, Place]]:
    """The words of a list, or of one value with `;` between them."""
    if isinstance(node, Leaf):
        text = Text().read(node, path, reader)
        yield from ((word.strip(), node.at) for word in text.split(";"))
        return
    assert isinstance(node, Seq)
    if not node.items or not all(isinstance(item, Leaf) for item in node.items):
        says = say("`{path}` is a list of products", path=path)
        raise reader.refuse("P008", node.at, says, say("write `[B200, H100]`, the preferred one first"))
    reader.origins[path] = Origin(node.at)
    for item in node.items:
        assert isinstance(item, Leaf)
        yield Text().parse(item, reader), item.at


class Phase(Sourced):
    """A part of a training besides the pre-training."""

    share: Annotated[
        float | None,
        Key(Number(above=True, most=0.999), "of the GPU-hours of the whole training; left out: see `phases`"),
    ] = None
    jobs: Annotated[
        int, Key(Count("jobs", least=1, most=10_000), "like ones, each with an equal part of it")
    ] = 1
    gpus: Annotated[
        int | None,
        Key(Count("GPUs", least=1, most=MOST_GPUS), "of each job; left out: those of the pre-training"),
    ] = None


DEFAULT_SHARES: Final = {"ablations": 0.1, "continued": 0.043, "post_training": 0.05, "evaluation": 0.02}
"""Shares of GPU-hours where a phase is written without: assumptions, but for `continued`, which is what
DeepSeek-V3 spent on longer contexts (119,000 of 2,788,000 H800 hours, arXiv 2412.19437)."""


class Phases(Declared):
    """What a training has besides: ablations before its pre-training, the others after it, in this order."""

    ablations: Annotated[
        Phase | None, Key(Part(Phase), "small trials before; share left out: 10 % (assumption)")
    ] = None
    continued: Annotated[
        Phase | None,
        Key(Part(Phase), "the model trained further; share left out: 4.3 % (as of DeepSeek-V3)"),
    ] = None
    post_training: Annotated[
        Phase | None,
        Key(Part(Phase), "tuned to follow instructions; share left out: 5 % (assumption)"),
    ] = None
    evaluation: Annotated[
        Phase | None, Key(Part(Phase), "tried out at the end; share left out: 2 % (assumption)")
    ] = None

    def each(self) -> Iterator[tuple[str, Phase, float]]:
        """(key, phase, share) of those that are written."""
        for key, usual in DEFAULT_SHARES.items():
            phase: Phase | None = getattr(self, key)
            if phase is not None:
                yield key, phase, usual if phase.share is None else phase.share


class TrainingWorkload(WorkloadRules):
    """A model that is trained on so many tokens, by so many GPUs or by a date, in phases."""

    constant: ClassVar[Mapping[str, str]] = {"kind": "training"}
    one_of: ClassVar[tuple[str, ...]] = ("gpus", "by")

    name: str
    title: Annotated[str | None, Key(Text(), "what people call it")] = None
    model: Annotated[
        str | Path, Key(ModelName(), "what is trained: a model of the catalogue, or a config.json")
    ]
    tokens: Annotated[
        float,
        Key(Tokens(least=1e8, most=1e17, example="15T"), "that the pre-training sees, such as 15T"),
    ]
    queue: Annotated[str, Key(Ref("queue"), "the queue its jobs wait in")]
    products: Annotated[
        tuple[tuple[str, float], ...],
        Key(ProductList(), "products it runs on, the preferred one first; speeds follow from the model"),
    ]
    gpus: Annotated[
        int, Key(Count("GPUs", least=1, most=MOST_GPUS), "GPUs of the pre-training, all at once")
    ] = 0  # until it follows from `by`
    by: Annotated[
        datetime | None,
        Key(Moment(), "instead of `gpus`: when all is done; the fewest GPUs follow"),
    ] = None
    at: Annotated[datetime, Key(Moment(inside=True), "earliest start")]
    phases: Annotated[
        Phases, Key(Part(Phases), "what it has besides the pre-training; left out: nothing")
    ] = Field(default_factory=lambda: Phases(line=Place("defaults", 0)))
    sequence: Annotated[
        int | None,
        Key(Count("tokens", least=128, most=2**22), "tokens of a sequence; left out: 8192 at most"),
    ] = None
    batch: Annotated[
        float,
        Key(
            Tokens(least=1e3, most=1e12, example="16M"),
            "tokens of a step, or an eighth more or less; left out: 16.8 million (assumption)",
        ),
    ] = BATCH_TOKENS
    precision: Annotated[str, Key(Choice(PRECISIONS), "of the linear layers")] = "bf16"
    priority: Annotated[int, Key(PriorityKind(), "higher goes first")] = 0

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Its phases in the order in which they run."""
        names = [key.replace("_", "-") for key, _, _ in self.phases.each()]
        at = int(ABLATIONS in names)
        return (*names[:at], PRE_TRAINING, *names[at:])

    def sizes(self, gpus: int) -> dict[str, int]:
        """GPUs of each job by phase, with so many for the pre-training."""
        own = {key.replace("_", "-"): phase.gpus or gpus for key, phase, _ in self.phases.each()}
        return {name: own.get(name, gpus) for name in self.phase_names}

    @override
    @classmethod
    def complete(cls, values: dict[str, Any], node: Map, path: str, reader: Reader) -> dict[str, Any]:
        _check_dates(values, path, reader)
        if not values.get("checkpoint_s", 1):
            says = say("`{path}` has no time between checkpoints: a long training would never end", path=path)
            fix = say("write a time such as `1 h`, or leave it out: the best one follows from the model")
            reader.report("P011", reader.origins[f"{path}.checkpoint"].at, says, fix)
        _check_shares(values, path, reader)
        batch = values.get("batch", BATCH_TOKENS)
        if values["tokens"] < batch:
            says = say(
                "`{path}` trains on {tokens:,.0f} tokens; a step alone takes {batch:,.0f}",
                path=path,
                tokens=values["tokens"],
                batch=batch,
            )
            reader.report("P011", reader.origins[f"{path}.tokens"].at, says, say("check the letters"))
        return super().complete(values, node, path, reader)


def _check_dates(values: Mapping[str, Any], path: str, reader: Reader) -> None:
    """Report an end that is not after the start (P022)."""
    by, at = values.get("by"), values["at"]
    if by is not None and by <= at:
        says = say("`by` ({by}) is not after `at` ({at})", by=reader.local(by), at=reader.local(at))
        reader.report("P022", reader.origins[f"{path}.by"].at, says, say("correct one of the two"))


def _check_shares(values: Mapping[str, Any], path: str, reader: Reader) -> None:
    """Report phases that leave nothing for the pre-training (P170)."""
    phases = values.get("phases")
    shares = {key: share for key, _, share in phases.each()} if phases else {}
    total = sum(shares.values())
    if total < 1.0:
        return
    says = say(
        "the phases of `{path}` come to {total:.0%} of the GPU-hours ({each:, })",
        path=path,
        total=total,
        each=[f"{key} {share:.1%}" for key, share in shares.items()],
    )
    fix = say("lower shares to less than 100 % together: the rest is the pre-training")
    reader.report("P170", phases.line if phases else reader.origins[path].at, says, fix)
