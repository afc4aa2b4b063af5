"""Leak detectors over several columns: pairs that determine the target, sums and products that equal it."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage import algebraic_identity, column_pairs, ranks
from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.diagnosis.leakage.leak import VERIFY_TIMING, Leak


def _determining_pairs(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    seen: set[str] = set(flagged)
    for pair in column_pairs.deciding_pairs(data, flagged):
        if {pair.first, pair.second} & seen:
            continue
        seen |= {pair.first, pair.second}
        names = (pair.first, pair.second)
        said = (
            f"Columns {pair.first!r} and {pair.second!r} settle {data.name!r} together ({_JOINED[pair.how]}; "
            f"{100 * pair.skill:.1f} % explained), and neither does alone. {VERIFY_TIMING}"
        )
        yield Leak(
            "pair", names, "high", said, pair.score, 0.0, _leave_out(data, pair), {"how": pair.how, "skill": round(pair.skill, 4)}
        )


_JOINED = {
    "−": "by their difference",
    "+": "by their sum",
    "×": "by their product",
    "÷": "by their ratio",
    "minutes": "by the minutes between them, read as clock times",
    "with": "by the combination of their values",
}


def _leave_out(data: DetectorInput, pair: column_pairs.ColumnPair) -> tuple[str, ...]:
    """The columns of a pair to leave out: of two times the later one; of a difference or ratio, what rises with the target.

    Both of anything else: a sum, a product and a combination fall apart into parts of the outcome.
    """
    names = (pair.first, pair.second)
    if pair.how not in ("−", "÷", "minutes"):
        return names
    first, second = (data.numbers[name] for name in names)
    with np.errstate(all="ignore"):
        between = first / second if pair.how == "÷" else first - second
    if data.frame.get_column(pair.first).dtype.is_temporal():
        return (pair.first,) if np.nanmean(between) > 0 else (pair.second,)
    if data.classification:
        return names
    known = np.isfinite(between)
    along = np.corrcoef(ranks.average(between[known]), data.target.codes[known])[0, 1]
    return (pair.first,) if along > 0 else (pair.second,)


def _sums_and_products(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Numbers that add up or multiply to the target."""
    if data.classification or data.deadline.over:
        return
    numbers = {name: values for name, values in data.numbers.items() if name not in flagged}
    found = algebraic_identity.find_identity(numbers, data.frame.get_column(data.name).cast(pl.Float64).to_numpy())
    if found is None:
        return
    parts = tuple(found.weights)
    later = tuple(name for name in parts if found.weights[name] > 0)
    made = " × " if found.product else " + "
    formula = made.join(repr(name) for name in later) + "".join(
        f" {'÷' if found.product else '−'} {name!r}" for name in parts if name not in later
    )
    if found.equal_weights:
        left = "exactly" if found.unexplained < 1e-6 else f"up to {100 * found.unexplained:.2g} % of its variance"
        said = f"{data.name!r} is {formula}, {left}: known amounts give it away. {VERIFY_TIMING}"
        yield Leak(
            "sum" if not found.product else "product",
            parts,
            "high",
            said,
            1 - found.unexplained,
            0.0,
            later or parts,
            {"weights": dict(found.weights)},
        )
    else:
        terms = ", ".join(map(repr, parts))
        said = f"{data.name!r} is a weighted sum of {terms}, exactly: a formula, which needs no model. {VERIFY_TIMING}"
        yield Leak("formula", parts, "medium", said, 1 - found.unexplained, 0.0, (), {"weights": dict(found.weights)})


DETECTORS = (_sums_and_products, _determining_pairs)
