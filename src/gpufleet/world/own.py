"""Functions of the user in a world, and in the file of a saved one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

from gpufleet.plan.own_code import OwnCodeError, OwnKind, read_code
from gpufleet.world.layout import TAKES, OwnCode, OwnPolicies

if TYPE_CHECKING:
    from gpufleet.plan.policy import PolicyPlan

LOOKS: Final = frozenset({"idle", "near", "domain_nodes"})
"""Fields that differ between domains; a placement that reads none takes the lowest nodes."""


def own_of(policy: PolicyPlan, queues: Collection[str]) -> OwnPolicies | None:
    """The functions of a policy; None if it has none. Queues: their names, in the order of their codes."""
    order, placement = policy.own_order, policy.own_placement
    given = [part.python for part in (order, placement) if part is not None]
    codes = {own.kind: _code(own.kind, own.source, own.function, own.file, own.line, queues) for own in given}
    if not codes:
        return None
    return _together(codes, TAKES.index(placement.take) if placement else 0)


def _code(
    kind: OwnKind, source: str, function: str, file: str, line: int, queues: Collection[str]
) -> tuple[OwnCode, frozenset[str]]:
    """The code, and the fields that it reads."""
    code = read_code(source, function, kind, queues)
    return OwnCode(function, file, line, source, code.program), code.reads


def _together(codes: Mapping[OwnKind, tuple[OwnCode, frozenset[str]]], take: int) -> OwnPolicies:
    order, placement = codes.get("order"), codes.get("placement")
    return OwnPolicies(
        order=order and order[0],
        placement=placement and placement[0],
        take=take,
        by_domain=int(placement is not None and bool(placement[1] & LOOKS)),
    )


def own_json(own: OwnPolicies | None) -> dict[str, Any]:
    """The functions as JSON values. The program is not among them: it is made again from the source."""
    if own is None:
        return {}
    parts = {kind: getattr(own, kind) for kind in get_args(OwnKind)}
    saved: dict[str, Any] = {
        kind: {name: value for name, value in code._asdict().items() if name != "program"}
        for kind, code in parts.items()
        if code is not None
    }
    return saved | {"take": own.take}


def own_from_json(saved: Mapping[str, Any], queues: Collection[str]) -> OwnPolicies | None:
    """What `own_json` gave. The code is checked again: a file may come from anywhere.

    Raises: ValueError if it does not obey the rules; KeyError, TypeError if it is something else.
    """
    if not saved:
        return None
    try:
        codes = {
            kind: _code(kind, queues=queues, **saved[kind]) for kind in get_args(OwnKind) if kind in saved
        }
    except OwnCodeError as error:
        raise ValueError(str(error)) from error
    return _together(codes, int(saved["take"]))
