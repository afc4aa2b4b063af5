"""LightGBM forests as plain sums of trees, and with scores that mean probabilities.

LightGBM averages the trees of a forest only in its response, not in the raw scores or contributions we serve; and a
forest's averaged Newton steps are no log-odds. Both are cured by one affine change of every leaf, which keeps
TreeSHAP exact.
"""

import re

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.families.base import Problem, Sample
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.lightgbm_text import rescaled

_ENOUGH = 200
"""Validation rows from which on a second number, the offset, is fitted as well."""


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
