"""The engine between two calls of a kernel, as plain arrays: a run can be put aside there and go on later.

The state is consistent at each return of a kernel, whatever the policy, and holds all that a run knows but
the world and the jobs to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gpufleet.base.arrays import Ints
from gpufleet.engine.memory import own
from gpufleet.engine.room import new_state
from gpufleet.engine.sharing.machine import own_tree
from gpufleet.engine.sharing.state import Share, new_share
from gpufleet.engine.state import NOW, State
from gpufleet.world.layout import Tree, World

_SHARE, _NOMINAL, _PREEMPTED = "share_", "tree_nominal", "preempted"

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


class Shared(NamedTuple):
    """What a run with admission by cycles knows beside the state."""

    tree: Tree
    share: Share
    preempted: Ints  # rows of EVENT columns


class Moment(NamedTuple):
    """A run that may go on from here."""

    state: State
    batch: int  # number of the batch, from 0, that the next job comes from
    rows: int  # outcomes that have gone to the sink
    shared: Shared | None = None

    @property
    def now_s(self) -> int:
        """Where the clock stands, s from the plan's start."""
        return int(self.state.scalar[NOW])


class Keep(NamedTuple):
    """When a run is put aside, and what is done with it then.

    ``save`` is called each time that another ``every`` outcomes have gone to the sink (and a few more: they
    leave the kernels some thousands at a time). The state is the engine's own: it changes when ``save`` has
    returned.
    """

    every: int
    save: Callable[[Moment], None]


def arrays_of(moment: Moment) -> dict[str, np.ndarray[Any, Any]]:
    """A moment as arrays of numbers, by field; it shares their memory. Records are rows of bytes."""
    arrays = {name: _plain(value) for name, value in moment.state._asdict().items()}
    if moment.shared is not None:
        share = moment.shared.share._asdict()
        arrays |= {_SHARE + name: _plain(value) for name, value in share.items()}
        arrays |= {_NOMINAL: moment.shared.tree.nominal, _PREEMPTED: moment.shared.preempted}
    return arrays


def _plain(array: Any) -> np.ndarray[Any, Any]:
    if array.dtype.fields is None:
        return np.asarray(array)
    return array.view(np.ndarray).view(np.uint8).reshape(len(array), array.dtype.itemsize)  # type: ignore[no-any-return]


def moment_of(arrays: Arrays, world: World, *, batch: int, rows: int) -> Moment:
    """The moment that `arrays_of` gave of a run of this world; it has its own memory.

    Raises: KeyError if a field is missing; ValueError if one is of another kind than the world's states have.
    """
    like = new_state(world, n_slots=1, n_out=1)
    fields = {name: _restored(name, arrays[name], old) for name, old in like._asdict().items()}
    return Moment(State(**fields), batch, rows, _shared_of(arrays, world))


def _shared_of(arrays: Arrays, world: World) -> Shared | None:
    if world.shared is None:
        return None
    tree = own_tree(world.shared)
    like = new_share(tree, 1, (1, 1, 1, 1))
    fields = {name: _restored(name, arrays[_SHARE + name], old) for name, old in like._asdict().items()}
    tree = tree._replace(nominal=_restored(_NOMINAL, arrays[_NOMINAL], tree.nominal))
    return Shared(tree, Share(**fields), _restored(_PREEMPTED, arrays[_PREEMPTED], like.event))


def _restored(name: str, saved: np.ndarray[Any, Any], like: Any) -> Any:
    if like.dtype.fields is None:
        if saved.dtype != like.dtype or saved.ndim != like.ndim:
            raise ValueError(f"{name} is {saved.dtype}{list(saved.shape)}, not of {like.dtype}")
        return own(saved.copy(), like.dtype)
    if saved.dtype != np.uint8 or saved.ndim != 2 or saved.shape[1] != like.dtype.itemsize:
        raise ValueError(f"{name} does not hold records of {like.dtype.itemsize} bytes")
    rows = np.zeros(len(saved), like.dtype).view(np.recarray)
    _plain(rows)[:] = saved
    return rows
