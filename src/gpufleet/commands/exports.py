"""The command that asks what export law says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gpufleet.base.errors import Finding, GpufleetError, explain_code, finding
from gpufleet.base.say import say as words
from gpufleet.commands.options import Json, Lang
from gpufleet.console import aloud, findings_data, print_findings, print_json, say

if TYPE_CHECKING:
    from gpufleet.models.export import RuleSet

HALF: Final = explain_code(
    "U040",
    "an export question that is not whole",
    "`gpufleet export-check` takes either one product with --to and --on, or a file of shipments (--batch).",
    "gpufleet export-check H20 --to CN --on 2025-05-01",
).code


def export_check(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="A product of the catalogue.")] = "",
    to: Annotated[str | None, typer.Option("--to", metavar="COUNTRY", help="Destination, e.g. CN.")] = None,
    on: Annotated[str | None, typer.Option("--on", metavar="DATE", help="Date, e.g. 2025-05-01.")] = None,
    buyer_hq: Annotated[
        str | None,
        typer.Option(
            "--buyer-hq", metavar="COUNTRY", help="Headquarters of the buyer's ultimate parent; else --to."
        ),
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--origin", metavar="COUNTRY", help="Country that it leaves; else US.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="A further input. May be repeated."),
    ] = None,
    batch: Annotated[
        Path | None, typer.Option("--batch", metavar="FILE.csv", help="A file of shipments.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE.csv", help="Rules beside the catalogue's.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 on warnings too.")] = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """What export law says about a shipment: not controlled, exception, licence, banned or duty.

    Three authorities have a position each: US export control, US import duty, China. Each comes with the
    rules behind it, the numbers against their thresholds, and what would change it.
    This is engineering data, no legal advice. `gpufleet catalog export-rules` lists the rules.

    Names for --input are the columns of a batch: state_funded, us_tested, direct_from_us, volume_share,
    buyer, quantity, end_use, item_kind, and the numbers of the chip (tpp, performance_density, mem_bw_gbps,
    io_gbps, hbm_density, dc_marketed, declared_not_3a090), which then go before the catalogue.

    A batch has a header and the columns case_id, query_date, chip, destination, buyer_hq, origin; the others
    may be left out. Numbers of the chip in a row go before the catalogue. With authority_group,
    expected_licence_required and expected_policy the verdict is held against what is expected.

    Exit codes: 0 done; 1 another verdict is expected; 2 the input cannot be used.

    \b
    Examples:
      gpufleet export-check H20 --to CN --on 2025-05-01
      gpufleet export-check B200 --to MY --on 2026-06-01 --buyer-hq CN --json
      gpufleet export-check --batch shipments.csv --json
    """
    from gpufleet.models.export import shipped

    _whole(product, to, on, batch, [buyer_hq, origin, *(inputs or ())])
    if rules is None:
        asked = shipped()
    else:
        from gpufleet.exchange.export_rules import with_rules

        asked = with_rules(rules)
    if batch is not None:
        _batch(batch, asked, strict=strict, as_json=as_json)
    else:
        _one(
            (product, str(to), str(on), buyer_hq, origin, inputs or ()), asked, strict=strict, as_json=as_json
        )


def _whole(
    product: str, to: str | None, on: str | None, batch: Path | None, others: Sequence[str | None]
) -> None:
    """Raises: GpufleetError U040 if it is no question, or two."""
    if batch is not None:
        if product or to or on or any(others):
            fix = words("leave PRODUCT and its options out, or --batch")
            raise GpufleetError(finding(HALF, words("--batch has its questions in the file"), fix))
        return
    missing = [name for name, value in (("PRODUCT", product), ("--to", to), ("--on", on)) if not value]
    if missing:
        says = words("missing: {missing}", missing=missing)
        raise GpufleetError(finding(HALF, says, words("write e.g. {example}", example=_EXAMPLE)))


_EXAMPLE: Final = "gpufleet export-check H20 --to CN --on 2025-05-01"


def _one(
    question: tuple[str, str, str, str | None, str | None, Sequence[str]],
    rules: RuleSet,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    from gpufleet.exchange.shipments import one_shipment, outside
    from gpufleet.models.export_changes import explain
    from gpufleet.report.export_law import answer_text, explained_data, shipment_data

    shipment, taken = one_shipment(*question)
    warnings = outside([shipment], rules)
    answers = explain(shipment.inputs, rules)
    if as_json:
        data = [explained_data(each, shipment.inputs) for each in answers]
        head = {"shipment": shipment_data(shipment.inputs), "not_given": taken}
        _print_json({**head, "verdicts": data}, warnings, rules)
    else:
        print_findings(warnings)
        with aloud():
            say(answer_text(shipment.inputs, taken, answers, rules))
    _leave(warnings, strict)


def _batch(path: Path, rules: RuleSet, *, strict: bool, as_json: bool) -> None:
    from gpufleet.exchange.shipments import agrees, outside, read_shipments
    from gpufleet.models.export import verdicts
    from gpufleet.report.export_law import batch_text, verdict_data

    shipments, warnings = read_shipments(path)
    warnings += outside(shipments, rules)
    answers = [(each, verdicts(each.inputs, rules)) for each in shipments]
    if as_json:
        data = [verdict_data(verdict, each.id) for each, found in answers for verdict in found]
        _print_json({"verdicts": data}, warnings, rules)
    else:
        print_findings(warnings)
        with aloud():
            expected = [{each.asked: each.expected} if each.expected else {} for each in shipments]
            told = [(each.id, found, wanted) for (each, found), wanted in zip(answers, expected, strict=True)]
            say(batch_text(told, rules))
    _leave(warnings, strict)
    if any(agrees(each, found) is False for each, found in answers):
        raise typer.Exit(1)


def _print_json(content: dict[str, object], warnings: Sequence[Finding], rules: RuleSet) -> None:
    from gpufleet.models.export import NO_ADVICE

    about = {"not_legal_advice": str(NO_ADVICE), "rules_read_on": rules.read_on}
    print_json("export-check", {**content, **about, "findings": findings_data(warnings)})


def _leave(warnings: Sequence[Finding], strict: bool) -> None:
    if strict and warnings:
        raise typer.Exit(2)
