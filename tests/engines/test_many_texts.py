"""Many columns of texts: words are counted once and as they ever were, those that say nothing are screened out, and trees go on
without them where they take too long."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from coreplex.engines.automl import train
from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families import sparse_linear
from coreplex.engines.automl.families.base import Problem, Sample, loss
from coreplex.engines.automl.searches import before_search
from coreplex.engines.encoding import tokens
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.engines.encoding.text import _all_statistics
from coreplex.engines.encoding.vocabulary import Counted, counted
from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import Report, request
from tests.engines.scoring_samples import column

COLUMNS = 12


def table(rows: int = 600, seed: int = 1) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """Twelve columns of six random words, of which the first says the class in a third of the rows; and one weak number."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, rows)
    vocabulary = np.array(["".join(letters) for letters in draw.choice(list("abdegiklmnorstu"), (900, 6))])
    frame = {"number": draw.normal(size=rows) + 0.4 * y}
    for place in range(COLUMNS):
        said = np.where(draw.random(rows) < (0.35 if place == 0 else 0.0), np.where(y == 1, "good", "poor"), "plain")
        texts = vocabulary[draw.integers(0, 900, (rows, 6))]
        frame[f"text{place}"] = [f"{one} {' '.join(more)}" for one, more in zip(said, texts, strict=True)]
    return pl.DataFrame(frame), y


TABLE, CLASS = table()
SCHEMA = tuple(column(name, "float" if name == "number" else "text") for name in TABLE.columns)
TRAIN, VALID = np.arange(0, 400), np.arange(400, 600)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=40), st.from_regex(r"[A-Za-z0-9_ .\n]{0,60}", fullmatch=True)), max_size=30)
)
def test_many_texts_are_counted_as_each_alone(values: list[str | None]) -> None:
    """Pairs of many words are hashed at once, those of few one by one."""
    values = [*values, "One two THREE four_4 five " * 30, "Straße ΣΑΣ İ ² " * 20]
    together = tokens.counts(values, 4096)
    alone = sparse.vstack([tokens.counts([value], 4096) for value in values])
    assert abs(together - alone).max() == 0
    assert (_all_statistics(values) == [statistics(value or "") for value in values]).all()


def statistics(text: str) -> list[float]:
    """Length, words, shares of digits and capitals, by their definition."""
    size = max(len(text), 1)
    return [len(text), len(text.split()), sum(c.isdigit() for c in text) / size, sum(c.isupper() for c in text) / size]


def test_words_of_ascii_texts_are_those_of_the_pattern() -> None:
    every = "".join(map(chr, range(128))) + " End"
    assert tokens.words(every) == [*tokens.words(every + "é")[:-1], "end"]


def test_texts_counted_once_give_each_fold_the_same_matrices() -> None:
    whole = counted(TABLE, SCHEMA[1:], 10**8)
    assert len(whole) == COLUMNS
    learned, judged = TABLE[TRAIN], TABLE[VALID]
    plain, x = SparseEncoder.fit_transform(learned, SCHEMA, CLASS[TRAIN], task="binary", seed=1)
    own = {name: one.rows(TRAIN) for name, one in whole.items()}
    encoder, again = SparseEncoder.fit_transform(learned, SCHEMA, CLASS[TRAIN], task="binary", seed=1, counted=own)
    assert abs(x - again).max() == 0
    other = {name: one.rows(VALID) for name, one in whole.items()}
    assert abs(plain.transform(judged) - encoder.transform(judged, other)).max() == 0


def test_what_counted_words_take_is_bounded() -> None:
    one = Counted.of(TABLE["text0"], texts=COLUMNS)
    assert counted(TABLE, SCHEMA[1:], one.nbytes) == {}, "what counting takes is more than what is kept"
    assert 0 < len(counted(TABLE, SCHEMA[1:], COLUMNS * one.nbytes)) < COLUMNS


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_words_that_say_nothing_are_screened_out(kind: str) -> None:
    y = CLASS + 0.3 * np.random.default_rng(2).normal(size=len(CLASS)) if kind == "regression" else CLASS
    outputs = {"binary": 2, "multiclass": 3, "regression": 1}[kind]
    encoder, x = SparseEncoder.fit_transform(TABLE[TRAIN], SCHEMA, y[TRAIN], task=kind, seed=1)  # type: ignore[arg-type]
    valid = Sample(encoder.transform(TABLE[VALID]), y[VALID])  # type: ignore[arg-type]
    problem = Problem(kind, outputs, seed=1)  # type: ignore[arg-type]
    train_side = Sample(x, y[TRAIN])  # type: ignore[arg-type]
    chosen = sparse_linear.fit(train_side, valid, problem, {}, Deadline.never())
    assert chosen.notes["least_z"] > 0
    slopes = chosen.predictor.slopes  # type: ignore[union-attr]
    assert slopes.shape[0] == x.shape[1]
    assert 0 < np.any(slopes, axis=1).sum() < x.shape[1] / 4
    whole = sparse_linear.fit(train_side, None, problem, {}, Deadline.never(), rounds=chosen.rounds)
    np.testing.assert_array_equal(whole.predict(valid), chosen.predict(valid))
    unscreened = sparse_linear.fit(train_side, None, problem, {}, Deadline.never())
    assert loss(chosen.predictor, valid, problem) < loss(unscreened.predictor, valid, problem)  # type: ignore[arg-type]


def test_a_target_that_nothing_says_leaves_one_column() -> None:
    y = np.random.default_rng(5).integers(0, 2, len(TRAIN))
    _, x = SparseEncoder.fit_transform(TABLE[TRAIN], SCHEMA, y, task="binary", seed=1)
    strict = sparse_linear.fit(Sample(x, y), None, Problem("binary", 2, seed=1), {}, Deadline.never(), rounds=24)  # type: ignore[arg-type]
    assert np.any(strict.predictor.slopes, axis=1).sum() >= 1  # type: ignore[union-attr]
    assert np.isfinite(strict.predict(Sample(x, y))).all()  # type: ignore[arg-type]


def test_trees_go_on_without_texts_that_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(before_search, "_ENCODING", 0.0)  # whatever the machine, it takes too long
    frame, report = TABLE.with_columns(y=pl.Series(np.where(CLASS == 1, "yes", "no"))), Report()
    train.run(request(frame, "y", "classification", tmp_path, max_models=2, nfolds=2, include_algos=["GBM", "GLM"]), report)
    assert any("Only models of words read the 12 columns of texts" in warning for warning in report.warnings)
    models = {model["algo"]: model for model in report.models if model["algo"] in ("GBM", "GLM")}
    trees, linear = (Scorer.load(models[algo]["bundle"]["path"]) for algo in ("GBM", "GLM"))
    assert {name for member in trees.ensemble.members for name in member.encoder.features} == {"number"}
    assert {name for member in linear.ensemble.members for name in member.encoder.features} == set(TABLE.columns)
    assert models["GLM"]["metrics"]["auc"] > models["GBM"]["metrics"]["auc"]
    rows = TABLE[:20].to_dicts()
    for scorer in (trees, linear):
        found = [scorer.predict_row(row) for row in rows]
        assert not any(warnings for _, warnings in found)
        expected = scorer.ensemble.predict(TABLE[:20])[:, 1]
        np.testing.assert_allclose([one["probabilities"]["yes"] for one, _ in found], expected, atol=1e-6)
