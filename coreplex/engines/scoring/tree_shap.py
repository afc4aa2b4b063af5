"""TreeSHAP of single rows from tables (Lundberg et al. 2020).

What a leaf adds to each feature depends on nothing but which of its conditions a row satisfies: of a leaf with d features there
are 2^d answers, which are worked out once. A row is then compared with all branches, and one answer of each leaf is taken. Leaves
for which the tables have no room are worked out anew for each row.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.lightgbm_trees import Index, Trees, Untranslatable
from coreplex.engines.scoring.shapley import shapley
from coreplex.engines.scoring.tree_branches import Branches

MOST_NUMBERS = 4_000_000
"""In the tables of a model, of 8 bytes each."""
_TABULATED, _COMPUTED = (5, 8, 11, 14), (8, 12, 16, 24, 48, 1_000_000)
"""Leaves of up to so many features share an array."""
_BLOCK, _CELLS = 512, 8_192
"""Leaves that are worked out at a time, and features of all of them: what that needs stays in the processor's cache."""


class Room:
    """How many numbers the tables of all models of a process may hold."""

    def __init__(self, numbers: int) -> None:
        self.left = numbers
        self._lock = threading.RLock()

    def take(self, owner: Any, wanted: int) -> int:
        """How many `owner` may have; when it is gone they are free again."""
        with self._lock:
            got = min(wanted, self.left)
            self.left -= got
        weakref.finalize(owner, self._give_back, got).atexit = False
        return got

    def _give_back(self, numbers: int) -> None:
        with self._lock:
            self.left += numbers


_ROOM = Room(32_000_000)


@dataclass(frozen=True)
class _Leaves:
    """m leaves. `steps`: (most, m) the branches on the way to each, then none."""

    steps: Index
    value: Floats
    output: Index
    """(m,) the raw score to which they belong."""


class _Tabulated:
    """Leaves with their answers."""

    def __init__(self, leaves: _Leaves, covers: Floats) -> None:
        most, sizes = len(leaves.steps), (leaves.steps < len(covers) - 2).sum(axis=0)
        ends = np.cumsum(1 << sizes)
        self._steps, self._first = leaves.steps, ends - (1 << sizes)
        self._powers = (1 << np.arange(most)).astype(np.float32)
        self._answers = np.zeros((int(ends[-1]), most))
        for size in np.unique(sizes).tolist():
            own, step = np.flatnonzero(sizes == size), max(_CELLS // (size << size), 1)
            for at in range(0, len(own), step):
                self._work_out(leaves, covers, size, own[at : at + step])

    def _work_out(self, leaves: _Leaves, covers: Floats, size: int, own: Index) -> None:
        """The answers of some leaves of `size` features."""
        masks = np.arange(1 << size)
        shares = np.repeat(covers[leaves.steps[:size, own]], len(masks), axis=1)
        satisfied = np.tile((masks >> np.arange(size)[:, None]) & 1, len(own)).astype(np.float64)
        added = shapley(shares, satisfied, np.repeat(leaves.value[own], len(masks)))
        self._answers[(self._first[own, None] + masks).ravel(), :size] = added.T

    def of(self, held: NDArray[np.float32]) -> Floats:
        """(m × most,) what they add for a row that satisfies these branches."""
        chosen = (self._powers @ held.take(self._steps)).astype(np.int64)
        chosen += self._first
        return self._answers.take(chosen, axis=0).ravel()


class _Computed:
    """Leaves without answers."""

    def __init__(self, leaves: _Leaves, covers: Floats) -> None:
        self._steps, self._value, self._shares = leaves.steps, leaves.value, covers[leaves.steps]

    def of(self, held: NDArray[np.float32]) -> Floats:
        """(m × most,) what they add for a row that satisfies these branches."""
        return shapley(self._shares, held.take(self._steps).astype(np.float64), self._value).T.ravel()


_Kind = type[_Tabulated] | type[_Computed]


class TreeShap:
    """Contributions of rows, for any number of threads. Raises Untranslatable for trees that are not written as expected."""

    def __init__(self, trees: Trees, outputs: Index, base: Floats, width: int, room: Room = _ROOM) -> None:
        """`outputs`: (t,) the raw score to which each tree belongs; `base`: (r,) their base values."""
        self._branches = Branches(trees, width)
        self._base, self._shape = base, (len(base), width + 1)
        output = np.repeat(outputs, np.diff(trees.leaf))
        groups = list(_groups(self._branches, trees.value, output, self._room(room)))
        self._kinds = [kind(leaves, self._branches.covers) for kind, leaves in groups]
        # What a group has no feature for adds nothing, to the place of the base value.
        feature = np.append(self._branches.feature, [width, width])
        self._places = np.concatenate(
            [np.zeros(0, dtype=np.int64), *((feature[one.steps] + one.output * (width + 1)).T.ravel() for _, one in groups)]
        )

    def _room(self, room: Room) -> int:
        sizes = self._branches.sizes
        return room.take(self, min(int(_numbers(sizes[sizes <= _TABULATED[-1]]).sum()), MOST_NUMBERS))

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        found = np.empty((len(matrix), *self._shape))
        for number, row in enumerate(matrix):
            held = self._branches.satisfied(row)
            added = np.concatenate([np.zeros(0), *(kind.of(held) for kind in self._kinds)])
            found[number] = np.bincount(self._places, added, found[number].size).reshape(self._shape)
        found[:, :, -1] = self._base
        return found


class LazyTreeShap:
    """One of a predictor, made when rows are first explained, by one thread while the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._made: TreeShap | None = None

    def get(self, make: Callable[[], TreeShap]) -> TreeShap | None:
        """None for a model that has no such form."""
        if not self._asked:
            with self._lock:
                if not self._asked:
                    self._made = self._tried(make)
                    self._asked = True
        return self._made

    def _tried(self, make: Callable[[], TreeShap]) -> TreeShap | None:
        try:
            return make()
        except Untranslatable:
            return None


def _numbers(sizes: Index) -> Index:
    """In the answers of leaves of so many features."""
    widths = np.array(_TABULATED)
    return widths[np.searchsorted(widths, sizes)] << sizes


def _groups(branches: Branches, value: Floats, output: Index, room: int) -> Iterator[tuple[_Kind, _Leaves]]:
    """All leaves that have a feature, in groups; those of the fewest tabulated, as far as there is room."""
    order = np.argsort(branches.sizes, kind="stable")
    order = order[branches.sizes[order] > 0]
    sizes = branches.sizes[order]
    tabulated = int(np.searchsorted(np.cumsum(_numbers(sizes[sizes <= _TABULATED[-1]])), room, side="right"))
    kinds: list[tuple[_Kind, Index, tuple[int, ...], int]] = [
        (_Tabulated, order[:tabulated], _TABULATED, max(len(order), 1)),
        (_Computed, order[tabulated:], _COMPUTED, _BLOCK),
    ]
    for kind, chosen, widths, block in kinds:
        ends = np.searchsorted(branches.sizes[chosen], widths, side="right")
        parts = [part[at : at + block] for part in np.split(chosen, ends[:-1]) for at in range(0, len(part), block)]
        for part in parts:
            steps = np.ascontiguousarray(branches.steps[part, : branches.sizes[part].max()].T)
            if kind is _Computed:
                steps[steps == branches.none] = branches.all
            yield kind, _Leaves(steps, value[part], output[part])
