"""Latencies in logarithmic bins that are the same for every deployment and for ever, so that percentiles add up.

A bin is 2 % wide, and answers with its middle: no percentile is off by more than 1 % (the idea of DDSketch: Masson, Rim & Lee
2019, with bins that never collapse).
"""

from math import ceil, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # bins are known to a worker that has loaded no arrays yet
    import numpy as np
    from numpy.typing import NDArray

GAMMA = 1.02
LEAST_MS = 1e-3
BINS = 1_400
"""Up to some twelve days; a call that took longer counts as that."""


def place(milliseconds: float) -> int:
    """The bin of a latency, 0 to `BINS` - 1."""
    if not milliseconds > LEAST_MS:
        return 0
    return min(ceil(log(milliseconds / LEAST_MS) / log(GAMMA)), BINS - 1)


def percentile(counts: "NDArray[np.int64]", share: float) -> float | None:
    """Milliseconds below which a `share` (0 to 1) of the counted calls took, within 1 %; None of none."""
    total = int(counts.sum())
    if not total:
        return None
    bin_ = int(counts.cumsum().searchsorted(max(ceil(share * total), 1)))
    return float(LEAST_MS * 2 * GAMMA**bin_ / (GAMMA + 1))
