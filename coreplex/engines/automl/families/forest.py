"""Forests: LightGBM's forest mode as random forests (DRF) and extremely randomised trees (XRT).

LightGBM averages the trees of a forest only in its response, not in the raw scores or contributions we serve; and a
forest's averaged Newton steps are no log-odds. Both are cured by one affine change of every leaf, which keeps
TreeSHAP exact.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families import lightgbm
from coreplex.engines.automl.families.base import Params, Problem, Sample, Trained
from coreplex.engines.automl.families.family import (
    SECONDS_PER_CELL,
    Algorithm,
    Candidate,
    Family,
    Placed,
    Traits,
    histogram_cells,
)
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.lightgbm import LightGbm, rescaled

_ENOUGH = 200
"""Validation rows from which on a second number, the offset, is fitted as well."""


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One forest. `params` are LightGBM's names, and `rounds` for the number of trees."""
    # A forest only gets better with trees: it needs no early stopping, only the clock.
    text, best, cut = lightgbm.boosted(train, None, problem, params, deadline, rounds)
    return Trained(predictor(text, valid, problem), best, cut)


def predictor(text: str, valid: Sample | None, problem: Problem) -> LightGbm:
    """The forest in `text` as a sum, its scores stretched to fit the validation part where there is one."""
    trees = len(re.findall(r"^Tree=\d+", text, re.MULTILINE)) // _per_round(problem)
    plain = LightGbm(rescaled(text, 1.0 / trees, 0.0))
    if valid is None or problem.kind == "regression":
        return plain
    found = _calibration(plain, valid, problem)
    return LightGbm(rescaled(text, found.slope / trees, found.offset / trees))


def _per_round(problem: Problem) -> int:
    return problem.outputs if problem.kind == "multiclass" else 1


def _calibration(plain: LightGbm, valid: Sample, problem: Problem) -> Calibration:
    y: NDArray[np.int64] = valid.y.astype(np.int64)
    raw = plain.raw(valid.x)
    if problem.kind == "binary" and len(y) >= _ENOUGH and 0 < y.sum() < len(y):
        return Calibration.platt(raw, y)
    return Calibration.temperature(plain.link, raw, y)


def portfolio(table: Traits) -> Iterator[Placed]:
    """No boosting, so other mistakes."""
    yield Placed(XRT, 5 if table.small else 8)
    yield Placed(DRF, 9 if table.small else 11)


FAMILY = Family(
    key="forest",
    algorithms=(
        Algorithm("DRF", ("rf", "random_forest"), place=1),
        Algorithm("XRT", ("extra_tree", "extra_trees"), place=2),
    ),
    fit=fit,
    portfolio=portfolio,
    encoding="tree",
    modules=lightgbm.FAMILY.modules,
    work=histogram_cells,
    seconds_per_unit=SECONDS_PER_CELL,
    measured_as=lightgbm.FAMILY.key,
    clocked=True,
    fair_rounds=lambda params: min(40, int(params.get("rounds", 40))),
)


def _forest(algo: str, **params: Any) -> Candidate:
    base = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.632, "num_leaves": 512, "rounds": 120}
    return Candidate(algo, FAMILY, {**base, "patience": 0, **params})


XRT = _forest("XRT", extra_trees=True, feature_fraction_bynode=0.7, min_data_in_leaf=2, bagging_fraction=0.8)
DRF = _forest("DRF", feature_fraction_bynode=0.5, min_data_in_leaf=3)
