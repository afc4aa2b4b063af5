"""Awkward tables, each in the seconds of a person who only tries: a model whatever happens, a sane order, progress that moves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl import train
from coreplex.engines.automl.budget import Clock, Progress
from coreplex.engines.automl.data.task import spread
from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.searches.before_search import one_fold, sampled
from coreplex.engines.automl.trial.costs import Memory
from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import Report, request, task_of

DRAW = np.random.default_rng(0)


def texts(n: int = 1_200, classes: int = 35) -> pl.DataFrame:
    y = DRAW.integers(0, classes, n)
    words = np.array(["".join(letters) for letters in DRAW.choice(list("aeionrst"), (2_000, 6))])
    columns = {
        name: [
            f"topic{c if hit else 0} {' '.join(words[DRAW.integers(0, 2_000, 9)])}"
            for c, hit in zip(y, DRAW.random(n) < 0.7, strict=True)
        ]
        for name in ("subject", "body", "answer_text")
    }
    return pl.DataFrame({**columns, "y": [f"c{c}" for c in y]})


def many_classes(n: int = 3_000, classes: int = 100) -> pl.DataFrame:
    x = DRAW.normal(size=(n, 6))
    y = (x @ DRAW.normal(size=(6, classes)) + DRAW.gumbel(size=(n, classes))).argmax(axis=1)
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(6)}, "y": [f"c{c}" for c in y]})


def wide(n: int = 200, columns: int = 1_000) -> pl.DataFrame:
    x = DRAW.normal(size=(n, columns)).round(3)
    return pl.DataFrame(x, schema=[f"x{i}" for i in range(columns)]).with_columns(y=pl.Series(np.where(x[:, 0] > 0, "a", "b")))


def huge_levels(n: int = 2_000) -> pl.DataFrame:
    levels = [[f"v{v}" for v in DRAW.integers(0, 200, n)] for _ in range(10)]
    return pl.DataFrame({**{f"c{i}": values for i, values in enumerate(levels)}, "y": [hash(v) % 97 for v in levels[0]]})


def extremes(n: int = 60) -> pl.DataFrame:
    large = np.where(np.arange(n) % 3 == 0, 1e300, -1e300) * DRAW.random(n)
    return pl.DataFrame({"x": large, "tiny": 5e-324 * DRAW.integers(1, 9, n), "y": DRAW.normal(size=n) * 1e17})


def constants(n: int = 40) -> pl.DataFrame:
    """One column that changes, and that only in one row."""
    return pl.DataFrame({"a": [1.5] * n, "b": ["x"] * n, "c": [0.25] * (n - 1) + [0.5], "y": ["p", "q"] * (n // 2)})


def gone(n: int = 40) -> pl.DataFrame:
    empty = pl.Series([None] * n, dtype=pl.Float64)
    return pl.DataFrame({"a": empty, "b": empty, "x": DRAW.normal(size=n), "y": DRAW.normal(size=n)})


def few(n: int, classes: int = 2) -> pl.DataFrame:
    return pl.DataFrame({"x": DRAW.normal(size=n).round(3), "y": [f"k{i % classes}" for i in range(n)]})


def repeated(n: int = 30) -> pl.DataFrame:
    return pl.DataFrame({"x": [0.5] * (n - 2) + [0.75] * 2, "y": [1.25] * (n - 3) + [2.5] * 3})


TABLES: dict[str, tuple[Callable[[], pl.DataFrame], str]] = {
    "texts of 35 classes": (texts, "classification"),
    "100 classes": (many_classes, "classification"),
    "1,000 columns": (wide, "classification"),
    "ten rows": (lambda: few(10), "classification"),
    "twelve rows, six classes": (lambda: few(12, 6), "classification"),
    "huge levels": (huge_levels, "regression"),
    "extremes": (extremes, "regression"),
    "constants": (constants, "classification"),
    "empty columns": (gone, "regression"),
    "one value again and again": (repeated, "regression"),
}


class Told(Report):
    """Keeps the messages as well."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def progress(self, fraction: float, message: str = "") -> None:
        super().progress(fraction, message)
        self.messages.append(message)


def check(result: dict[str, Any], report: Told, table: pl.DataFrame) -> None:
    everything = {model["name"]: model for model in [*report.baselines, *report.models]}
    assert len(report.baselines) == 1
    assert set(result["leaderboard"]) == set(everything)
    scores = [metrics.signed(result["sort_metric"], everything[name]["score"]) for name in result["leaderboard"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] >= metrics.signed(result["sort_metric"], report.baselines[0]["score"])
    assert report.fractions == sorted(report.fractions)
    assert (report.fractions[0], report.fractions[-1]) < (0.9, 1.0)
    assert all(report.messages)
    row = table.drop("y").row(0, named=True)
    for model in everything.values():
        assert Scorer.load(model["bundle"]["path"]).predict_row(row)[0]["prediction"] is not None


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one == "1,000 columns")) for one in TABLES])
def test_every_table_gets_a_model(name: str, tmp_path: Path) -> None:
    make, problem = TABLES[name]
    table, report = make(), Told()
    result = train.run(request(table, "y", problem, tmp_path, max_runtime_secs=2, max_models=1, nfolds=2), report)
    check(result, report, table)


