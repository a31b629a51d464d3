"""What adds up to what: the sums that a plan declares, beside what was published and what is promised.

Each sum has an entry of its own among the page's numbers, with every part, its line and its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gpufleet.base.say import Said, say
from gpufleet.plan.sums import Part
from gpufleet.report.promises import anchor, called, origin, status_name
from gpufleet.report.sources import Entry, Fact, cites, source_ids, titled, trusted
from gpufleet.report.tables import Kind, Link, Table, table
from gpufleet.results.sums import Added, added_up, declared_of

if TYPE_CHECKING:
    from gpufleet.results.run import Run


def sum_id(run: Run, name: str) -> str:
    """Id of a sum's entry in the page: a number, because names may hold anything."""
    return f"sum-{list(run.plan['sums']).index(name) + 1}"


def sums(run: Run) -> Table | None:
    """One row per sum; None where the plan adds nothing up."""
    rows = [_row(run, added) for added in added_up(run.plan)]
    if not rows:
        return None
    columns: list[tuple[str, Kind]] = [
        (say("sum"), "name"), (say("adds up"), "list"), (say("comes to, GPUs"), "whole"),
        (say("published, GPUs"), "whole"), (say("apart, GPUs"), "signed"),
        (say("set against"), "name"), (say("gap, GPUs"), "whole"),
        (say("counts"), "text"), (say("source"), "list"), (say("trust"), "text"),
    ]  # fmt: skip
    return table(say("What adds up to what, as the plan declares it"), columns, rows)


def _row(run: Run, added: Added) -> tuple[Any, ...]:
    to, ids = sum_id(run, added.name), source_ids(run)
    own = _published(run, added.name)
    source = titled(run, own["source"])
    return (
        Link(_called(run, added.name), to),
        " + ".join(_members(run, added.name)),
        Link(added.total, to),
        None if added.makes is None else Link(added.makes, to),
        None if added.apart is None else Link(added.apart, to),
        _promise(run, added.against, called(run.plan["promises"], added.against or "")),
        None if added.gap is None else Link(added.gap, to),
        _unit(added),
        Link(source, ids[own["source"]]) if own["source"] in ids else source,
        trusted(own["trust"]) or "",
    )


def _promise(run: Run, promise: str | None, value: Any) -> Any:
    return Link(value, anchor(run.plan["promises"], promise)) if promise else None


def _called(run: Run, name: str) -> str:
    return str(run.plan["sums"][name].get("title") or name)


def _members(run: Run, name: str) -> Iterator[str]:
    """What a sum adds up, as the plan writes it: other sums stay whole."""
    one = run.plan["sums"][name]
    yield from (_called(run, each) for each in one["sums"])
    yield from (called(run.plan["promises"], each) for each in one["promises"])
    yield from one["lots"]


def _unit(added: Added) -> Said:
    """What a sum adds: promises, GPUs of one product, or unlike ones, each counted as one."""
    n = len(added.products)
    if not n:
        return say("promised GPUs")
    if added.promises:
        return say("promised GPUs, and GPUs of {products:, }", products=added.products)
    if n == 1:
        return say("GPUs ({product})", product=added.products[0])
    return say("GPUs of {count:,} products, each counted as one", count=n)


def _published(run: Run, name: str) -> dict[str, str]:
    return origin(run, f"sums.{name}.makes", f"sums.{name}")


# --- what stands behind each


def behind_sums(run: Run) -> tuple[Entry, ...]:
    """An entry per sum: its formula, its parts with lines and sources, what was published."""
    return tuple(_entry(run, added) for added in added_up(run.plan))


def _entry(run: Run, added: Added) -> Entry:
    own = _published(run, added.name)
    values = {"total": added.total, "makes": added.makes, "promised": added.promised}
    wide = added.low != added.high
    facts = [
        Fact(say("formula"), say("sum over its parts, each once")),
        Fact(say("range"), say("{low:,} to {high:,} GPUs", low=added.low, high=added.high) if wide else ""),
        Fact(say("counts"), _unit(added)),
        Fact(
            say("published"),
            "" if added.makes is None else say("{makes:,} GPUs; the parts come to {total:,}", **values),
        ),
        Fact(
            say("gap"),
            ""
            if added.gap is None
            else say("{promised:,} − {total:,} = {gap:,} GPUs", gap=added.gap, **values),
        ),
        Fact(say("line of the plan"), own["line"]),
        Fact(say("source"), titled(run, own["source"]), cites(run, own["source"])),
        Fact(say("trust"), trusted(own["trust"]) or ""),
    ]
    return Entry(
        id=sum_id(run, added.name),
        name=f"sums.{added.name}",
        what=_called(run, added.name),
        value=say("{gpus:,} GPUs", gpus=added.total),
        facts=tuple(fact for fact in facts if fact.says),
        assumed=own["trust"] == "assumption",
        parts=_parts_table(run, added),
    )


def _parts_table(run: Run, added: Added) -> Table:
    """Every part of a sum: other sums first, then promises and lots."""
    one = run.plan["sums"][added.name]
    totals = {each.name: each.total for each in added_up(run.plan)}
    rows: list[tuple[Any, ...]] = [
        (Link(_called(run, name), sum_id(run, name)), say("sum"), totals[name], "", *_from(run, "sums", name))
        for name in one["sums"]
    ]
    rows += [_promised(run, name) for name in one["promises"]]
    rows += [_lot(run, name) for name in one["lots"]]
    columns: list[tuple[str, Kind]] = [
        (say("part"), "name"), (say("kind"), "text"), (say("GPUs"), "whole"), (say("status"), "text"),
        (say("line of the plan"), "place"), (say("source"), "name"), (say("trust"), "text"),
    ]  # fmt: skip
    return table(say("Parts of {name}", name=_called(run, added.name)), columns, rows)


def _promised(run: Run, name: str) -> tuple[Any, ...]:
    promises: Mapping[str, Any] = run.plan["promises"]
    gpus = declared_of(run.plan, Part("promise", name))["gpus"]
    link = Link(called(promises, name), anchor(promises, name))
    return (link, say("promise"), gpus, "", *_from(run, "promises", name))


def _lot(run: Run, name: str) -> tuple[Any, ...]:
    lot = declared_of(run.plan, Part("lot", name))
    status = status_name(lot.get("status", "ordered"))
    return (name, say("lot"), lot["gpus"], status, *_from(run, "deliveries", name))


def _from(run: Run, section: str, name: str) -> tuple[Any, Any, Any]:
    """Line, source and trust of a part's count; the source opens its row."""
    key = "makes" if section == "sums" else "gpus"
    own, ids = origin(run, f"{section}.{name}.{key}", f"{section}.{name}"), source_ids(run)
    title = titled(run, own["source"])
    source = Link(title, ids[own["source"]]) if own["source"] in ids else title
    return own["line"], source, trusted(own["trust"]) or ""
