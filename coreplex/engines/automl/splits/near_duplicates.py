"""Rows that are copies of each other, exact ones and near ones: which rows one fold must hold together.

Exact copies are told from coincidence. Where rows take few forms (a handful of categories), new rows will repeat old ones just as
these do, and keeping equal rows together would judge a model on combinations it could never have seen. There the forms fill the
space: a form has others beside it that differ in one column only.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Index = NDArray[np.int64]
_COLUMNS, _ROWS = 100, 20_000
"""What is looked at to tell copies from coincidence."""
FAR_APART = 1e6
"""Between rows that differ in a word, in units of the numbers' spreads."""


@dataclass(frozen=True)
class NearDuplicates:
    """Rows within `radius` of each other (greatest difference of a number, in its `spreads`) whose `words` are the same."""

    numbers: tuple[str, ...]
    spreads: tuple[float, ...]
    words: tuple[str, ...]
    radius: float

    def to_json(self) -> dict[str, Any]:
        """Its fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "NearDuplicates":
        """From what `to_json` returned."""
        return cls(tuple(data["numbers"]), tuple(data["spreads"]), tuple(data["words"]), float(data["radius"]))

    def points(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """(n, numbers + 1): where rows lie, such that the greatest difference of two rows says how near they are."""
        words = codes(frame.select(self.words)) if self.words else np.zeros(frame.height)
        numbers = [
            frame[name].to_physical().cast(pl.Float64).fill_nan(None).fill_null(FAR_APART * spread).to_numpy() / spread
            for name, spread in zip(self.numbers, self.spreads, strict=True)
        ]
        return np.nan_to_num(np.column_stack([*numbers, words * FAR_APART]), posinf=FAR_APART, neginf=-FAR_APART)

    def units(self, frame: pl.DataFrame) -> Index:
        """(n,) one number for all rows that a chain of near copies joins."""
        pairs = cKDTree(self.points(frame)).query_pairs(self.radius, p=np.inf, output_type="ndarray")
        graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(frame.height, frame.height))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def codes(frame: pl.DataFrame) -> Index:
    """(n,) a number per distinct row, from 0."""
    return np.unique(frame.hash_rows(seed=0).to_numpy(), return_inverse=True)[1].astype(np.int64)


def units(frame: pl.DataFrame, near: NearDuplicates | None = None) -> tuple[Index | None, str]:
    """(n,) one number for all rows of features and target that belong together, None where none do; and what to say of it."""
    found = codes(frame) if near is None else near.units(frame)
    repeated = frame.height - (int(found.max()) + 1 if len(found) else 0)
    if not repeated:
        return None, ""
    if near is None and repeated > frame.height / 2 and by_chance(frame):
        return None, (
            f"{repeated} of {frame.height} rows repeat another row, as rows of few different values do and new ones will: "
            "they are not kept together."
        )
    what = "Repeated rows" if near is None else "Rows that are nearly copies of another"
    return found, f"{what} ({repeated}) are kept on one side of every fold."


def by_chance(frame: pl.DataFrame) -> bool:
    """Whether equal rows are coincidence: no column tells most forms apart, and each form has a neighbour in one column."""
    forms = frame.unique().sample(fraction=1.0, shuffle=True, seed=0).head(_ROWS)
    if any(forms[name].n_unique() > forms.height / 2 for name in forms.columns):
        return False
    hashes = [forms[name].hash(seed=number).to_numpy() for number, name in enumerate(forms.columns[:_COLUMNS])]
    total: NDArray[np.uint64] = np.sum(hashes, axis=0, dtype=np.uint64)
    return 2 * sum(_pairs(np.subtract(total, one)) for one in hashes) >= forms.height


def _pairs(keys: NDArray[np.uint64]) -> int:
    counts = np.unique(keys, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())
