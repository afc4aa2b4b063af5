"""How far two models answer alike on the same rows, whatever is true of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Any

import numpy as np

from coreplex.engines.replay.pairs import Pairs
from coreplex.engines.scoring.shadow import alike

MOST_CHANGES, MOST_ROWS, MOST_REASONS = 100, 20, 20
Document = dict[str, Any]


def agreed(pairs: Pairs) -> list[bool]:
    """(n,) whether the candidate answers each row alike: the same class, or a number within 1 in 1,000. A failure does not."""
    if pairs.is_class:
        return [mine == given for mine, given in zip(pairs.answers, pairs.given, strict=True)]
    return [mine is not None and alike(mine, given) for mine, given in zip(pairs.answers, pairs.given, strict=True)]


def differences(pairs: Pairs) -> Document:
    """Mean and percentiles of the distances, and of numbers the correlation (Pearson); nulls where nothing was answered."""
    found = np.asarray(pairs.distances)
    found = found[~np.isnan(found)]
    if not found.size:
        return dict.fromkeys(("mean", "p50", "p95", "p99", "largest", "correlation"))
    p50, p95, p99 = np.percentile(found, (50, 95, 99)).tolist()
    both = {"mean": float(found.mean()), "p50": p50, "p95": p95, "p99": p99, "largest": float(found.max())}
    return {**both, "correlation": None if pairs.is_class else _correlation(pairs)}


def _correlation(pairs: Pairs) -> float | None:
    both = np.array([(a, b) for a, b in zip(pairs.given, pairs.answers, strict=True) if b is not None])
    if len(both) < 2 or not both.std(axis=0).all():
        return None
    found = float(np.corrcoef(both.T)[0, 1])
    return found if np.isfinite(found) else None


def changes(pairs: Pairs) -> list[Document]:
    """How many rows go from which class to which, the commonest first; those that stay too."""
    if not pairs.is_class:
        return []
    both = zip(pairs.given, pairs.answers, strict=True)
    counted = Counter((given, mine) for given, mine in both if mine is not None)
    return [{"served": a, "candidate": b, "rows": rows} for (a, b), rows in counted.most_common(MOST_CHANGES)]


def disagreements(pairs: Pairs) -> list[Document]:
    """The rows on which the two answers are farthest from each other, the farthest first."""
    far = ((distance, -place) for place, distance in enumerate(pairs.distances) if distance > 0)
    return [_row(pairs, -place) | {"distance": distance} for distance, place in nlargest(MOST_ROWS, far)]


def _row(pairs: Pairs, place: int) -> Document:
    request_id, row_index = pairs.ids[place]
    known = {"request_id": request_id, "row_index": row_index}
    answers = {"served": pairs.given[place], "candidate": pairs.answers[place], "outcome": pairs.outcomes[place]}
    return known | answers


def failures(pairs: Pairs) -> list[Document]:
    """Why rows have no answer, the commonest reason first, with the first row of each."""
    found = []
    for (reason, column), rows in pairs.failures.most_common(MOST_REASONS):
        request_id, row_index = pairs.ids[pairs.first_failed[reason, column]]
        found.append({"reason": reason, "column": column[:300], "rows": rows, "request_id": request_id, "row_index": row_index})
    return found


def latency(pairs: Pairs) -> Mapping[str, float | None]:
    """Milliseconds: of a row among many, and percentiles of one that comes alone."""
    of_many = pairs.secs * 1000 / pairs.size if pairs.size else None
    alone: Sequence[float | None] = np.percentile(pairs.alone_ms, (50, 95, 99)).tolist() if pairs.alone_ms else [None] * 3
    return {"of_many": of_many, **dict(zip(("p50", "p95", "p99"), alone, strict=True))}
