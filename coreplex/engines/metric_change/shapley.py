"""Shapley values of a game whose every coalition is known (Shapley 1953)."""

from math import comb

import numpy as np
from numpy.typing import NDArray


def shapley(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(c,) of c players, from the (2^c,) worth of each coalition: player i is in coalition s where bit i of s is set.

    Each is the mean of what a player adds over all orders in which they may come; together they are the worth of all less that
    of none.
    """
    players = (len(values) - 1).bit_length()
    coalitions = np.arange(len(values))
    sizes = np.array([int(one).bit_count() for one in coalitions])
    found = np.zeros(players)
    for player in range(players):
        without = coalitions[coalitions & (1 << player) == 0]
        share = np.array([1.0 / (players * comb(players - 1, size)) for size in sizes[without]])
        found[player] = float(share @ (values[without | (1 << player)] - values[without]))
    return found
