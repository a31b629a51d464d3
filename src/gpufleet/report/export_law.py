"""Verdicts of export law in words and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from gpufleet.base.say import Said, say, tell
from gpufleet.base.wide import columns, left, wrapped
from gpufleet.catalog.load import countries
from gpufleet.models.export import NO_ADVICE, Reading, RuleSet, Verdict
from gpufleet.models.export_changes import Change, Explained, Margin, Span
from gpufleet.models.export_inputs import INPUTS, Inputs, Value
from gpufleet.models.export_policies import AUTHORITIES, POLICIES
from gpufleet.models.export_rules import Rule
from gpufleet.models.export_truth import Threshold

_WIDTH: Final = 100
_SHOWN: Final = 6
"""Countries that are named; of more, how many there are."""
_FLAGS: Final[dict[str, Said]] = {"0": say("no"), "1": say("yes")}


def verdict_data(verdict: Verdict, case_id: str = "") -> dict[str, Any]:
    """A verdict as JSON values: the keys of a case, and what decides it."""
    return {
        "case_id": case_id,
        "authority_group": verdict.authority_group,
        "licence_required": verdict.licence_required,
        "policy": verdict.policy,
        "outcome": verdict.outcome,
        "citations": [_cited(rule) for rule in verdict.cited],
        "decided_by": [rule.id for rule in verdict.decided_by],
        "undecided": [INPUTS[name].column for name in verdict.undecided],
        "may_be": list(verdict.may_be),
        "not_counted": [_open(each) for each in verdict.not_counted],
    }


def explained_data(found: Explained, inputs: Inputs) -> dict[str, Any]:
    """A verdict as JSON values, with the numbers against the thresholds, and what would change it."""
    return {
        **verdict_data(found.verdict),
        "rules": [
            _reading_data(each, inputs, found.margins[each.rule.id]) for each in found.verdict.readings
        ],
        "changes": [_change_data(each) for each in found.changes],
        "on_paper": [{**_cited(rule), "status": rule.row.status} for rule in found.on_paper],
    }


def _cited(rule: Rule) -> dict[str, Any]:
    row = rule.row
    return {
        "rule": rule.id,
        "citation": rule.citation,
        "title": row.title,
        "effective_from": row.effective_from,
        "effective_to": row.effective_to,
        "source": row.source,
        "trust": row.trust,
    }


def _open(reading: Reading) -> dict[str, Any]:
    return {"rule": reading.rule.id, "undecided": [INPUTS[name].column for name in reading.undecided]}


def _reading_data(reading: Reading, inputs: Inputs, near: Sequence[Margin]) -> dict[str, Any]:
    rule = reading.rule
    return {
        "rule": rule.id,
        "role": rule.row.role,
        "concerns": rule.concerns(inputs),
        "applies": reading.applies,
        "not_met": list(rule.not_met(inputs)),
        "undecided": [INPUTS[name].column for name in reading.undecided],
        "thresholds": [_threshold_data(each, inputs) for each in _thresholds(rule)],
        "margins": [
            {"input": INPUTS[m.name].column, "value": m.value, "by": m.by, **_span_data(m.span)} for m in near
        ],
    }


def _thresholds(rule: Rule) -> list[Threshold]:
    parts = [*rule.formulas, *filter(None, (rule.exclusion,))]
    return list(dict.fromkeys(each for part in parts for each in part.thresholds))


def _threshold_data(threshold: Threshold, inputs: Inputs) -> dict[str, Any]:
    value = threshold.value(inputs)
    return {
        "inputs": [INPUTS[name].column for name in threshold.names],
        "value": value,
        "sign": threshold.sign,
        "limit": threshold.limit,
    }


def _change_data(change: Change) -> dict[str, Any]:
    data: dict[str, Any] = {
        "input": INPUTS[change.name].column,
        "licence_required": change.licence_required,
        "policy": change.policy,
    }
    if change.span is not None:
        data |= {"by": change.by, **_span_data(change.span)}
    if change.values:
        data["values"] = list(change.values)
    if change.first or change.last:
        data |= {"first": change.first, "last": change.last}
    return data


def _span_data(span: Span) -> dict[str, Any]:
    return {"low": span.low, "low_in": span.low_in, "high": span.high, "high_in": span.high_in}


def shipment_data(inputs: Inputs) -> dict[str, Value]:
    """The inputs by the names of their columns."""
    return {known.column: inputs[name] for name, known in INPUTS.items()}


def answer_text(
    inputs: Inputs,
    taken: Sequence[str],
    answers: Sequence[Explained],
    rules: RuleSet,
) -> str:
    """The whole answer about one shipment, to be read."""
    lines = [_line(_head(inputs, taken), 0), _line(_numbers(inputs), 0)]
    for each in answers:
        lines += ["", *_verdict_lines(each, inputs), *_change_lines(each.changes, inputs)]
        lines += [_line(_paper(rule)) for rule in each.on_paper]
    return "\n".join([*lines, "", closing(rules)])


def closing(rules: RuleSet) -> str:
    """What stands below every answer."""
    read = say("Rules as they were read on {date}.", date=_day(rules.read_on))
    return say("{advice} {read}", advice=NO_ADVICE, read=read)


def _head(inputs: Inputs, taken: Sequence[str]) -> str:
    head = say(
        "{chip} from {origin} to {dest} on {date}, buyer's headquarters in {hq}",
        chip=str(inputs["chip"]),
        date=_day(inputs["date"]),
        origin=_country(str(inputs["origin"])),
        dest=_country(str(inputs["dest"])),
        hq=_country(str(inputs["hq"])),
    )
    if not taken:
        return head
    names = [f"--{'origin' if each == 'origin' else 'buyer-hq'}" for each in taken]
    return say("{head} (not given, taken: {names: and })", head=head, names=names)


def _day(text: Value) -> date:
    return date.fromisoformat(str(text))


def _country(code: str) -> str:
    name = countries()[code].name
    return say("{name} ({code})", name=name, code=code)


def _numbers(inputs: Inputs) -> str:
    of_ic = ("tpp", "pd", "mem_bw_gbps", "io_gbps", "dc")
    shown = of_ic if inputs["item_kind"] == "ic" else ("hbm_density",)
    return say("{parts:; }", parts=[_given(name, inputs[name]) for name in shown])


def _given(name: str, value: Value) -> str:
    known = INPUTS[name]
    if value is None:
        return say("{input} not known", input=known.says)
    if known.kind == "flag":
        return say("{input}: {value}", input=known.says, value=_FLAGS[f"{value:.0f}"])
    return say("{input} {value}", input=known.says, value=_number(float(value), known.unit))


def _number(value: float, unit: str = "") -> str:
    text = f"{value:,.10g}"
    return say("{text} {unit}", text=text, unit=unit) if unit else text


def _verdict_lines(answer: Explained, inputs: Inputs) -> list[str]:
    """The position, the rules behind it, and those that were read and do not apply."""
    verdict = answer.verdict
    authority = AUTHORITIES[verdict.authority_group].says
    abroad = verdict.authority_group == "us_import" and verdict.licence_required == "n/a"
    policy = say("no import into the US") if abroad else verdict.meaning.says
    head = say("{authority}: {policy}", authority=authority, policy=policy)
    lines = [tell(head)]
    if verdict.undecided:
        names = [INPUTS[name].says for name in verdict.undecided]
        lines.append(_line(say("it depends on: {names}", names=names)))
    if verdict.may_be:
        others = [POLICIES[policy].says for policy in verdict.may_be]
        lines.append(
            _line(
                say("that decides by the first condition that is true; it may be: {others:; }", others=others)
            )
        )
    for rule in verdict.decided_by:
        lines.append(_line(_cite(rule)))
        lines += _margin_lines(answer.margins[rule.id], applies=True)
    behind = {rule.id for rule in verdict.decided_by}
    for reading in verdict.readings:
        rule = reading.rule
        if rule.id in behind or rule.concerns(inputs) is False:
            continue
        near = answer.margins[rule.id] if reading.applies is False else ()
        lines.append(_line(_not_behind(reading, () if near else rule.not_met(inputs))))
        lines += _margin_lines(near, applies=False)
    if not verdict.decided_by:
        lines += _none_lines(verdict, inputs)
    return lines


def _none_lines(verdict: Verdict, inputs: Inputs) -> list[str]:
    """What is cited where no rule is behind a verdict and none comes near."""
    if verdict.to_come:
        rule = verdict.to_come[0]
        says = say("no rule was in force; the first comes on {date}", date=_day(rule.row.effective_from))
        return [_line(says), _line(_cite(rule))]
    if not verdict.readings:
        return [_line(say("no rule was in force"))]
    if any(each.rule.concerns(inputs) is not False for each in verdict.readings):
        return []
    says = say("no rule in force is for this destination and headquarters; read:")
    return [_line(says), *(_line(_cite(each.rule)) for each in verdict.readings)]


def _not_behind(reading: Reading, not_met: Sequence[str]) -> str:
    cite = _cite(reading.rule)
    if reading.applies:
        return say("applies too: {cite}", cite=cite)
    if reading.applies is None:
        names = [INPUTS[name].says for name in reading.undecided]
        return say("not known whether it applies ({names}): {cite}", names=names, cite=cite)
    if not_met:
        cite = say("{cite} (not met: {not_met})", cite=cite, not_met=list(not_met))
    return say("does not apply: {cite}", cite=cite)


def _paper(rule: Rule) -> str:
    return say("on paper only: {cite} ({status})", cite=_cite(rule), status=rule.row.status)


def _cite(rule: Rule) -> str:
    return say("{id}, {citation}: {title}", id=rule.id, citation=rule.citation, title=rule.row.title)


def _margin_lines(near: Sequence[Margin], *, applies: bool) -> list[str]:
    found = [tell(_margin(each)) for each in near]
    if not found:
        return []
    if applies:
        return [_line(say("would not if {found: or }", found=found), 4)]
    return [_line(say("would if {found: or }", found=found), 4)]


def _margin(margin: Margin) -> str:
    known = INPUTS[margin.name]
    parts = {
        "input": known.says,
        "value": _number(margin.value, known.unit),
        "by": _number(margin.by),
        "span": _span(margin.span, known.unit),
    }
    if margin.under:
        return say("{input} were {span} ({value} is {by} under)", **parts)
    return say("{input} were {span} ({value} is {by} over)", **parts)


def _span(span: Span, unit: str = "") -> str:
    """Numbers between two bounds in words."""
    low, high = _number(span.low, unit), _number(span.high or 0, unit)
    if span.high is None:
        return say("{low} or more", low=low) if span.low_in else say("more than {low}", low=low)
    if span.low == span.high:
        return say("exactly {low}", low=low)
    top = say("up to {high}", high=high) if span.high_in else say("less than {high}", high=high)
    if span.low == 0 and span.low_in:
        return top
    bottom = say("from {low}", low=low) if span.low_in else say("more than {low}", low=low)
    return say("{bottom}, {top}", bottom=bottom, top=top)


def _change_lines(found: Sequence[Change], inputs: Inputs) -> list[str]:
    if not found:
        return []
    return [
        _line(say("what would change it, each alone:")),
        *(_line(_change(each, inputs), 4) for each in found),
    ]


def _change(change: Change, inputs: Inputs) -> str:
    known = INPUTS[change.name]
    then = POLICIES[change.policy].says
    if change.last:
        return say("until {date}: {then}", date=_day(change.last), then=then)
    if change.first:
        return say("from {date} on: {then}", date=_day(change.first), then=then)
    if change.span is None:
        return say("{input} {values}: {then}", input=known.says, values=_values(change), then=then)
    span = _span(change.span, known.unit)
    if change.by is None:
        return say("{input} {span}: {then}", input=known.says, span=span, then=then)
    value, by = _number(float(inputs[change.name] or 0), known.unit), _number(change.by)
    parts = {"input": known.says, "span": span, "value": value, "by": by, "then": then}
    if float(inputs[change.name] or 0) <= change.span.low:
        return say("{input} {span} ({value} is {by} under): {then}", **parts)
    return say("{input} {span} ({value} is {by} over): {then}", **parts)


def _values(change: Change) -> str:
    kind = INPUTS[change.name].kind
    if kind == "flag":
        return say("{values: or }", values=[_FLAGS[each] for each in change.values])
    if len(change.values) > _SHOWN:
        shown, more = change.values[:_SHOWN], len(change.values) - _SHOWN
        return say("{values} and {n:,} more", values=list(shown), n=more)
    return say("{values: or }", values=list(change.values))


def _line(text: str, indent: int = 2) -> str:
    """A text below others, in lines that fit; what follows its first line stands further in."""
    first, *rest = wrapped(tell(text), _WIDTH - indent - 2).splitlines()
    return "\n".join([" " * indent + first, *(" " * (indent + 2) + each for each in rest)])


Expected = Mapping[str, tuple[str, str]]
"""`licence_required` and `policy` that are expected, by authority."""


def batch_text(answers: Iterable[tuple[str, Sequence[Verdict], Expected]], rules: RuleSet) -> str:
    """One line per shipment and authority, from (id, verdicts, what is expected); and how many are so."""
    head = (say("case"), say("authority"), say("licence"), say("policy"), say("behind it"), "")
    rows: list[tuple[str, ...]] = [head]
    agree = held = count = 0
    for case_id, verdicts, expected in answers:
        count += 1
        for each in verdicts:
            wanted = expected.get(each.authority_group)
            same = wanted == (each.licence_required, each.policy)
            held, agree = held + (wanted is not None), agree + same
            note = (
                _note(each) if same or not wanted else say("differs, expected: {wanted}", wanted=list(wanted))
            )
            behind = say("{rules}", rules=[rule.id for rule in each.decided_by] or ["-"])
            rows.append((case_id, each.authority_group, each.licence_required, each.policy, behind, note))
    widths = [max(columns(row[at]) for row in rows) for at in range(len(head))]
    lines = ["  ".join(left(c, w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = say("{n:,} shipment", "{n:,} shipments", n=count)
    if held:
        same_text = say("{agree:,} of {expected:,} as expected", agree=agree, expected=held)
        total = say("{parts:; }", parts=[total, same_text])
    return "\n".join([*lines, "", tell(total), closing(rules)])


def _note(verdict: Verdict) -> str:
    """What a line of a batch has to add: inputs that are not known, and what they leave open."""
    if verdict.undecided:
        return say("depends on: {names}", names=[INPUTS[name].column for name in verdict.undecided])
    if not verdict.not_counted:
        return ""
    rules = [each.rule.id for each in verdict.not_counted]
    names = dict.fromkeys(name for each in verdict.not_counted for name in each.undecided)
    columns_of = [INPUTS[name].column for name in names]
    return say("not counted, for want of {names}: {rules}", names=columns_of, rules=rules)
