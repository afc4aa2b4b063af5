"""Folds: every row judged at most once, never trained on where it is judged, copies and groups never torn apart."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coreplex.engines.automl.splits import folds, near_duplicates
from coreplex.errors.tree import Invalid


def check(plan: folds.FoldPlan, n: int, *, complete: bool = True) -> None:
    seen = np.zeros(n, dtype=int)
    for fold in plan.folds:
        assert len(fold.train)
        assert len(fold.valid)
        assert not set(fold.train) & set(fold.valid)
        seen[fold.valid] += 1
    assert seen.max() == 1
    if complete:
        assert seen.min() == 1


@settings(deadline=None, max_examples=60)
@given(st.integers(10, 300), st.integers(2, 12), st.integers(2, 5), st.integers(0, 2**31))
def test_stratified_folds_are_a_partition_with_even_classes(n: int, nfolds: int, classes: int, seed: int) -> None:
    y = np.random.default_rng(seed).integers(0, classes, n)
    plan = folds.plan(y, nfolds=nfolds, seed=seed, classification=True)
    check(plan, n)
    for label in np.unique(y):
        counts = [int((y[f.valid] == label).sum()) for f in plan.folds]
        assert max(counts) - min(counts) <= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(20, 300), st.integers(2, 6), st.integers(2, 300), st.integers(0, 2**31), st.booleans())
def test_rows_that_belong_together_never_straddle_a_fold(n: int, nfolds: int, kinds: int, seed: int, stratify: bool) -> None:
    draw = np.random.default_rng(seed)
    units = draw.integers(0, kinds, n)
    if len(np.unique(units)) < 2:
        return
    plan = folds.plan(units * 7919 % 3, nfolds=nfolds, seed=seed, classification=True, units=units, stratify=stratify)
    check(plan, n)
    assert plan.strategy == ("stratified" if stratify else "random")
    for fold in plan.folds:
        assert not set(units[fold.train]) & set(units[fold.valid])


def test_copies_are_told_from_rows_of_few_values() -> None:
    draw = np.random.default_rng(0)
    few = pl.DataFrame({"a": draw.integers(0, 3, 400), "b": draw.integers(0, 2, 400), "y": draw.integers(0, 2, 400)})
    units, note = near_duplicates.units(few)
    assert units is None
    assert "as rows of few different values do" in note
    words = pl.DataFrame({f"w{i}": draw.integers(0, 4, 100) for i in range(12)})
    for frame in (words, pl.DataFrame({"x": draw.normal(size=100), "y": draw.integers(0, 2, 100)})):
        copied = frame.sample(400, with_replacement=True, seed=1)
        units, note = near_duplicates.units(copied)
        assert units is not None
        assert len(np.unique(units)) == copied.n_unique()
        assert "one side" in note
        assert near_duplicates.units(frame.unique()) == (None, "")


def test_near_copies_are_joined_in_chains() -> None:
    frame = pl.DataFrame({"x": [0.0, 0.9, 1.8, 5.0, 5.5, None, None], "w": ["a", "a", "a", "a", "b", "b", "b"]})
    near = near_duplicates.NearDuplicates(("x",), (10.0,), ("w",), 0.1)
    units = near_duplicates.NearDuplicates.from_json(near.to_json()).units(frame)
    assert units.tolist() == [0, 0, 0, 1, 2, 3, 3]


@settings(deadline=None, max_examples=100)
@given(st.integers(20, 200), st.integers(2, 30), st.integers(1, 60), st.integers(-1, 8), st.integers(0, 5), st.integers(0, 2**31))
def test_forward_folds_by_group(n: int, groups: int, moments: int, nfolds: int, gap: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    group, time = draw.integers(0, groups, n), draw.integers(0, moments, n).astype(float)
    time[draw.random(n) < 0.05] = np.nan
    try:
        plan = folds.by_group_time(group, time, nfolds=nfolds, seed=seed, gap=gap)
    except Invalid:
        return
    check(plan, n, complete=False)
    assert (plan.strategy, plan.bag) == ("group_time", False)
    for fold in plan.folds:
        assert not set(group[fold.train]) & set(group[fold.valid])
        known = time[fold.train][~np.isnan(time[fold.train])]
        assert not len(known) or known.max() < time[fold.valid].min() - gap


def test_groups_that_stay_are_dealt_and_groups_that_come_and_go_are_purged() -> None:
    time = np.repeat(np.arange(60.0), 10)
    stay, pass_by = np.tile(np.arange(10), 60), np.arange(600) // 5
    dealt = folds.by_group_time(stay, time, nfolds=6, seed=0)
    assert len(dealt.folds) == 6
    assert len(dealt.validated) == 400
    assert {len(np.unique(stay[f.train])) for f in dealt.folds} == {6, 7}
    purged = folds.by_group_time(pass_by, time, nfolds=5, seed=0)
    assert [len(f.valid) for f in purged.folds] == [100] * 5
    assert [len(f.train) for f in purged.folds] == [100, 200, 300, 400, 500]
    assert len(folds.by_group_time(stay, time, nfolds=0, seed=0).folds) == 1


@settings(deadline=None, max_examples=100)
@example(20, 5, -1, 156)
@given(st.integers(20, 200), st.integers(2, 30), st.integers(-1, 6), st.integers(0, 2**31))
def test_groups_stay_whole(n: int, groups: int, nfolds: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups) % n, draw.integers(0, groups, n)])[:n]
    if len(np.unique(group)) < 2:
        return
    plan = folds.by_group(group, draw.integers(0, 2, n), nfolds=nfolds, seed=seed, classification=True)
    check(plan, n, complete=nfolds not in (0, 1))
    for fold in plan.folds:
        assert not set(group[fold.train]) & set(group[fold.valid])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=20, max_size=200), st.integers(0, 6), st.integers(0, 5))
def test_time_folds_only_look_back(moments: list[int], nfolds: int, gap: int) -> None:
    values = np.array(moments, dtype=float)
    try:
        plan = folds.by_time(values, nfolds=nfolds, gap=float(gap))
    except Invalid:
        return
    check(plan, len(values), complete=False)
    assert not plan.bag
    assert len(plan.final_folds) == 3
    for copy in plan.final_folds:
        assert sorted([*copy.train, *copy.valid]) == list(range(len(values)))
    for fold in plan.folds:
        assert values[fold.train].max() < values[fold.valid].min() - gap + 1e-9


def test_a_fold_that_trains_on_one_class_tells_nothing() -> None:
    y = np.array([0] * 20 + [0, 1] * 20)
    plan = folds.by_time(np.arange(60.0), nfolds=5)
    assert [len(np.unique(y[f.train])) for f in plan.folds] == [1, 1, 2, 2, 2]
    assert folds.telling(plan, y).folds == plan.folds[2:]
    assert folds.telling(plan, np.zeros(60)).folds == plan.folds


def test_rows_without_a_moment_only_train() -> None:
    values = np.array([np.nan, *range(30)], dtype=float)
    plan = folds.by_time(values, nfolds=3)
    assert all(0 in f.train for f in plan.folds)
    assert 0 not in plan.validated


def test_the_users_folds() -> None:
    plan = folds.by_column(["a", "b", None, "a", "c", "b"])
    assert [f.valid.tolist() for f in plan.folds] == [[0, 3], [1, 5], [4]]
    assert all(2 in f.train for f in plan.folds)
    with pytest.raises(Invalid, match="different values"):
        folds.by_column(["a"] * 10)


def test_one_holdout_and_automatic_numbers() -> None:
    y = np.arange(1_000) % 2
    plan = folds.plan(y, nfolds=0, seed=3, classification=True)
    assert len(plan.folds) == 1
    assert not plan.bag
    assert len(plan.folds[0].valid) == 200
    assert [folds.automatic(n) for n in (100, 10_000, 200_000, 1_000_000)] == [8, 5, 3, 0]
    assert [folds.automatic(20_000, columns) for columns in (20, 300, 2_000)] == [5, 3, 0], "wide rows take as long as many"
    assert folds.automatic(300, 1_000) == 8
    assert len(folds.plan(np.arange(12) % 2, nfolds=50, seed=0, classification=True).folds) == 6


def test_the_same_seed_gives_the_same_folds() -> None:
    y = np.random.default_rng(0).normal(size=101)
    one, two, other = (folds.plan(y, nfolds=4, seed=s, classification=False) for s in (5, 5, 6))
    assert all((a.valid == b.valid).all() for a, b in zip(one.folds, two.folds, strict=True))
    assert any(a.valid.tolist() != b.valid.tolist() for a, b in zip(one.folds, other.folds, strict=True))


def test_fewer_folds_than_asked_say_why() -> None:
    y, group = np.arange(9.0), np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    moments = np.array([0.0, 0, 0, 1, 1, 1, 2, 2, 2])
    few = replace(folds.plan(y, nfolds=8, seed=0, classification=False), asked=8)
    assert few.count_note == "4 folds instead of 8 because 9 rows are too few for more."
    large = replace(folds.plan(np.arange(150_000.0), nfolds=3, seed=0, classification=False), asked=5)
    assert large.count_note == "3 folds instead of 5 because the table has 150,000 rows."
    grouped = replace(folds.by_group(group, y, nfolds=5, seed=0, classification=False), asked=5)
    assert grouped.count_note == "3 folds instead of 5 because there are 3 groups."
    later = replace(folds.by_time(moments, nfolds=5), asked=5)
    assert later.count_note.startswith("2 folds instead of 5 because no more have something to train on before them (3 different")
    column = replace(folds.by_column(list("aabbccdda")), asked=5)
    assert column.count_note == "4 folds instead of 5 because the fold column has as many values."
    assert replace(folds.plan(y, nfolds=0, seed=0, classification=False), asked=0).count_note is None
    assert replace(folds.plan(y, nfolds=3, seed=0, classification=False), asked=3).count_note is None
