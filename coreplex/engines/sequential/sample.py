"""What is known of the values of one side of a comparison: how many, their sum and the sum of their squares.

Where units (customers) have several values each, these are alike, and it is the units that are independent. `of_units` makes of
their sums a sample of as many values as there are units, with the mean of all values and the variance that this mean has by the
delta method (Deng, Knoblich & Lu 2018, "Applying the delta method in metric analytics").
"""

from typing import NamedTuple

LEAST_NUMBERS = 500
"""Gains of numbers before anything is said: among fewer the rare large errors that decide are often not seen yet."""


class Sample(NamedTuple):
    """The values of one side, which grow by one and are corrected without being kept."""

    size: int
    total: float
    squares: float
    evenness: float = 1.0
    """Of units the share that would say as much if each had as many values as the others (Kish 1965): n² / (units Σ n²)."""

    @property
    def effective_size(self) -> float:
        """How many units there are when a few of them have nearly all values."""
        return self.size * self.evenness

    @property
    def mean(self) -> float | None:
        return self.total / self.size if self.size else None

    @property
    def variance(self) -> float:
        """Of the values, n - 1 in the denominator; 0 of fewer than two.

        Of a rate at least that of one value among all that is unlike the others: none was seen yet, which does not mean never.
        """
        if self.size < 2:
            return 0.0
        found = max(0.0, self.squares - self.total * self.total / self.size) / (self.size - 1)
        return max(found, (1 - 1 / self.size) / self.size) if self.is_rate else found

    @property
    def is_rate(self) -> bool:
        """Whether each value is 0 or 1."""
        return self.total == self.squares and 0 <= self.total <= self.size


class UnitSums(NamedTuple):
    """Sums over units, each with a number n of values and their total s."""

    units: int
    values: int
    """n"""
    total: float
    """s"""
    squared_values: float
    """n²"""
    products: float
    """n s"""
    squared_totals: float
    """s²"""

    def complement(self) -> "UnitSums":
        """The same of 1 minus each value."""
        products = self.squared_values - self.products
        squares = self.squared_values - 2 * self.products + self.squared_totals
        return self._replace(total=self.values - self.total, products=products, squared_totals=squares)


def of_units(sums: UnitSums) -> Sample:
    """The sample that says as much of the mean of all values as the units do."""
    if sums.units in {0, sums.values}:
        return Sample(sums.units, sums.total, sums.squared_totals)
    mean, size = sums.total / sums.values, sums.values / sums.units
    spread = sums.squared_totals - 2 * mean * sums.products + mean * mean * sums.squared_values
    evenness = sums.values * sums.values / (sums.units * sums.squared_values) if sums.squared_values > 0 else 1.0
    return Sample(sums.units, mean * sums.units, max(0.0, spread) / (size * size) + mean * mean * sums.units, evenness)
