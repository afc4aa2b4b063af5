"""Amounts that add up, or multiply, to the target: orthogonal matching pursuit over the columns, and over their logarithms.

Each step takes the column that explains most of what is left and fits all taken ones anew; columns that turn out to carry nothing
are given back. A sum is a leak where what is left is rounding and every term counts alike (a total and its parts). Weights of
any size that fit exactly are a formula, which is worth a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coreplex.engines.diagnosis.leakage.univariate import Floats

MOST_TERMS = 10
MOST_FACTORS = 4
LEAST_ROWS = 50
ALIKE = 0.03
"""Weights that differ less than this, relatively, are the same."""
LEFT_OF_SUM, LEFT_OF_FORMULA = 2e-3, 1e-9
"""Share of the target's variance that may be left: rounding and forgotten cents; the last digits of floats."""


@dataclass(frozen=True)
class Identity:
    """target = Σ weight × column, or Π column ^ weight. `plain`: all weights are of one size. `left`: share not explained."""

    weights: Mapping[str, float]
    product: bool
    plain: bool
    left: float


def identity(numbers: Mapping[str, Floats], target: Floats) -> Identity | None:
    """The sum or product that gives the target, from two columns or more."""
    if len(target) < LEAST_ROWS or len(numbers) < 2:
        return None
    filled = {name: np.nan_to_num(values) for name, values in numbers.items()}
    return _sum(filled, target) or _product(numbers, target)


def _sum(columns: Mapping[str, Floats], target: Floats) -> Identity | None:
    weights, left = pursuit(columns, target, MOST_TERMS)
    sizes = np.abs(list(weights.values()))
    plain = len(sizes) > 1 and float(np.ptp(sizes)) <= ALIKE * float(sizes.max())
    if len(weights) < 2 or left > (LEFT_OF_SUM if plain else LEFT_OF_FORMULA):
        return None
    return Identity(weights, False, plain, left)


def _product(numbers: Mapping[str, Floats], target: Floats) -> Identity | None:
    positive = {name: values for name, values in numbers.items() if np.nanmin(values) >= 0 and (values > 0).mean() > 0.9}
    if len(positive) < 2 or not (target > 0).mean() > 0.9:
        return None
    rows = (target > 0) & np.all([values > 0 for values in positive.values()], axis=0)
    if rows.sum() < LEAST_ROWS:
        return None
    logarithms = {name: np.log(values[rows]) for name, values in positive.items()}
    weights, left = pursuit(logarithms, np.log(target[rows]), MOST_FACTORS)
    simple = all(abs(abs(2 * weight) - round(abs(2 * weight))) <= 2 * ALIKE for weight in weights.values())
    if len(weights) < 2 or left > LEFT_OF_SUM or not simple:
        return None
    return Identity(weights, True, True, left)


def pursuit(columns: Mapping[str, Floats], target: Floats, most: int) -> tuple[dict[str, float], float]:
    """(weight by column, share of the variance left): at most `most` columns, none that could be given back."""
    names = [name for name, values in columns.items() if values.std() > 0]
    spread = float(target.var())
    if not names or spread == 0:
        return {}, 1.0
    matrix = np.column_stack([(columns[name] - columns[name].mean()) / columns[name].std() for name in names])
    wanted = target - target.mean()
    taken: list[int] = []
    left, weights = 1.0, np.empty(0)
    rest = wanted
    while len(taken) < min(most, len(names)) and left > LEFT_OF_FORMULA:
        gain = np.abs(matrix.T @ rest)
        gain[taken] = -1.0
        taken.append(int(gain.argmax()))
        weights, rest, left = _fit(matrix[:, taken], wanted, spread)
    taken, weights, left = _given_back(matrix, wanted, spread, taken, weights, left)
    return {names[i]: float(w / columns[names[i]].std()) for i, w in zip(taken, weights, strict=True)}, left


def _fit(matrix: Floats, wanted: Floats, spread: float) -> tuple[Floats, Floats, float]:
    weights = np.asarray(np.linalg.lstsq(matrix, wanted, rcond=None)[0], dtype=np.float64)
    rest = wanted - matrix @ weights
    return weights, rest, float(rest.var()) / spread


def _given_back(
    matrix: Floats, wanted: Floats, spread: float, taken: list[int], weights: Floats, left: float
) -> tuple[list[int], Floats, float]:
    """Without the columns that hardly change what is left, the least important first."""
    most = max(2 * left, 1e-12)
    while len(taken) > 1:
        least = int(np.abs(weights).argmin())
        fewer = taken[:least] + taken[least + 1 :]
        lighter, _, more = _fit(matrix[:, fewer], wanted, spread)
        if more > most:
            break
        taken, weights, left = fewer, lighter, more
    return taken, weights, left
