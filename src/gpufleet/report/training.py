"""A training in the terminal: the answer first, then where the time goes and why the next layout loses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from gpufleet.base.say import Said, say, significant, tell
from gpufleet.base.units import format_duration
from gpufleet.base.wide import columns, left, right, wrapped
from gpufleet.models.layouts import Loss, layout_text
from gpufleet.models.sizing import DAY_S, OPTIMAL_TOKENS, Course, delivered_flops, optimal

WIDTH: Final = 100
_LABEL: Final = 16
_THINNED: Final = 1.4
"""A front shows numbers of GPUs that are so many times as large as the one before."""
_LEAST_SHARE: Final = 0.005
"""Parts of a step below this share are put together."""

PART_NAMES: Final[dict[str, Said]] = {
    "gemm": say("matrix products"),
    "attention": say("attention"),
    "other": say("norms, activation functions, gaps"),
    "tp": say("tensor parallelism"),
    "cp": say("context parallelism"),
    "ep": say("exchange of experts' tokens"),
    "pp": say("messages between stages"),
    "dp": say("gradients and weights"),
    "bubble": say("stages that wait"),
    "optimizer": say("optimizer"),
}
"""Parts of a step, as people call them; of communication what nothing hides."""

MEMORY_NAMES: Final[dict[str, Said]] = {
    "weights": say("weights"),
    "gradients": say("gradients"),
    "optimizer": say("optimizer"),
    "activations": say("activations"),
    "logits": say("logits"),
    "overhead": say("libraries"),
}


def tokens_text(tokens: float) -> str:
    """Tokens with a letter for the power of ten.

    >>> tokens_text(15e12), tokens_text(16_777_216), tokens_text(2.5e9)
    ('15T', '16.8M', '2.5B')
    """
    for letter, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if tokens >= size:
            return f"{significant(tokens / size)}{letter}"
    return significant(tokens)


def headline(of: Course, start: date | None = None) -> str:
    """The answer in a sentence."""
    days = [each / DAY_S for each in (of.finish.p50_s, of.finish.p10_s, of.finish.p90_s)]
    says = say(
        "{model} on {gpus:,} {product}: {tokens} tokens in {days:short} days (P10 {p10:short}, P90 "
        "{p90:short})",
        model=of.question.model.name,
        gpus=of.gpus,
        product=of.options.at.product,
        tokens=tokens_text(of.question.budget()),
        days=days[0],
        p10=days[1],
        p90=days[2],
    )
    if start is None:
        return says
    middle, late = (end_of(each, start) for each in (of.finish.p50_s, of.finish.p90_s))
    return say("{says}, done about {day} (P90 {late})", says=says, day=middle, late=late)


def end_of(seconds: float, start: date) -> date:
    """The day on which something that takes so long is done."""
    return start + timedelta(days=math.ceil(seconds / DAY_S))


def course_text(of: Course, start: date | None = None, notes: Sequence[str] = ()) -> str:
    """Everything about one training, for people."""
    lines = [
        ("", headline(of, start)),
        ("", ""),
        (say("best layout"), _layout(of, of.row)),
        (say("a step"), _step(of)),
        (say("its parts"), _parts(of)),
        (say("memory"), _memory(of)),
        (say("goodput"), _goodput(of)),
        (say("needs"), _needs(of)),
        (say("next best"), _runner_up(of)),
        (say("size"), size_hint(of)),
        *((say("note"), tell(note)) for note in notes),
    ]
    return "\n".join(_line(str(label), text) for label, text in lines if text or not label)


def _line(label: str, text: str) -> str:
    if not label:
        return wrapped(text, WIDTH)
    first, *rest = wrapped(text, WIDTH - _LABEL).splitlines()
    return "\n".join([left(label, _LABEL) + first, *(" " * _LABEL + each for each in rest)])


def _layout(of: Course, row: int) -> str:
    used = say("{n:,} GPU", "{n:,} GPUs", n=int(of.options.layouts.gpus[row]))
    text = say("{used}: {layout}", used=used, layout=layout_text(of.options.layouts, row))
    spare = of.options.search.gpus - of.gpus
    if row == of.row and spare and of.question.by == "time":
        return say("{text}; {n:,} of the GPUs would not make it faster", text=text, n=spare)
    return text


def _step(of: Course) -> str:
    steps, row = of.options.steps, of.row
    return say(
        "{s:short} s for {tokens} tokens ({batch:,} sequences of {seq:,}): {rate:,.0f} tokens/s/GPU, "
        "{tflops:,.0f} TFLOP/s, MFU {mfu:.1f} % of {dtype}",
        s=float(steps.step_s[row]),
        tokens=tokens_text(float(of.options.layouts.tokens[row])),
        batch=int(of.options.layouts.global_batch[row]),
        seq=of.question.seq_len,
        rate=float(steps.tokens_per_s_per_gpu[row]),
        tflops=float(steps.tflops[row]),
        mfu=100 * float(steps.mfu[row]),
        dtype=of.question.dtype.upper(),
    )


def _parts(of: Course) -> str:
    """Shares of a step, the largest first."""
    whole = float(of.options.steps.step_s[of.row])
    shares = {name: s / whole for name, s in of.options.parts_s(of.row).items()}
    shown = sorted(((share, name) for name, share in shares.items() if share >= _LEAST_SHARE), reverse=True)
    texts = [say("{part} {share:.1f} %", part=PART_NAMES[name], share=100 * share) for share, name in shown]
    rest = 1 - sum(share for share, _ in shown)
    if rest > 0.0005:
        texts.append(say("rest {share:.1f} %", share=100 * rest))
    return say("{texts:, }", texts=texts)


def _memory(of: Course) -> str:
    parts = of.options.memory_bytes(of.row)
    shown = sorted(((size, name) for name, size in parts.items() if size >= 5e7), reverse=True)
    texts = [say("{part} {gb:short}", part=MEMORY_NAMES[name], gb=size / 1e9) for size, name in shown]
    return say(
        "{sum:short} GB of {all:short} GB per GPU: {texts:, }",
        sum=sum(parts.values()) / 1e9,
        all=of.options.at.memory_bytes / 1e9,
        texts=texts,
    )


def _goodput(of: Course) -> str:
    done = of.finish
    return say(
        "{share:.1f} %: {failures:short} failures are expected, a checkpoint of {writes} every {every} is "
        "best, steps alone take {days:short} days",
        share=100 * done.goodput,
        failures=done.failures,
        writes=format_duration(done.checkpoint_s),
        every=format_duration(done.interval_s),
        days=done.ideal_s / DAY_S,
    )


def _needs(of: Course) -> str:
    """GPU-hours, energy, and cost if a price is known."""
    texts = [say("{hours:,.0f} GPU-hours", hours=of.gpu_hours)]
    if of.energy_mwh is None:
        texts.append(say("energy: the power of this product is not known"))
    else:
        texts.append(say("{mwh:,.0f} MWh (GPUs and hosts, without cooling)", mwh=of.energy_mwh))
    cost = of.cost
    if cost is None:
        return say("{texts:, }, cost: no price of this product is known (--price)", texts=texts)
    if cost.price is None:
        texts.append(
            say(
                "{usd:short} MUSD at {price:g} USD per GPU-hour", usd=cost.usd / 1e6, price=cost.usd_per_gpu_h
            )
        )
        return say("{texts:, }", texts=texts)
    texts.append(
        say(
            "{usd:short} MUSD at {price:g} USD per GPU-hour ({item}, {date})",
            usd=cost.usd / 1e6,
            price=cost.usd_per_gpu_h,
            item=cost.price.item,
            date=cost.price.date,
        )
    )
    return say("{texts:, }", texts=texts)


def _runner_up(of: Course) -> str:
    if of.runner_up is None or of.loss is None:
        return say("there is no other kind of layout that fits")
    layout, loss = _layout(of, of.runner_up), of.loss
    if of.question.by != "time":
        return say("{layout}; a token takes {pct:+.1f} % as long", layout=layout, pct=100 * loss.slower)
    return say(
        "{layout}; {pct:.1f} % slower: {why}", layout=layout, pct=100 * loss.slower, why=why_text(loss)
    )


def why_text(loss: Loss, most: int = 3) -> str:
    """Which parts of a step are longer, and which are shorter, and by how much.

    >>> str(why_text(Loss(0.01, (("bubble", 0.31), ("tp", 0.02)), (("dp", 0.1),))))
    'stages that wait +0.31 s, tensor parallelism +0.02 s, gradients and weights -0.1 s per step'
    """
    changes = [*((name, by) for name, by in loss.longer), *((name, -by) for name, by in loss.shorter)]
    largest = sorted(changes, key=lambda change: -abs(change[1]))[:most]
    largest = [change for change in largest if abs(change[1]) >= 0.01 * abs(largest[0][1])]
    texts = [
        say("{part} {s} s", part=PART_NAMES[name], s=_signed(by))
        for name, by in sorted(largest, key=lambda change: -change[1])
    ]
    return say("{texts:, } per step", texts=texts)


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '-'}{significant(abs(seconds))}"


def size_hint(of: Course) -> str:
    """What the budget of tokens is to the model, and what the same compute would train best."""
    model, tokens = of.question.model, of.question.budget()
    has = say("{total:short}B parameters", total=model.params_total / 1e9)
    if model.experts:
        has = say("{has}, {active:short}B active", has=has, active=model.params_active / 1e9)
    best = optimal(delivered_flops(of))
    return say(
        "{has}; {ratio:short} tokens per active parameter. Compute-optimal are about {optimal:g}: for the "
        "compute until then a dense model of {params:short}B on {tokens}; a model that is used much is "
        "trained longer",
        has=has,
        ratio=tokens / model.params_active,
        optimal=OPTIMAL_TOKENS,
        params=best.params / 1e9,
        tokens=tokens_text(best.tokens),
    )


def ranked(courses: Sequence[Course]) -> list[Course]:
    """The largest model first, of the same model the soonest."""
    return sorted(courses, key=lambda each: (-each.question.model.params_total, each.finish.p50_s))


def comparison_text(courses: Sequence[Course], notes: Sequence[str] = ()) -> str:
    """Several kinds of GPUs side by side."""
    order = ranked(courses)
    head = (
        say("product"), say("GPUs"), say("days"), "P90", say("MFU %"), say("tokens/s/GPU"), "MWh", "MUSD",
    )  # fmt: skip
    lines = _table([tuple(map(str, head)), *(_compared(each) for each in order)])
    more = [(each.options.at.product, _layout(each, each.row)) for each in order]
    if len({each.question.model for each in order}) > 1:
        more = [(name, say("{model}; {layout}", model=each.question.model.name, layout=layout))
                for (name, layout), each in zip(more, order, strict=True)]  # fmt: skip
    more += [(str(say("note")), tell(note)) for note in notes]
    return "\n".join([wrapped(headline(order[0]), WIDTH), "", *lines, "", *(_line(*each) for each in more)])


def front_text(courses: Sequence[Course]) -> str:
    """What fewer GPUs take: the front of GPUs and days, thinned out."""
    head = (say("GPUs"), say("days"), "P90", say("GPU-hours"), say("MFU %"))
    shown: list[Course] = []
    for each in reversed(courses):
        if not shown or each.gpus * _THINNED <= shown[-1].gpus:
            shown.append(each)
    rows = [tuple(map(str, head)), *(_on_front(each) for each in reversed(shown))]
    layouts = ["", *(layout_text(each.options.layouts, each.row) for each in reversed(shown))]
    return "\n".join(f"{line}  {layout}".rstrip() for line, layout in zip(_table(rows), layouts, strict=True))


def _on_front(of: Course) -> tuple[str, ...]:
    return (
        f"{of.gpus:,}",
        significant(of.finish.p50_s / DAY_S),
        significant(of.finish.p90_s / DAY_S),
        f"{of.gpu_hours:,.0f}",
        f"{100 * float(of.options.steps.mfu[of.row]):.1f}",
    )


def _compared(of: Course) -> tuple[str, ...]:
    steps, row, cost = of.options.steps, of.row, of.cost
    return (
        of.options.at.product,
        f"{of.gpus:,}",
        significant(of.finish.p50_s / DAY_S),
        significant(of.finish.p90_s / DAY_S),
        f"{100 * float(steps.mfu[row]):.1f}",
        f"{float(steps.tokens_per_s_per_gpu[row]):,.0f}",
        "-" if of.energy_mwh is None else f"{of.energy_mwh:,.0f}",
        "-" if cost is None else f"{cost.usd / 1e6:,.1f}",
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows below each other; the first column is words, the others are numbers."""
    widths = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            (right if i else left)(cell, width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
