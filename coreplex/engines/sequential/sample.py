"""What is known of the values of one side of a comparison: how many, their sum and the sum of their squares."""

from typing import NamedTuple


class Sample(NamedTuple):
    """The values of one side, which grow by one and are corrected without being kept."""

    size: int
    total: float
    squares: float

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
