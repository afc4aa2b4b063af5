"""Asks of two counts, at any moment, whether they are a split of the wanted share, or whether units got lost on one side.

The e-value is the Bayes factor of a Dirichlet mixture, here a Beta one, against the wanted share (Lindon & Malek 2022,
"Anytime-valid inference for multinomial count data"): of tests whose split is right at most a share `alpha` ever
comes below a p-value of it.
"""

from math import exp, log

from scipy.special import betaln

CONCENTRATION = 1000.0
"""How near to the wanted share the mixture looks, as if so many units were known: about 1.6 points around a half."""


def sample_ratio_p_value(first: int, second: int, share: float) -> float:
    """The always valid p-value of `share`, above 0 and below 1, being that of the second count."""
    seconds, firsts = CONCENTRATION * share, CONCENTRATION * (1 - share)
    mixture = float(betaln(seconds + second, firsts + first) - betaln(seconds, firsts))
    return exp(min(0.0, first * log(1 - share) + second * log(share) - mixture))
