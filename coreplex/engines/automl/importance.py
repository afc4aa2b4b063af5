"""Permutation importance of a model on a sample (Breiman 2001): how much the predictions move when one column is shuffled."""

import time
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.scoring.scorer import Scorer


def explain(scorer: Scorer, sample: pl.DataFrame, target: NDArray[np.generic], seed: int, budget_secs: float) -> dict[str, Any]:
    """Mean absolute change of the response per feature; features not reached in time are left out."""
    end = time.monotonic() + budget_secs
    base = scorer.ensemble.predict(sample)
    draw = np.random.default_rng(seed)
    moved: dict[str, float] = {}
    for name in scorer.features:
        shuffled = sample.with_columns(sample[name].gather(draw.permutation(sample.height)))
        moved[name] = float(np.abs(scorer.ensemble.predict(shuffled) - base).mean())
        if time.monotonic() > end:
            break
    total = sum(moved.values()) or 1.0
    most = max(moved.values(), default=0.0) or 1.0
    return {
        "method": "permutation",
        "feature_importance": [
            {"feature": f, "importance": v, "relative_importance": v / most, "percentage": 100 * v / total}
            for f, v in sorted(moved.items(), key=lambda item: -item[1])
        ],
    }
