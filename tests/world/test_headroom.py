"""The quota tree in plain Python says what the kernels say."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from gpufleet.engine.jit import compiling, entry
from gpufleet.engine.sharing.decide import Situation
from gpufleet.engine.sharing.state import Share
from gpufleet.engine.sharing.tree import available
from gpufleet.world.headroom import Headroom
from gpufleet.world.layout import Tree
from gpufleet.world.quotas import Cohort, Limits, PodSet, Queue, Sharing, Work, arrays_of


@entry
def _ask(t: Tree, h: Share, room: np.ndarray, most: np.ndarray) -> None:  # type: ignore[type-arg]
    for row in range(room.shape[0]):
        for k in range(room.shape[1]):
            room[row, k] = available(t, h, row, k)
            most[row, k] = h.potential[row, k]


def _limits(random: Random, *, alone: bool) -> Limits:
    few = [None, None, 0, 3, 8]
    return Limits(
        random.randrange(12), *((None, None) if alone else (random.choice(few), random.choice(few)))
    )


def _tree(random: Random) -> Sharing:
    products = ("chip", "card")
    cohorts = [Cohort("c0", None, ())]
    for i in range(1, random.randrange(1, 5)):
        group = tuple((p, {"gpu": _limits(random, alone=False)}) for p in products)
        cohorts.append(Cohort(f"c{i}", random.choice(cohorts).name, (group,)))
    queues = []
    for i in range(random.randrange(1, 6)):
        cohort = random.choice([None, *(c.name for c in cohorts)])
        group = tuple((p, {"gpu": _limits(random, alone=cohort is None)}) for p in products)
        queues.append(Queue(f"q{i}", cohort, (group,)))
    return Sharing(tuple(cohorts), tuple(queues))


@pytest.mark.parametrize("seed", range(60))
def test_as_the_kernels(seed: int) -> None:
    random = Random(seed)
    sharing = _tree(random)
    works = [
        Work(f"w{i}", random.choice(sharing.queues).name, (PodSet("main", 1, {"gpu": n}),),
             uses=((random.choice(["chip", "card"]), "gpu", n),))
        for i, n in enumerate(random.randrange(1, 6) for _ in range(random.randrange(8)))
    ]  # fmt: skip
    made = arrays_of(sharing, works)
    situation = Situation(made.tree, made.works, made.shapes)
    room, most = np.zeros_like(made.tree.nominal), np.zeros_like(made.tree.nominal)
    with compiling():
        _ask(situation.t, situation.h, room, most)
    for k, product in enumerate(made.names.flavors):
        held = dict.fromkeys(range(len(made.names.nodes)), 0)
        for work in works:
            for flavor, _, amount in work.uses or ():
                if flavor == product:
                    held[made.names.queue_row[work.queue]] += amount
        plain = Headroom(made.tree, k, held)
        rows = range(len(made.names.nodes))
        assert plain.subtree == situation.share.subtree[:, k].tolist()
        assert plain.local == situation.share.local[:, k].tolist()
        assert plain.usage == situation.share.usage[:, k].tolist()
        assert [plain.available(row) for row in rows] == room[:, k].tolist()
        assert [plain.potential(row) for row in rows] == most[:, k].tolist()
