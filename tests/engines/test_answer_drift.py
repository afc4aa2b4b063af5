"""Answers to fresh rows of the same kind are no drift, though out-of-fold answers, which they are held against, are others."""

from datetime import timedelta
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.evidence import ALPHA, Evidence
from coreplex.engines.drift.layout import Feature, Layout, distance
from coreplex.engines.drift.window import compare, towards
from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import run, table


class Served:
    """A model, and what is counted of its answers."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.scorer = Scorer.load(report["bundle"]["path"], report["bundle"]["sha256"])
        self.layout = Layout((), tuple(map(Feature.from_json, report["answers"])))

    def drifted_and_alarmed(self, rows: pl.DataFrame) -> tuple[bool, bool]:
        """Whether a window of these rows has drifted, and whether the watch is alarmed, that looks after each hundred."""
        asked = rows.to_dicts()
        answers, _ = self.scorer.predict_rows(asked)
        counter, evidence = RowCounter(self.layout), Evidence(self.layout)
        parts = [counter.count(asked[at : at + 100], answers[at : at + 100]) for at in range(0, len(asked), 100)]
        capital, looks = evidence.begin(), []
        for part in parts:
            capital = evidence.after(capital, part, timedelta(hours=1))
            looks.append(evidence.total(capital))
        drifted = any(one.drifted for one in compare(self.layout, None, counter.count(asked, answers)).answers)
        return drifted, max(looks) >= -log(ALPHA)


@pytest.mark.parametrize(("target", "problem"), [("answer", "classification"), ("amount", "regression")])
def test_fresh_rows_are_no_drift_and_moved_ones_are(target: str, problem: str, tmp_path: Path) -> None:
    """Of 150 rows models differ much from fold to fold; the one that answers all rows alike, too.

    Of moved ones all but the baseline see it. All models of a table share its luck: this one is ordinary, and
    `tests/benchmarks/answer_drift.md` has how many are not.
    """
    _, report = run(table(seed=1), target, problem, tmp_path, max_models=4, nfolds=5)
    fresh, moved = (table(1_000, seed=9).drop("answer", "kind", "amount", "moment") for _ in range(2))
    moved = moved.with_columns(pl.col("x0") + 2)
    models = [Served(one) for one in (*report.models, *report.baselines)]
    assert len(models) >= 5
    assert [one.drifted_and_alarmed(fresh) for one in models] == [(False, False)] * len(models)
    assert sum(drifted for drifted, _ in map(Served.drifted_and_alarmed, models, [moved] * len(models))) >= len(models) - 1


def test_what_is_expected_moves_to_what_came_by_no_more_than_the_floor() -> None:
    draw = np.random.default_rng(0)
    for floor in (0.0, 0.05, 0.3):
        report = {"name": "probability", "kind": "number", "edges": [0.0, 0.2, 0.5, 1.0], "counts": [0, 100, 500, 300, 100, 0, 0]}
        feature = Feature.from_json({**report, "floor": floor})
        expected, actual = np.array(feature.counts), draw.multinomial(400, [0.05, 0.3, 0.2, 0.1, 0.3, 0.05, 0.0])
        before, after = (distance(feature, one, actual) for one in (expected, towards(feature, expected, actual)))
        assert after == pytest.approx(max(before - floor, 0.0), abs=0.01)
        assert abs(int(towards(feature, expected, actual).sum()) - 1_000) <= 3
