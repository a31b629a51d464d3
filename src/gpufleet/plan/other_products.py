"""Lots of another kind of GPU than the promise speaks of that they count toward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpufleet.base.errors import Finding
from gpufleet.base.say import say
from gpufleet.plan.check import check

if TYPE_CHECKING:
    from gpufleet.plan.plan import Plan


@check("P097", "lot of another product than was promised")
def other_product(plan: Plan) -> Iterator[Finding]:
    """A promise speaks of a product or a generation of GPUs, and a lot of another one counts toward it. This
    can be meant: the run counts it. Strictly read it keeps no part of the promise. Looked at only where the
    catalogue knows what the promise's `product` names.

    Example::

        promises:   {fifty: {product: Blackwell, ...}}
        deliveries: [{system: DGX H200, counts_toward: fifty, ...}]      # Hopper
    """
    from gpufleet.catalog.load import other_kind

    for i, lot in enumerate(plan.deliveries):
        product = plan.systems[lot.system].product
        for name in lot.counts_toward:
            kind = other_kind(product, plan.promises[name].product)
            if kind is not None:
                yield Finding(
                    at=plan.line(f"deliveries.{lot.name}.system") or plan.line(f"deliveries.{i}.system"),
                    says=say(
                        "{gpus:,} {product} GPUs ({kind}) of {lot} count toward {promise}, "
                        "a promise of {words}",
                        gpus=lot.gpus, product=product, kind=kind, lot=lot.name, promise=name,
                        words=plan.promises[name].product,
                    ),
                    fix=say("take {promise} out of its `counts_toward`; or it is meant so", promise=name),
                )  # fmt: skip
