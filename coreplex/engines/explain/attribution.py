"""How much each column moves a model's answers, over many rows: in a child process, for training and for what is asked later.

python -m coreplex.engines.child coreplex.engines.explain.attribution:run
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.messages import Listener
from coreplex.engines.scoring.columns import TableScorer
from coreplex.engines.scoring.contributions import exact, sampled
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular import frame
from coreplex.engines.tabular.schema import TableSchema

SLICE = 50
EVALUATIONS = 200
"""Of a row whose contributions are sampled; the same for training and later, so that their noise is the same."""
BUDGET_SECS = 120.0
LARGEST = 1e100
"""A contribution is taken for no larger, so that squares can be summed."""


def run(request: Mapping[str, Any], _report: Listener) -> dict[str, Any]:
    """Request: bundle, sha256; rows, as they were asked; or a stored table (table, schema) of which `most` rows are drawn.

    Returns `rows`; `features`: [{feature, mean, std_error}] of the size of its contribution to the raw scores.
    """
    scorer = Scorer.load(request["bundle"], request["sha256"])
    matrices = scorer.encoded(request["rows"])[0] if "rows" in request else _of_table(scorer, request)
    sizes = np.concatenate([np.zeros((0, len(scorer.features))), *_sizes(scorer, matrices)])
    return {"rows": len(sizes), "features": summed(scorer.features, sizes)}


def _of_table(scorer: Scorer, request: Mapping[str, Any]) -> Sequence[Floats]:
    schema = TableSchema.from_json(request["schema"])
    table = frame.load(Path(request["table"]), schema)
    some = table.sample(request["most"], seed=0) if table.height > request["most"] else table
    return TableScorer(scorer, list(schema)).encoded(some)


def _sizes(scorer: Scorer, matrices: Sequence[Floats]) -> Iterator[NDArray[np.float64]]:
    """(m, d) size of each column's contribution to the raw scores, for as many rows as there is time for."""
    end, ensemble = time.monotonic() + BUDGET_SECS, scorer.ensemble
    for at in range(0, len(matrices[0]), SLICE):
        some = [matrix[at : at + SLICE] for matrix in matrices]
        if ensemble.method is not None:
            found = exact(ensemble, some, scorer.features)
        else:
            found = sampled(ensemble, some, scorer.background, scorer.features, seed=at, evaluations=EVALUATIONS)
        yield np.abs(found.contributions).mean(axis=1)
        if time.monotonic() > end:
            return


def summed(features: Sequence[str], sizes: NDArray[np.float64]) -> list[dict[str, Any]]:
    """By column of (n, d) sizes the mean, and the standard error of its share in all, times the mean of all: that of a ratio of
    means (Cochran 1977, 6.5), since one row moves the shares of all columns."""
    if not len(sizes):
        return []
    sizes = np.minimum(np.nan_to_num(sizes, posinf=LARGEST), LARGEST)
    mean = sizes.mean(axis=0)
    share = mean / mean.sum() if mean.sum() > 0 else mean
    error = (sizes - share * sizes.sum(axis=1, keepdims=True)).std(axis=0) / np.sqrt(len(sizes))
    return [
        {"feature": name, "mean": float(one), "std_error": float(noise)}
        for name, one, noise in zip(features, mean, error, strict=True)
    ]
