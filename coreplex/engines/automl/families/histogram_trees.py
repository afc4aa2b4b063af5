"""The cost of boosters and forests of histogram trees, as families declare it."""

from collections.abc import Callable

import numpy as np

from coreplex.engines.automl.families.base import Params
from coreplex.engines.automl.families.family import Load

SECONDS_PER_CELL = 1.5e-9
"""Seconds per cell that is added to a histogram."""
_BINS, _BINNING = 1_200, 130
"""Cells that one leaf costs per column, whatever its rows (histograms, the best split), and one cell before the first round."""
_LEAST_LEAF = 8
"""Rows of a leaf where the parameters do not say it: XGBoost counts hessians instead."""


def cells(params: Params, load: Load) -> float:
    """Cells that are added to histograms; what leaves and binning cost beside it was measured on 300 to 400,000 rows of 20 to
    2,000 columns, where it is right within a factor of two."""
    leaves = int(params.get("num_leaves") or params.get("max_leaves") or 2 ** min(int(params.get("max_depth", 5)), 9))
    filled = min(leaves, load.rows / (1.5 * params.get("min_data_in_leaf", _LEAST_LEAF)))
    visited = load.rows * np.log2(max(leaves, 2)) / 2 + filled * _BINS
    return float(load.width * (load.rounds * load.outputs * visited + (load.rows + load.validated) * _BINNING))


def boosting_rounds(rate: str) -> Callable[[Params], int]:
    """The fair number of rounds by the learning rate, which is the parameter `rate`: enough small steps."""
    return lambda params: int(min(6.0 / max(float(params.get(rate) or 0.1), 1e-3), 300, int(params.get("rounds", 300))))
