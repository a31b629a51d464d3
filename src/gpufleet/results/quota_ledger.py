"""Writes quotas.parquet: what each queue and cohort owned, used, borrowed and lent, by product and bin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from gpufleet.base.arrays import Floats, Ints
from gpufleet.results.columns import LOST_NODE, QUOTAS
from gpufleet.results.parquet import TableWriter, words
from gpufleet.results.timeline import bin_edges, gpu_seconds
from gpufleet.world.layout import UNLIMITED, Tallies, World

if TYPE_CHECKING:
    import pyarrow as pa

    from gpufleet.world.names import Names

KINDS: Final = ("queue", "cohort")
HOUR_S: Final = 3600
MUCH: Final = float("inf")


def write_quotas(
    path: Path, world: World, names: Names, tallies: Tallies, end_s: int, preempted: pl.DataFrame
) -> int:
    """Write quotas.parquet of a world with shared quotas, one holder and product after the other.

    Args:    tallies: of the engine; end_s: when the run ended; preempted: of `write_preemptions`.
    Returns: rows written.
    """
    edges = bin_edges(world, end_s)
    taken = _Taken(preempted, edges)
    with TableWriter(path, QUOTAS) as writer:
        for code, product in enumerate(names.products):
            books = Books(world, tallies, edges, code)
            for row, holder in enumerate((*names.cohorts, *names.queues)):
                below = [names.queues[at - books.first] for at in books.below(row) if at >= books.first]
                columns = {**books.columns(row), **taken.columns(below, product)}
                kept = np.flatnonzero(np.any([np.nan_to_num(each) for each in columns.values()], axis=0))
                tenant = int(world.queues.tenant[row - books.first]) if row >= books.first else -1
                writer.write({
                    "t_s": edges[:-1][kept],
                    "kind": _all(int(row < books.first), KINDS, kept.size),
                    "name": _all(0, (holder,), kept.size),
                    "tenant": _all(tenant, names.tenants, kept.size),
                    "product": _all(code, names.products, kept.size),
                    **{name: _field(each[kept]) for name, each in columns.items()},
                })  # fmt: skip
        return writer.rows


def _all(code: int, names: Sequence[str], n: int) -> pa.Array:
    return words(np.full(n, code, np.int64), names)


def _field(values: Floats | Ints) -> pa.Array:
    """Numbers; one that is not known is null."""
    import pyarrow as pa

    return pa.array(values, mask=np.isnan(values))


class Books:
    """Quota of one product over time: rows of the tree x bins, in GPU-seconds."""

    def __init__(self, world: World, tallies: Tallies, edges: Ints, product: int) -> None:
        """Args: edges: of the bins, s, shape (n_bins + 1,)."""
        assert world.shared is not None
        self.tree, self.first = world.shared.tree, len(world.shared.tree.parent) - len(world.queues.tenant)
        self.width = np.diff(edges)
        n_rows, n_bins = len(self.tree.parent), len(edges) - 1
        self._children: list[list[int]] = [[] for _ in range(n_rows)]
        for row, parent in enumerate(self.tree.parent.tolist()):
            if parent >= 0:
                self._children[parent].append(row)
        self.used = np.zeros((n_rows, n_bins), np.int64)
        self.used[self.first :] = tallies.busy[:, product, :n_bins]
        for row in reversed(range(n_rows)):  # children stand below their parents
            if self.tree.parent[row] >= 0:
                self.used[self.tree.parent[row]] += self.used[row]
        self.borrowed = tallies.borrowing[:, product, :n_bins]
        self.nominal = np.stack([_nominal(world, row, product, edges) for row in range(n_rows)])
        self._lend = self.tree.lend[:, product]
        self.lent = np.zeros((n_rows, n_bins))
        self._lend_out()
        free = (self.tree.parent[self.first :] < 0) & (world.queues.quota[:, product] < 0)
        self._unlimited = np.concatenate([np.zeros(self.first, np.bool_), free])

    def below(self, row: int) -> Iterator[int]:
        """A row and all rows below it."""
        yield row
        for child in self._children[row]:
            yield from self.below(child)

    def columns(self, row: int) -> dict[str, Floats]:
        """What a holder owned, used, borrowed and lent per bin, GPU-hours; NaN = no limit."""
        own = np.full(len(self.width), np.nan) if self._unlimited[row] else self.nominal[row] / HOUR_S
        return {
            "nominal_gpu_h": own,
            "used_gpu_h": self.used[row] / HOUR_S,
            "borrowed_gpu_h": self.borrowed[row] / HOUR_S,
            "lent_gpu_h": self.lent[row] / HOUR_S,
        }

    def _lend_out(self) -> None:
        """Divide what is lent inside each cohort among its lenders, the lowest cohorts first."""
        spare = np.zeros_like(self.lent)  # unused lendable quota that is not lent yet
        for row in reversed(range(len(self.tree.parent))):
            own = self.nominal[row].astype(np.float64)
            if row >= self.first:
                own -= self.used[row] - self.borrowed[row]
                spare[row] = np.minimum(np.maximum(own, 0), self._limit(row))
            else:
                spare[row] = own
        for row in reversed(range(self.first)):
            borrowed = sum(self.borrowed[child] for child in self._children[row])
            self._divide(row, np.asarray(borrowed - self.borrowed[row], np.float64), spare)

    def _limit(self, row: int) -> Floats:
        limit = float(self._lend[row])
        return np.full(len(self.width), MUCH) if limit == UNLIMITED else limit * self.width

    def _divide(self, row: int, lent: Floats, spare: Floats) -> None:
        """Have the members of a cohort, and what it holds itself, lend so much."""
        members = self._children[row]
        parts = {child: np.minimum(self._whole(child, spare), self._limit(child)) for child in members}
        whole = sum(parts.values()) + spare[row]
        share = np.divide(lent, whole, out=np.zeros_like(lent), where=whole > 0)
        for child, part in parts.items():
            if child >= self.first:
                self._lends(child, share * part, spare)
            else:
                self._divide(child, share * part, spare)
        self._lends(row, share * spare[row], spare)

    def _whole(self, row: int, spare: Floats) -> Floats:
        """What all below a row have to spare, within the limits on the way up to it."""
        of = (np.minimum(self._whole(child, spare), self._limit(child)) for child in self._children[row])
        whole: Floats = spare[row] + sum(of)
        return whole

    def _lends(self, row: int, lent: Floats, spare: Floats) -> None:
        self.lent[row] += lent
        spare[row] = np.maximum(spare[row] - lent, 0)


def _nominal(world: World, row: int, product: int, edges: Ints) -> Ints:
    """Own quota over the bins with its changes, GPU-seconds."""
    shared = world.shared
    assert shared is not None
    mine = (shared.change_row == row) & (shared.change_product == product)
    t_s = np.concatenate([[0], shared.change_t_s[mine]]).astype(np.int64)
    gpus = np.concatenate([shared.tree.nominal[row, [product]], shared.change_gpus[mine]]).astype(np.int64)
    return gpu_seconds(t_s, gpus, edges)


class _Taken:
    """GPUs and work that went by preemption, by queue, product and bin."""

    def __init__(self, preempted: pl.DataFrame, edges: Ints) -> None:
        taken = preempted.filter(~pl.col("rule").is_in(LOST_NODE))
        bins = np.searchsorted(edges, taken["t_s"].to_numpy(), side="right") - 1
        rows = taken.with_columns(bin=pl.Series(bins, dtype=pl.Int64).clip(0, len(edges) - 2))
        sums = pl.col("gpus").cast(pl.Int64).sum(), pl.col("lost_gpu_s").sum()
        self._sums = {
            side: rows.group_by(pl.col(column).alias("queue"), "product", "bin").agg(sums)
            for side, column in (("from", "queue"), ("by", "by_queue"))
        }
        self._n_bins = len(edges) - 1

    def columns(self, queues: Sequence[str], product: str) -> dict[str, Floats | Ints]:
        """What was taken from and by some queues per bin."""
        found: dict[str, Floats | Ints] = {}
        for side, sums in self._sums.items():
            rows = sums.filter(pl.col("queue").is_in(list(queues)), pl.col("product") == product)
            for unit, value in (("gpus", "gpus"), ("gpu_h", "lost_gpu_s")):
                total = np.zeros(self._n_bins, np.int64)
                np.add.at(total, rows["bin"].to_numpy(), rows[value].to_numpy())
                found[f"taken_{side}_{unit}"] = total if unit == "gpus" else total / HOUR_S
        return found
