"""Models of words: the same tokens for ever, rows scored like frames, nothing leaks, many classes in seconds."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families import sparse_linear
from coreplex.engines.automl.families.base import Problem, Sample, Trained
from coreplex.engines.automl.families.lightgbm import QUICK
from coreplex.engines.automl.families.sparse_linear import SPARSE_LINEAR
from coreplex.engines.automl.searches.portfolio_search import portfolio
from coreplex.engines.automl.splits import folds
from coreplex.engines.automl.splits.split import Split
from coreplex.engines.automl.trial.cross_validation import cross_validate
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.encoding import tokens
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.errors.tree import BadInput
from tests.engines.scoring_samples import column, encode_row

COLUMNS = (column("title", "text"), column("body", "text"), column("price", "float"), column("plan", "categorical"))
KINDS = {"binary": 2, "multiclass": 12, "regression": 1}


def table(rows: int = 900, classes: int = 12, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """Titles and bodies of a Zipf vocabulary of which each class has some words of its own."""
    draw = np.random.default_rng(seed)
    chance = 1.0 / np.arange(1, 801)
    label = draw.integers(0, classes, rows)
    own = draw.integers(0, 800, size=(classes, 15))

    def text(kind: int, size: int) -> str:
        common = draw.choice(800, size, p=chance / chance.sum())
        return " ".join(f"w{w:03d}" for w in np.where(draw.random(size) < 0.3, draw.choice(own[kind], size), common))

    columns = {
        "title": [text(k, 4) for k in label],
        "body": [text(k, 20) if draw.random() < 0.9 else None for k in label],
        "price": draw.normal(size=rows),
        "plan": draw.choice(["basic", "plus", "pro"], rows),
    }
    return pl.DataFrame(columns), label


TABLE, LABEL = table()


def task(kind: str, y: np.ndarray[Any, Any], frame: pl.DataFrame = TABLE, columns: tuple[Any, ...] = COLUMNS) -> Task:
    classes = tuple(f"c{i}" for i in range(KINDS[kind])) if kind != "regression" else ()
    plan = folds.plan(y, nfolds=3, seed=1, classification=kind != "regression")
    return Task(kind, column("y", "text"), columns, frame, y, classes, None, Split("random", ""), plan, 1)  # type: ignore[arg-type]


def validated(what: Task) -> Finished:
    return cross_validate("GLM", SPARSE_LINEAR, Matrices(what), Problem(what.kind, what.outputs, seed=1), Deadline.never())


def target(kind: str) -> np.ndarray[Any, Any]:
    if kind == "regression":
        return LABEL + TABLE["price"].to_numpy()
    return LABEL if kind == "multiclass" else (LABEL < 4).astype(np.int64)


@pytest.fixture(scope="module")
def models() -> dict[str, Finished]:
    return {kind: validated(task(kind, target(kind))) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_words_tell_the_target(kind: str, models: dict[str, Finished]) -> None:
    found = models[kind].metrics
    assert (found["r2"] if kind == "regression" else found["auc"]) > 0.65  # type: ignore[operator]
    assert len(models[kind].members) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_scored_like_a_frame_and_after_storage_alike(kind: str, models: dict[str, Finished]) -> None:
    member = models[kind].members[0]
    matrix = member.encoder.transform(TABLE[:40])
    rows = [encode_row(member.encoder, row)[0] for row in TABLE[:40].to_dicts()]
    np.testing.assert_array_equal(np.array(rows), matrix)
    again = Encoder.from_json(*member.encoder.to_json())
    np.testing.assert_array_equal(again.transform(TABLE[:40]), matrix)
    parts = member.predictor.contributions(matrix)
    np.testing.assert_allclose(parts.sum(axis=2), member.predictor.raw(matrix), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.one_of(st.none(), st.text(max_size=60)))
def test_any_text_can_be_scored(value: str | None) -> None:
    step = SERVED.steps[0]
    frame = pl.Series("title", [value], dtype=pl.String)
    assert list(step.row()(value)) == step.transform(frame)[0].tolist()
    assert np.isfinite(step.transform(frame)).all()


def served() -> Encoder:
    encoder, x = SparseEncoder.fit_transform(TABLE, COLUMNS, LABEL, task="multiclass", seed=1)
    trained = sparse_linear.fit(Sample(x, LABEL), None, Problem("multiclass", 12, seed=1), {}, Deadline.never())
    return trained.members(encoder)[0].encoder


SERVED = served()


def test_tokens_mean_the_same_in_every_version() -> None:
    """Stored weights belong to these buckets."""
    assert np.flatnonzero(tokens.counts(["Ab cd"], 1000, trigrams=False).toarray()[0]).tolist() == [141, 434, 885]
    counted = tokens.counts(["abc abc", None, "", "Straße"], 2**20).toarray()
    assert counted.sum(axis=1).tolist() == [2 + 1 + 2 * 3, 0, 0, 1 + 6]


def test_long_lists_are_counted_as_short_ones() -> None:
    values = [f"word{i % 7} other{i % 11}" for i in range(9_000)]
    whole = tokens.counts(values, 4096)
    assert abs(whole[4_000:4_200] - tokens.counts(values[4_000:4_200], 4096)).max() == 0


def test_a_random_target_scores_at_chance() -> None:
    y = np.random.default_rng(3).integers(0, 2, TABLE.height)
    assert abs(validated(task("binary", y)).metrics["auc"] - 0.5) < 0.08  # type: ignore[operator]


def test_texts_alone_are_enough_and_a_weight_counts() -> None:
    what = task("multiclass", LABEL, TABLE.select("title"), COLUMNS[:1])
    assert validated(what).metrics["auc"] > 0.7  # type: ignore[operator]
    encoder, x = SparseEncoder.fit_transform(TABLE, COLUMNS, LABEL < 6, task="binary", seed=1)
    weights = np.where(LABEL < 6, 9.0, 1.0)
    problem = Problem("binary", 2, seed=1)
    plain, heavy = (sparse_linear.fit(Sample(x, LABEL < 6, w), None, problem, {}, Deadline.never()) for w in (None, weights))
    assert mean_positive(heavy, encoder) > mean_positive(plain, encoder) + 0.02


def mean_positive(trained: Trained, encoder: SparseEncoder) -> float:
    return float(trained.predictor.predict(encoder.transform(TABLE))[:, 1].mean())


def test_a_deadline_that_has_passed_leaves_a_model_of_all_rows() -> None:
    passed = Deadline(0.0, lambda: False, lambda: 1.0)
    encoder, x = SparseEncoder.fit_transform(TABLE, COLUMNS, LABEL, task="multiclass", seed=1)
    sample = Sample(x, LABEL)
    trained = sparse_linear.fit(sample, sample, Problem("multiclass", 12, seed=1), {}, passed)
    assert trained.cut
    p = trained.predictor.predict(encoder.transform(TABLE))
    assert (p.argmax(axis=1) == LABEL).mean() > 0.5


def test_a_class_that_a_fold_has_not_seen_gets_almost_nothing() -> None:
    _, x = SparseEncoder.fit_transform(TABLE, COLUMNS, LABEL, task="multiclass", seed=1)
    trained = sparse_linear.fit(Sample(x, LABEL), None, Problem("multiclass", 13, seed=1), {}, Deadline.never())
    assert trained.predictor.predict(sparse.csr_array(x))[:, 12].max() < 0.05  # type: ignore[arg-type]


def test_words_come_first_where_classes_are_many_and_second_else() -> None:
    assert portfolio(task("multiclass", LABEL))[0] == SPARSE_LINEAR
    assert portfolio(task("regression", target("regression")))[:2] == [QUICK, SPARSE_LINEAR]
    plain = task("regression", target("regression"), TABLE.select("price", "plan"), COLUMNS[2:])
    assert SPARSE_LINEAR not in portfolio(plain)


def test_spoiled_weights_are_refused() -> None:
    state, arrays = SERVED.to_json()
    with pytest.raises(BadInput, match="title"):
        Encoder.from_json(state, {**arrays, "0_buckets": arrays["0_buckets"][::-1]})
    with pytest.raises(BadInput):
        Encoder.from_json(state, {**arrays, "0_slopes": arrays["0_slopes"][:3]})