def test_columns_of_many_levels_are_learned_from(tmp_path: Path) -> None:
    """Six columns of 600 levels, ten rows each: of a sample they would look like texts, whose words tell nothing."""
    draw = np.random.default_rng(5)
    codes, effects = draw.integers(0, 600, (6_000, 6)), draw.normal(size=(600, 6))
    signal = effects[codes, np.arange(6)].sum(axis=1) + draw.logistic(size=6_000)
    columns = {f"part{i}": [f"p{v * 7919 % 10_007}" for v in codes[:, i]] for i in range(6)}
    table = pl.DataFrame({**columns, "y": np.where(signal > 0, "yes", "no")})
    told = Told()
    train.run(request(table, "y", "classification", tmp_path, max_models=1, algorithms=["GLM"]), told)
    (model,) = told.models
    assert model["metrics"]["auc"] > 0.6
    assert not any("sample" in warning for warning in told.warnings)


def test_flaml_begins_with_the_baseline_too(tmp_path: Path) -> None:
    report = Told()
    asked = {**request(few(60), "y", "classification", tmp_path, max_runtime_secs=1, max_models=1, nfolds=2), "engine": "flaml"}
    check(train.run(asked, report), report, few(60))


def test_a_table_too_large_for_its_seconds_or_its_memory_is_sampled_aloud(tmp_path: Path) -> None:
    """Thirty megabytes hold no gradients of 100 classes for 3,000 rows: fewer rows are taken, before anything is made of them."""
    asked = request(many_classes(), "y", "classification", tmp_path, max_models=1, nfolds=2, include_algos=["GLM"])
    report = Told()
    result = train.run({**asked, "memory_bytes": 30 << 20}, report)
    check(result, report, many_classes(10))
    (warning,) = (one for one in report.warnings if "TRAINING_MEMORY_BYTES" in one)
    assert "of 3000 rows" in warning
    assert "TRAINING_MEMORY_BYTES" in warning


def test_progress_goes_on_without_anybody_asking_and_never_back() -> None:
    seconds = [0.0]
    clock = Clock(10.0, now=lambda: seconds[0])
    told: list[tuple[float, str]] = []
    with Progress(clock, lambda fraction, message: told.append((fraction, message))) as progress:
        progress.doing("reading")
        for now in (2.0, 1.0, 5.0, 20.0, 1_000.0):
            seconds[0] = now
            progress.doing("fitting")
        progress.counted(0.1)
        progress.done("over")
        progress.doing("nothing more")
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-2] < 1.0 == fractions[-1]
    assert told[-1] == (1.0, "over")


def test_samples_keep_the_shares_and_the_folds(tmp_path: Path) -> None:
    task = task_of(2_000, tmp_path)
    for rows in (100, 999):
        part = sampled(task, rows)
        assert rows <= len(part.y) <= rows + 10
        assert part.y.sum() >= 5 if part.classes[1] == "rare" else len(part.y) - part.y.sum() >= 5
        for fold, whole in zip(part.plan.folds, task.plan.folds, strict=True):
            assert not set(fold.train) & set(fold.valid)
            assert len(fold.train) + len(fold.valid) == len(part.y)
            values, known = part.frame["x0"].to_numpy(), task.frame["x0"].to_numpy()
            assert set(values[fold.valid]) <= set(known[whole.valid]), "a row stays on the side it was on"
    first = one_fold(task, 300, 200)
    assert len(first.plan.folds) == 1
    assert abs(len(first.plan.validated) - 200) <= 10
    y = DRAW.normal(size=1_000)
    kept = y[spread(y, 100, 1, classification=False)]
    assert np.quantile(kept, 0.5) == pytest.approx(np.quantile(y, 0.5), abs=0.1)
    assert len(spread(y, 5_000, 1, classification=False)) == 1_000


def test_memory_decides_the_rows_before_anything_is_made_of_them(tmp_path: Path) -> None:
    task = task_of(1_000, tmp_path)
    small, large = Memory(1 << 30), Memory(8 << 30)
    assert small.rows(task, 6, 20) < large.rows(task, 6, 20)
    assert large.rows(task, 2_000, 20) < large.rows(task, 6, 20)
    assert large.dense_rows(10_000) < large.dense_rows(100)
    assert Memory(1).rows(task, 6, 20) > 0
