"""Which probabilities are put right: decided as NannyML does, on the same rows; and nothing is learned of a class of few rows."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedShuffleSplit

from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.estimation.class_calibration import (
    LEAST_OF_CLASS,
    LEAST_SAMPLE,
    MOST_ROWS,
    ClassCalibration,
    ScarceClass,
    calibration_error,
    sample,
    scarcest,
)
from coreplex.engines.estimation.stratified_split import stratified_splits
from coreplex.engines.scoring.calibration import Calibration

Array = NDArray[np.float64]
Hits = NDArray[np.bool_]


def drawn(rows: int, seed: int) -> tuple[Hits, Array]:
    """(n,) of bool and (n,) probabilities that are nearly right, some of them alike."""
    draw = np.random.default_rng(seed)
    raw = draw.normal(size=rows)
    return draw.random(rows) < 1 / (1 + np.exp(-raw)), (1 / (1 + np.exp(-1.15 * raw))).round(3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=20, max_size=300).filter(lambda one: 2 <= sum(one) <= len(one) - 2))
def test_rows_are_held_back_as_scikit_learn_does(hits: list[bool]) -> None:
    hit = np.array(hits)
    peer = StratifiedShuffleSplit(10, test_size=0.1, random_state=42).split(hit, hit)
    for ours, theirs in zip(stratified_splits(hit, 10), peer, strict=True):
        assert all(np.array_equal(*one) for one in zip(ours, theirs, strict=True))


def test_what_is_put_right_is_decided_by_rows_held_back() -> None:
    found = []
    for seed in range(30):
        hit, p = drawn(300, seed)
        fitted = ClassCalibration.fit(hit.astype(np.int64), np.column_stack([1 - p, p]))
        found.append((fitted.maps[0] is not None, _helps(hit, p)))
    assert [ours for ours, _ in found] == [theirs for _, theirs in found]
    assert {ours for ours, _ in found} == {True, False}


def _helps(hit: Hits, p: Array) -> bool:
    """The rule, written with scikit-learn."""
    parts: list[tuple[Hits, Array, Array]] = []
    for learned, held in StratifiedShuffleSplit(10, test_size=0.1, random_state=42).split(p, hit):
        steps = IsotonicRegression(out_of_bounds="clip").fit(p[learned], hit[learned])
        parts.append((hit[held], p[held], steps.predict(p[held])))
    y, before, after = (np.concatenate([part[place] for part in parts]) for place in range(3))
    return calibration_error(y, before) > calibration_error(y, after)


@pytest.mark.parametrize("seed", range(3))
def test_steps_are_those_of_scikit_learn(seed: int) -> None:
    hit, p = drawn(500, seed)
    steps = Calibration.isotonic(p, hit)
    asked = np.linspace(0, 1, 2001)
    peer = IsotonicRegression(y_min=1e-6, y_max=1 - 1e-6, out_of_bounds="clip").fit(p, hit)
    assert np.interp(asked, steps.x, steps.y) == pytest.approx(peer.predict(asked), abs=1e-9)
    assert len(steps.x) < len(np.unique(p)) / 3


def test_sides_that_do_not_overlap_are_left_alone() -> None:
    hit = np.arange(400) % 2 == 0
    p = np.where(hit, 0.6, 0.4)
    assert ClassCalibration.fit(hit.astype(np.int64), np.column_stack([1 - p, p])).maps == (None,)


@pytest.mark.parametrize("rows", [0, 1, LEAST_OF_CLASS - 1])
def test_of_few_rows_of_a_class_nothing_is_learned(rows: int) -> None:
    """Where that was taken for probabilities that are right, estimates were far too good."""
    y = np.repeat([0, 1, 2], [300, rows, 200])
    assert scarcest(y, 3) == ScarceClass(1, rows)
    with pytest.raises(ValueError, match=f"{rows} rows"):
        ClassCalibration.fit(y, np.full((len(y), 3), 1 / 3))
    enough = np.repeat([0, 1, 2], [300, LEAST_OF_CLASS, 200])
    assert scarcest(enough, 3) is None
    assert len(ClassCalibration.fit(enough, np.random.default_rng(0).dirichlet(np.ones(3), len(enough))).maps) == 3


def test_a_scarce_class_is_kept() -> None:
    kept = Estimation.loads(Estimation(500, {"auc": 0.9}, scarce=ScarceClass(1, 7)).dumps())
    assert (kept.kind, kept.scarce, kept.rows) == ("none", ScarceClass(1, 7), 500)
    assert Estimation.loads(Estimation(7).dumps()).scarce is None


def test_of_many_rows_some_are_learned_from() -> None:
    assert np.array_equal(sample(500, 3), np.arange(500))
    assert len(set(sample(10**6, 2, seed=1).tolist())) == MOST_ROWS
    assert len(sample(10**6, 10)) == 40_000
    assert len(sample(10**6, 1000)) == LEAST_SAMPLE


def test_nothing_large_is_loaded_for_it() -> None:
    """Loading scikit-learn took longer than the training of a small table."""
    code = (
        "import sys, numpy as np\n"
        "from coreplex.engines.estimation.class_calibration import ClassCalibration\n"
        "draw = np.random.default_rng(0)\n"
        "ClassCalibration.fit(draw.integers(0, 2, 200), draw.dirichlet([1, 1], 200))\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
