"""Searches for columns that give the target away together."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage import algebraic_identity, column_pairs, ranks
from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.diagnosis.leakage.leak import LATER, Leak


def _joined(case: Case, accused: set[str]) -> Iterator[Leak]:
    seen: set[str] = set(accused)
    for pair in column_pairs.settled(case, accused):
        if {pair.first, pair.second} & seen:
            continue
        seen |= {pair.first, pair.second}
        names = (pair.first, pair.second)
        said = (
            f"Columns {pair.first!r} and {pair.second!r} settle {case.name!r} together ({_JOINED[pair.how]}; "
            f"{100 * pair.skill:.1f} % explained), and neither does alone. {LATER}"
        )
        yield Leak(
            "pair", names, "high", said, pair.score, 0.0, _later(case, pair), {"how": pair.how, "skill": round(pair.skill, 4)}
        )


_JOINED = {
    "−": "by their difference",
    "+": "by their sum",
    "×": "by their product",
    "÷": "by their ratio",
    "minutes": "by the minutes between them, read as clock times",
    "with": "by the combination of their values",
}


def _later(case: Case, pair: column_pairs.Pair) -> tuple[str, ...]:
    """Of two times the later one; of a difference or ratio that is the number, the column that holds it besides the other.

    Both of anything else: a sum, a product and a combination fall apart into parts of the outcome.
    """
    names = (pair.first, pair.second)
    if pair.how not in ("−", "÷", "minutes"):
        return names
    first, second = (case.numbers[name] for name in names)
    with np.errstate(all="ignore"):
        between = first / second if pair.how == "÷" else first - second
    if case.frame.get_column(pair.first).dtype.is_temporal():
        return (pair.first,) if np.nanmean(between) > 0 else (pair.second,)
    if case.classification:
        return names
    known = np.isfinite(between)
    along = np.corrcoef(ranks.average(between[known]), case.target.codes[known])[0, 1]
    return (pair.first,) if along > 0 else (pair.second,)


def _added(case: Case, accused: set[str]) -> Iterator[Leak]:
    """Amounts that add up or multiply to the target."""
    if case.classification or case.deadline.over:
        return
    numbers = {name: values for name, values in case.numbers.items() if name not in accused}
    found = algebraic_identity.identity(numbers, case.frame.get_column(case.name).cast(pl.Float64).to_numpy())
    if found is None:
        return
    parts = tuple(found.weights)
    later = tuple(name for name in parts if found.weights[name] > 0)
    made = " × " if found.product else " + "
    formula = made.join(repr(name) for name in later) + "".join(
        f" {'÷' if found.product else '−'} {name!r}" for name in parts if name not in later
    )
    if found.plain:
        left = "exactly" if found.left < 1e-6 else f"up to {100 * found.left:.2g} % of its variance"
        said = f"{case.name!r} is {formula}, {left}: known amounts give it away. {LATER}"
        yield Leak(
            "sum" if not found.product else "product",
            parts,
            "high",
            said,
            1 - found.left,
            0.0,
            later or parts,
            {"weights": dict(found.weights)},
        )
    else:
        said = (
            f"{case.name!r} is a weighted sum of {', '.join(map(repr, parts))}, exactly: a formula, which needs no model. {LATER}"
        )
        yield Leak("formula", parts, "medium", said, 1 - found.left, 0.0, (), {"weights": dict(found.weights)})


SEARCHES = (_added, _joined)
