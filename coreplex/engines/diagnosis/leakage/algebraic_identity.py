"""Finds sums and products of columns that equal the target: orthogonal matching pursuit over them, and over their logarithms.

Pati, Rezaiifar and Krishnaprasad, "Orthogonal matching pursuit", Asilomar Conference on Signals, Systems and Computers 27 (1993).

Each step takes the column that explains most of what is left and fits all taken ones anew; columns that turn out to carry nothing
are given back. A sum is a leak where what is left is rounding and every term counts alike (a total and its parts). Weights of
any size that fit exactly are a formula, which is worth a word.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector import VERIFY_TIMING, DetectorInput, Leak
from coreplex.engines.diagnosis.leakage.univariate import Floats
from coreplex.errors.tree import Message

MOST_TERMS = 10
MOST_FACTORS = 4
LEAST_ROWS = 50
WEIGHTS_TOLERANCE = 0.03
"""Weights that differ less than this, relatively, are the same."""
UNEXPLAINED_OF_SUM, UNEXPLAINED_OF_FORMULA = 2e-3, 1e-9
"""Fraction of the target's variance that may stay unexplained: rounding and forgotten cents; the last digits of floats."""


@dataclass(frozen=True)
class AlgebraicIdentity:
    """target = constant + Σ weight × column or, as a `product`, constant × Π column ^ weight.

    `weights`: by column name, two or more. `equal_weights`: all of one size, within 3 % (True of a product, whose
    exponents are multiples of ½). `unexplained`: fraction (0..1) of the target's variance that is left, of its logarithm's for a
    product.
    """

    weights: Mapping[str, float]
    product: bool
    equal_weights: bool
    unexplained: float


def sums_and_products(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Numbers that add up or multiply to the target."""
    if data.classification or data.deadline.over:
        return
    numbers = {name: values for name, values in data.numbers.items() if name not in flagged}
    found = find_identity(numbers, data.frame.get_column(data.name).cast(pl.Float64).to_numpy())
    if found is None:
        return
    parts = tuple(found.weights)
    later = tuple(name for name in parts if found.weights[name] > 0)
    made = " × " if found.product else " + "
    formula = made.join(repr(name) for name in later) + "".join(
        f" {'÷' if found.product else '−'} {name!r}" for name in parts if name not in later
    )
    if found.equal_weights:
        left = "exactly" if found.unexplained < 1e-6 else f"up to {100 * found.unexplained:.2g} % of its variance"
        said = Message(
            "leak_of_parts",
            "{target!r} is {formula}, {precision}: known amounts give it away.",
            target=data.name,
            formula=formula,
            precision=left,
        ).then(VERIFY_TIMING)
        yield Leak(
            "sum" if not found.product else "product",
            parts,
            "high",
            said,
            1 - found.unexplained,
            0.0,
            later or parts,
            {"weights": dict(found.weights)},
        )
    else:
        said = Message(
            "leak_of_weighted_sum",
            "{target!r} is a weighted sum of {columns!r}, exactly: a formula, which needs no model.",
            target=data.name,
            columns=parts,
        ).then(VERIFY_TIMING)
        yield Leak("formula", parts, "medium", said, 1 - found.unexplained, 0.0, (), {"weights": dict(found.weights)})


def find_identity(numbers: Mapping[str, Floats], target: Floats) -> AlgebraicIdentity | None:
    """The sum or product of two columns or more that equals the target; None where there is none, or fewer than 50 rows.

    `numbers`: (n,) by column name, NaN where missing (0 in a sum); `target`: (n,), all finite.
    """
    if len(target) < LEAST_ROWS or len(numbers) < 2:
        return None
    filled = {name: np.nan_to_num(values) for name, values in numbers.items()}
    return _sum(filled, target) or _product(numbers, target)


def _sum(columns: Mapping[str, Floats], target: Floats) -> AlgebraicIdentity | None:
    weights, unexplained = matching_pursuit(columns, target, MOST_TERMS)
    sizes = np.abs(list(weights.values()))
    equal_weights = len(sizes) > 1 and float(np.ptp(sizes)) <= WEIGHTS_TOLERANCE * float(sizes.max())
    if len(weights) < 2 or unexplained > (UNEXPLAINED_OF_SUM if equal_weights else UNEXPLAINED_OF_FORMULA):
        return None
    return AlgebraicIdentity(weights, False, equal_weights, unexplained)


def _product(numbers: Mapping[str, Floats], target: Floats) -> AlgebraicIdentity | None:
    positive = {name: values for name, values in numbers.items() if np.nanmin(values) >= 0 and (values > 0).mean() > 0.9}
    if len(positive) < 2 or not (target > 0).mean() > 0.9:
        return None
    rows = (target > 0) & np.all([values > 0 for values in positive.values()], axis=0)
    if rows.sum() < LEAST_ROWS:
        return None
    logarithms = {name: np.log(values[rows]) for name, values in positive.items()}
    weights, unexplained = matching_pursuit(logarithms, np.log(target[rows]), MOST_FACTORS)
    simple = all(abs(abs(2 * weight) - round(abs(2 * weight))) <= 2 * WEIGHTS_TOLERANCE for weight in weights.values())
    if len(weights) < 2 or unexplained > UNEXPLAINED_OF_SUM or not simple:
        return None
    return AlgebraicIdentity(weights, True, True, unexplained)


def matching_pursuit(columns: Mapping[str, Floats], target: Floats, most: int) -> tuple[dict[str, float], float]:
    """Orthogonal matching pursuit: (weight by column, fraction 0..1 of the target's variance left), with backward elimination.

    `columns`: (n,) by name, finite; `target`: (n,); `most`: columns taken at most. Without spread, ({}, 1.0).
    """
    names = [name for name, values in columns.items() if values.std() > 0]
    spread = float(target.var())
    if not names or spread == 0:
        return {}, 1.0
    matrix = np.column_stack([(columns[name] - columns[name].mean()) / columns[name].std() for name in names])
    wanted = target - target.mean()
    taken: list[int] = []
    unexplained, weights = 1.0, np.empty(0)
    rest = wanted
    while len(taken) < min(most, len(names)) and unexplained > UNEXPLAINED_OF_FORMULA:
        gain = np.abs(matrix.T @ rest)
        gain[taken] = -1.0
        taken.append(int(gain.argmax()))
        weights, rest, unexplained = _fit(matrix[:, taken], wanted, spread)
    taken, weights, unexplained = _pruned(matrix, wanted, spread, taken, weights, unexplained)
    return {names[i]: float(w / columns[names[i]].std()) for i, w in zip(taken, weights, strict=True)}, unexplained


def _fit(matrix: Floats, wanted: Floats, spread: float) -> tuple[Floats, Floats, float]:
    weights = np.asarray(np.linalg.lstsq(matrix, wanted, rcond=None)[0], dtype=np.float64)
    rest = wanted - matrix @ weights
    return weights, rest, float(rest.var()) / spread


def _pruned(
    matrix: Floats, wanted: Floats, spread: float, taken: list[int], weights: Floats, unexplained: float
) -> tuple[list[int], Floats, float]:
    """Backward elimination: without the columns that hardly change what is unexplained, the smallest weight first."""
    most = max(2 * unexplained, 1e-12)
    while len(taken) > 1:
        least = int(np.abs(weights).argmin())
        fewer = taken[:least] + taken[least + 1 :]
        lighter, _, more = _fit(matrix[:, fewer], wanted, spread)
        if more > most:
            break
        taken, weights, unexplained = fewer, lighter, more
    return taken, weights, unexplained
