"""Rounds shares to percent in the one way that every report of a table writes them."""


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent, four decimals; 0 of nothing."""
    return round(100.0 * part / whole, 4) if whole else 0.0
