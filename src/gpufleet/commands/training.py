"""Commands about training a model: how long, how big, on which GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpufleet.base.errors import GpufleetError, finding
from gpufleet.base.language import speaking
from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang
from gpufleet.commands.validation import NO_FORM
from gpufleet.console import Progress, aloud, print_json, say


def train(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Of `gpufleet catalog models`.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Instead: config.json of Hugging Face.")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", metavar="N", help="GPUs that there are.")] = None,
    product: Annotated[
        str | None, typer.Option("--product", metavar="P", help="Product or system, as H200 or GB200-NVL72.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="P,P", help="Instead: several, side by side.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", metavar="15T", help="Budget; else as published of the model.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="DATE", help="When it must be done: how many GPUs, how large."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="DATE", help="When it begins; else today.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="bf16|fp8|mxfp8|fp4", help="Of the linear layers.")
    ] = "bf16",
    seq: Annotated[
        int | None, typer.Option("--seq", metavar="TOKENS", help="Of a sequence; else 8192, or less.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option("--batch", metavar="16M", help="Tokens of a step; else about 16.8M.")
    ] = None,
    best: Annotated[
        str, typer.Option("--best", metavar="time|cost|energy|gpus", help="What the layout is chosen by.")
    ] = "time",
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="tp=8,pp=16", help="Parts that are fixed.")
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price", metavar="USD", help="Of a GPU-hour; else the catalogue's.")
    ] = None,
    fabric: Annotated[
        float | None, typer.Option("--fabric", metavar="GBPS", help="Network per GPU; else the system's.")
    ] = None,
    front: Annotated[
        bool, typer.Option("--front", help="Show what fewer GPUs take: days against GPUs.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.svg|png", help="Write a picture too; PNG in English."),
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """How long a model trains on some GPUs, with which layout; how many GPUs a date needs; how large a model.

    All layouts that divide and fit in memory are computed: tensor, pipeline, context, expert and data
    parallelism, micro-batches, recomputation. The best is shown, the next best, and why it lost.

    With --by and no --gpus: the fewest GPUs whose P90 makes it. With both: the largest model of
    MODEL's shape.

    \b
    Examples:
      gpufleet train llama-3.1-405b --gpus 16384 --product H100 --tokens 15T
      gpufleet train llama-3.1-405b --product H200 --tokens 15T --by 2027-06 --start 2027-01
      gpufleet train llama-3.1-70b --gpus 512 --product B200 --by 2027-06 --start 2027-01
      gpufleet train deepseek-v3 --gpus 2048 --compare H200,B200,GB200-NVL72 --precision fp8
      gpufleet train --config config.json --gpus 512 --product H200 --tokens 10T --json
    """
    from gpufleet.trainer import Wish, answer

    wish = Wish(
        model=model,
        config=config,
        product=product,
        compare=compare,
        gpus=gpus,
        tokens=tokens,
        by=by,
        start=start,
        precision=precision,
        seq_len=seq,
        batch=batch,
        best=best,
        layout=layout,
        price=price,
        fabric_gbps=fabric,
        front=front,
    )
    if out is not None and out.suffix not in (".svg", ".png"):
        says = words("`{name}` ends neither in .svg nor in .png", name=out.name)
        raise GpufleetError(finding(NO_FORM, says, words("write e.g. --out training.svg")))
    found = answer(wish)
    if out is not None:
        from gpufleet.report.scatter_chart import write_picture
        from gpufleet.report.training_chart import picture

        # A PNG holds no text, and which fonts there are for other scripts is not known.
        with speaking("en") if out.suffix == ".png" else aloud():
            write_picture(picture(found.courses, compared=found.compared), out)
    if as_json:
        print_json("train", found.to_json())
        return
    with aloud():
        say(found.text())
    if out is not None:
        say(words("wrote {path}", path=out))


def calibrate(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the measured product is called.")],
    product: Annotated[
        str | None, typer.Option("--product", metavar="P", help="Which it is; else by the GPU's name.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Recorded times, instead of measuring.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Measure a product of one's own anew.")] = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Measure this machine's GPUs with PyTorch, and keep them as a product of one's own.

    Matrix products, copies and collectives are timed for some minutes. The new product has the rated numbers
    of its kind and the measured curves; `gpufleet train --product NAME` uses it from then on, and `gpufleet
    catalog gpus` lists it. It is kept in the user's configuration folder, or where GPUFLEET_CATALOG says.

    \b
    Examples:
      gpufleet calibrate --name our-h100
      gpufleet calibrate --name our-h100 --data measured/ --product H100
    """
    from gpufleet.calibrator import calibrate as fit
    from gpufleet.calibrator import check_name, keep, product_of, read_measured
    from gpufleet.catalog import resolve_product

    check_name(name, replace=replace)
    like = None if product is None else resolve_product(product).id
    if data is None:
        from gpufleet.stopwatch import measure

        with Progress() as progress:
            measured = measure(tell=progress)
        like = like or product_of(measured.device)
    else:
        like = like or product_of(name)
        measured = read_measured(data, like)
    made = fit(measured, name, like)
    files = keep(made)
    if as_json:
        print_json("calibrate", {**made.to_json(), "files": [str(each) for each in files]})
        return
    with aloud():
        say(made.text())
    say(words("kept as {name} in {folder}", name=name, folder=files[0].parent))
