"""The positions that an authority may take, in the words of the rules, and which of two is stricter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final, NamedTuple

from gpufleet.base.say import Said, say

UNKNOWN: Final = "unknown"
NONE: Final = "none"
DUTY_FREE: Final = "duty_0"


class Policy(NamedTuple):
    """What a policy comes to, and what it means in words."""

    outcome: str
    says: Said


class Authority(NamedTuple):
    """Whose position it is; `licences` are the words that a rule of it may have in `licence_required`."""

    says: Said
    licences: tuple[str, ...]
    strictest_first: tuple[str, ...]
    by_setting_only: tuple[str, ...] = ()  # policies that only a rule with role sets_policy gives


AUTHORITIES: Final[Mapping[str, Authority]] = {
    "us_export": Authority(
        say("US export control"),
        ("yes", "risk"),
        (
            *("presumption_of_denial", "banned_in_practice", "case_by_case", "presumption_of_approval"),
            *("nac_notification", "nac_no_notification", "enforcement_risk", NONE),
        ),
        ("aca", "approval_expected", "licence_with_15pct_revenue_share", "licensed_to_named_buyer"),
    ),
    "us_import": Authority(say("US import duty"), ("no",), ("duty_25_percent", DUTY_FREE, NONE)),
    "cn": Authority(say("China"), ("n/a",), ("buyer_side_ban", "buyer_side_block", "buyer_side_stop", NONE)),
}
"""The three positions that a full verdict has, each with its policies."""

POLICIES: Final[Mapping[str, Policy]] = {
    "presumption_of_denial": Policy("licence", say("licence required, presumption of denial")),
    "banned_in_practice": Policy("banned", say("licence required, banned in practice")),
    "case_by_case": Policy("licence", say("licence required, decided case by case")),
    "presumption_of_approval": Policy("licence", say("licence required, presumption of approval")),
    "nac_notification": Policy("exception", say("licence exception NAC, with notification")),
    "nac_no_notification": Policy("exception", say("licence exception NAC, without notification")),
    "aca": Policy("exception", say("licence exception ACA")),
    "approval_expected": Policy("licence", say("licence required, approval expected")),
    "licence_with_15pct_revenue_share": Policy(
        "licence", say("licence required, granted for 15% of the revenue")
    ),
    "licensed_to_named_buyer": Policy("licence", say("licence required, granted to this buyer")),
    "enforcement_risk": Policy("risk", say("no licence required, but a risk of enforcement")),
    "duty_25_percent": Policy("duty", say("duty of 25%")),
    DUTY_FREE: Policy("not controlled", say("no duty by these rules")),
    "buyer_side_ban": Policy("banned", say("banned by the buyer's side")),
    "buyer_side_block": Policy("banned", say("blocked by the buyer's side")),
    "buyer_side_stop": Policy("banned", say("stopped by the buyer's side")),
    NONE: Policy("not controlled", say("not controlled by these rules")),
    UNKNOWN: Policy("unknown", say("not decided: an input is not known")),
}
"""Every policy."""


def strictest(authority_group: str, policies: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The strictest policy of several rules; each may be one of several, if an input is not known.

    Returns: all that it may be, the strictest first.

    >>> strictest("us_export", [["case_by_case"], ["banned_in_practice"]])
    ('banned_in_practice',)
    >>> strictest("us_export", [["nac_notification", "presumption_of_denial"]])
    ('presumption_of_denial', 'nac_notification')
    >>> strictest("us_export", [["nac_notification", "case_by_case"], ["banned_in_practice"]])
    ('banned_in_practice',)
    """
    authority = AUTHORITIES[authority_group]
    order = (*authority.strictest_first, *authority.by_setting_only)
    found = {min(each, key=order.index) for each in product(*policies)}
    return tuple(sorted(found, key=order.index))
