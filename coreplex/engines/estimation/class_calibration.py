"""Probabilities that mean what they say, from out-of-fold ones: what estimates without outcomes stand on.

As CBPE does (confidence-based performance estimation, NannyML 0.13.1): each class against all others by isotonic regression
(Zadrozny & Elkan 2002), the probabilities of a row divided by their sum; and only where that makes the expected calibration error
of rows that were held back smaller, the same rows as there. An answer itself is not changed by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.estimation.stratified_split import stratified_splits
from coreplex.engines.scoring.calibration import Calibration

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

LEAST_SAMPLE, MOST_ROWS = 20_000, 100_000
LEAST_OF_CLASS = 20
"""Rows of a class, and rows that are not of it: of fewer its calibration cannot be learned."""
_CELLS = 4_000_000
"""Probabilities that all fits of a model may look at."""
_PARTS = 10
_KNOTS = 400
_BINS = 10
_SEPARATED = 0.999
"""ROC AUC above which probabilities are left alone: between two sides that hardly overlap no step is learned."""


class ScarceClass(NamedTuple):
    """A class by its code, of which too few `rows` were there."""

    code: int
    rows: int


def sample(rows: int, classes: int, seed: int = 0) -> NDArray[np.int64]:
    """The places of the rows that are learned from: all, in their order, or so many that it takes no longer than a second."""
    most = int(np.clip(_CELLS // (_PARTS * classes), LEAST_SAMPLE, MOST_ROWS))
    return np.arange(rows) if rows <= most else np.random.default_rng(seed).permutation(rows)[:most]


def scarcest(y: Labels, classes: int) -> ScarceClass | None:
    """The class with the fewest of (n,) class codes, where these are too few for its calibration."""
    counts = np.bincount(y, minlength=classes)
    code = int(counts.argmin())
    return ScarceClass(code, int(counts[code])) if counts[code] < LEAST_OF_CLASS else None


@dataclass(frozen=True)
class ClassCalibration:
    """`maps`: of each class, of two the second alone; None where its probabilities are right as they are."""

    maps: tuple[Calibration | None, ...]

    @classmethod
    def fit(cls, y: Labels, p: Array) -> "ClassCalibration":
        """From (n,) class codes and their (n, k) out-of-fold probabilities. Raises ValueError where a class is scarce."""
        if (scarce := scarcest(y, p.shape[1])) is not None:
            raise ValueError(f"{scarce.rows} rows of a class say nothing of its probabilities")
        parts = int(np.clip(_CELLS // max(p.size, 1), 2, _PARTS))
        return cls(tuple(_map(y == code, p[:, code], parts) for code in ([1] if p.shape[1] == 2 else range(p.shape[1]))))

    def apply(self, p: Array) -> Array:
        """(n, k) probabilities as they should have been, of (n, k) as they were answered."""
        if not any(self.maps):
            return p
        if len(self.maps) == 1:
            one = _mapped(self.maps[0], p[:, 1])
            return np.column_stack([1.0 - one, one])
        found = np.column_stack([_mapped(one, p[:, code]) for code, one in enumerate(self.maps)])
        total = found.sum(axis=1, keepdims=True)
        return np.divide(found, total, out=np.full_like(found, 1.0 / p.shape[1]), where=total > 0)

    def to_json(self) -> list[dict[str, Any] | None]:
        """JSON-ready."""
        return [None if one is None else one.to_json() for one in self.maps]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any] | None]) -> "ClassCalibration":
        """What `to_json` wrote; ValueError or KeyError for what it did not."""
        return cls(tuple(None if one is None else Calibration.from_json(dict(one)) for one in data))


def _mapped(calibration: Calibration | None, p: Array) -> Array:
    return p if calibration is None else np.interp(p, calibration.x, calibration.y)


def _map(hit: NDArray[np.bool_], p: Array, parts: int) -> Calibration | None:
    """The step function of one class; None where it does not help rows that were held back."""
    if _ranking(hit, p) > _SEPARATED:
        return None
    truth, said, found = [], [], []
    for learned, held_back in stratified_splits(hit, parts):
        truth.append(hit[held_back])
        said.append(p[held_back])
        found.append(_mapped(Calibration.isotonic(p[learned], hit[learned]), p[held_back]))
    outcomes = np.concatenate(truth)
    if calibration_error(outcomes, np.concatenate(said)) <= calibration_error(outcomes, np.concatenate(found)):
        return None
    return _thinned(Calibration.isotonic(p, hit))


def _ranking(hit: NDArray[np.bool_], p: Array) -> float:
    """ROC AUC: how often a row of the class has the higher probability of two, ties half."""
    _, place = np.unique(p, return_inverse=True)
    ours, others = np.bincount(place, hit), np.bincount(place, ~hit)
    return float((ours * (others.cumsum() - others / 2)).sum() / (ours.sum() * others.sum()))


def calibration_error(hit: NDArray[np.bool_], p: Array) -> float:
    """The expected calibration error, 0 to 1: over ten bins of as many rows each, how far mean probability and share differ."""
    order = np.argsort(p)  # equal ones as NumPy's own order has them: another one decides otherwise than NannyML on few rows
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    return float(sum(len(part) * abs(p[part].mean() - hit[part].mean()) for part in bins) / max(len(p), 1))


def _thinned(full: Calibration) -> Calibration:
    """With so few knots that they can be kept."""
    if len(full.x) <= _KNOTS:
        return full
    kept = np.unique(np.linspace(0, len(full.x) - 1, _KNOTS).round().astype(np.int64))
    return Calibration("isotonic", x=tuple(full.x[one] for one in kept), y=tuple(full.y[one] for one in kept))
