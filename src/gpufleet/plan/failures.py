"""How often nodes fail, and how long they are out then."""

from __future__ import annotations

from typing import Annotated

from gpufleet.plan.declared import Key, Sourced
from gpufleet.plan.kinds import Number
from gpufleet.plan.moments import Duration


class FailurePlan(Sourced):
    """Nodes fail at random, each job on them starts again from its last checkpoint, and they are repaired.

    Times between failures, and repairs, are exponential; each node has draws of its own, by the plan's seed.
    """

    gpu_hours_between: Annotated[
        float,
        Key(
            Number(above=True, most=1e9),
            "GPU-hours between two failures, on average: a node of 8 GPUs fails 8 times as often as one of 1",
        ),
    ]
    repair_s: Annotated[int, Key(Duration(least=1), "how long a node is out, on average", "repair")]
