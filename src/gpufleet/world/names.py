"""What the code numbers of a world stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gpufleet.plan import Plan


USER: Final = "user"
PROJECT: Final = "project"
ARRAY: Final = "array"
"""Kinds of accounts."""


@dataclass(frozen=True)
class Names:
    """Names by code: ``names.products[cells.product[i]]`` is the product of cell ``i``.

    >>> names = Names(("B200",), ("lab",), ("research",), ("train",), ("history",), ("lot-1",))
    >>> Names.from_json(names.to_json()) == names
    True
    """

    products: tuple[str, ...]
    sites: tuple[str, ...]
    tenants: tuple[str, ...]
    queues: tuple[str, ...]
    workloads: tuple[str, ...]
    lots: tuple[str, ...]  # deliveries, then retirements, as the plan lists them
    cohorts: tuple[str, ...] = ()  # rows of the quota tree: parents first, else as the plan lists them
    accounts: tuple[str, ...] = ()  # users, projects and arrays with limits
    account_kinds: tuple[str, ...] = ()  # which of these each is
    account_paths: tuple[str, ...] = ()  # of their limits in the plan

    def to_json(self) -> str:
        """The names as JSON text with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Names:
        """Read what `to_json` wrote.

        Raises: ValueError or TypeError if the text is something else.
        """
        return cls(**{key: tuple(value) for key, value in json.loads(text).items()})

    @classmethod
    def of(cls, plan: Plan) -> Names:
        """All names of a plan; products in the order of the deliveries, then as quotas and jobs name them."""
        products = dict.fromkeys(plan.systems[d.system].product for d in plan.deliveries)
        quotas = [queue.quota for queue in plan.queues.values()]
        quotas += [cohort.quota for cohort in plan.cohorts.values()]
        for quota in quotas:
            products |= dict.fromkeys(quota)
        for workload in plan.workloads.values():
            products |= dict.fromkeys(product for product, _ in workload.products)
        lots = [d.name for d in plan.deliveries]
        lots += [f"retirement {i}" for i in range(1, len(plan.retirements) + 1)]
        return cls(
            products=tuple(products),
            sites=tuple(plan.sites),
            tenants=tuple(plan.tenants),
            queues=tuple(plan.queues),
            workloads=tuple(plan.workloads),
            lots=tuple(lots),
            cohorts=parents_first({name: cohort.parent for name, cohort in plan.cohorts.items()}),
        )


def parents_first(parent: Mapping[str, str | None]) -> tuple[str, ...]:
    """Names so that none stands before its parent, else in their order; there is no circle.

    >>> parents_first({"a": "b", "b": None, "c": None})
    ('b', 'c', 'a')
    """

    def depth(name: str) -> int:
        above = parent[name]
        return 0 if above is None else 1 + depth(above)

    return tuple(sorted(parent, key=depth))
