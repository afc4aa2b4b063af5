"""Folds that are fitted side by side are those that are fitted one after the other, and models are written beside them."""

import threading
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreplex.engines.automl import train
from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.execution.publishing import Publisher
from coreplex.engines.automl.families import lightgbm, linear, mlp, xgboost
from coreplex.engines.automl.families.base import Learner, Params, Problem, Sample, Trained
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.trial.costs import Costs, Memory, waves
from coreplex.engines.automl.trial.cross_validation import cross_validate
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.scoring.lightgbm import LightGbm
from tests.engines.runs import Report, request, table, task_of

CANDIDATES = [
    Candidate("GBM", lightgbm.FAMILY, {"rounds": 20, "num_leaves": 7}),
    Candidate("XGBoost", xgboost.FAMILY, {"rounds": 10, "max_depth": 3}),
    Candidate("GLM", linear.FAMILY, {}),
    Candidate("DeepLearning", mlp.FAMILY, {"rounds": 3, "hidden": (8,)}),
]


def fitted_by(fit: Learner) -> Candidate:
    """The first candidate with another function that fits it."""
    return replace(CANDIDATES[0], family=replace(CANDIDATES[0].family, fit=fit))


def judged(candidate: Candidate, path: Path, workers: int, costs: Costs | None = None) -> Finished:
    task = task_of(600, path)
    matrices = Matrices(task, memory=Memory(workers=workers))
    problem = Problem(task.kind, task.outputs, seed=1)
    return cross_validate("one", candidate, matrices, problem, Deadline.never(), costs=costs)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda one: one.family.key)
def test_predictions_and_members_are_the_same_however_many_are_fitted_at_a_time(candidate: Candidate, tmp_path: Path) -> None:
    alone, *others = (judged(candidate, tmp_path, workers) for workers in (1, 2, 3, 50))
    for other in others:
        np.testing.assert_array_equal(other.oof, alone.oof)
        assert other.parameters == alone.parameters
        assert len(other.members) == len(alone.members) > 1
    assert not np.isnan(alone.oof).any()


def test_as_many_folds_as_workers_are_under_way_and_costs_learn_of_each(tmp_path: Path) -> None:
    under_way, most, lock, fit = 0, 0, threading.Lock(), lightgbm.fit

    def watched(*arguments: Any) -> Trained:
        nonlocal under_way, most
        with lock:
            under_way, most = under_way + 1, max(most, under_way + 1)
        time.sleep(0.05)
        found = fit(*arguments)
        with lock:
            under_way -= 1
        return found

    costs = Costs(workers=3)
    judged(fitted_by(watched), tmp_path, 3, costs)
    assert most == 3
    assert costs.seconds_per_unit["lightgbm"] > 0


@pytest.mark.parametrize(("rounds", "whole"), [(1, False), (15, False), (17, True), (20, True)])
def test_a_fit_on_all_rows_that_the_clock_ended_early_is_not_what_was_judged(rounds: int, whole: bool, tmp_path: Path) -> None:
    def hurried(train: Sample, valid: Sample | None, problem: Problem, params: Params, *rest: Any) -> Trained:
        if valid is not None:
            return replace(lightgbm.fit(train, None, problem, params, *rest), rounds=20)
        found = lightgbm.fit(train, None, problem, params, rest[0], rounds)
        return replace(found, cut=rounds < 20)

    task = task_of(600, tmp_path, nfolds=0)
    problem = Problem(task.kind, task.outputs, seed=1)
    made = cross_validate("one", fitted_by(hurried), Matrices(task), problem, Deadline.never())
    (fold,) = task.plan.folds
    (member,) = made.members
    judged = member.predictor.predict(Matrices(task).fold(made.candidate.encoding, 0).valid.x)
    assert np.array_equal(judged, made.oof[fold.valid]) is not whole
    assert isinstance(member.predictor, LightGbm)
    assert member.predictor.text.count("\nTree=") == (rounds if whole else 20)


@pytest.mark.parametrize("short", [0, 1, 3])
def test_copies_of_a_forward_plan_that_the_clock_ended_early_are_left_out(short: int, tmp_path: Path) -> None:
    """Where all are, the copies of the folds are the model, as they were judged."""
    task = task_of(600, tmp_path, validation="time", nfolds=2)
    folds, copies, calls = len(task.plan.folds), len(task.plan.final_folds), count()

    def hurried(train: Sample, valid: Sample | None, problem: Problem, params: Params, *rest: Any) -> Trained:
        early = folds <= next(calls) < folds + short
        found = lightgbm.fit(train, None, problem, params, rest[0], 1 if early else 20)
        return replace(found, cut=early)

    problem = Problem(task.kind, task.outputs, seed=1)
    made = cross_validate("one", fitted_by(hurried), Matrices(task), problem, Deadline.never())
    expected = copies - short or folds
    assert [member.weight for member in made.members] == pytest.approx([1 / expected] * expected)
    trees = {member.predictor.text.count("\nTree=") for member in made.members if isinstance(member.predictor, LightGbm)}
    assert (trees, made.parameters["rounds"]) == ({20}, 20)


def test_an_error_of_one_fold_is_raised_when_all_have_ended(tmp_path: Path) -> None:
    fit, ended = lightgbm.fit, list[int]()

    def failing(*arguments: Any) -> Trained:
        if not ended:
            ended.append(0)
            raise ValueError("a strange fold")
        found = fit(*arguments)
        ended.append(1)
        return found

    with pytest.raises(ValueError, match="a strange fold"):
        judged(fitted_by(failing), tmp_path, 2)
    assert ended == [0, 1]


def test_what_comes_after_each_other_is_what_takes_time(tmp_path: Path) -> None:
    task = task_of(600, tmp_path)
    assert [waves(5, workers) for workers in (1, 2, 3, 5, 8)] == [5, 3, 2, 1, 1]
    alone, two = (
        Costs(workers=workers).candidate(CANDIDATES[0], task, 400, encoded=True) for workers in (1, len(task.plan.folds))
    )
    assert alone == pytest.approx(two * len(task.plan.folds))


def test_fewer_folds_side_by_side_where_memory_is_short(tmp_path: Path) -> None:
    task = task_of(2_000, tmp_path)
    assert Memory(8 << 30, workers=4).roomy(task, 10, 20).workers == 4
    assert Memory(1, workers=4).roomy(task, 10, 20).workers == 1
    wide = [Memory(4 << 30, workers=count).rows(task, 100_000, 20) for count in (1, 2, 4)]
    assert wide == sorted(wide, reverse=True)
    assert Memory(4 << 30, workers=2).dense_rows(100) == Memory(4 << 30).dense_rows(100) // 2


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("when", [None, 1], ids=["all are stored", "one cannot be"])
def test_models_are_written_beside_the_next_fits_and_all_before_the_end(
    threads: int, when: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, begun = Publisher.publish, list[str]()

    def watched(one: Publisher, model: Finished, **more: Any) -> dict[str, Any]:
        begun.append(threading.current_thread().name.split("_")[0])
        if len(begun) - 1 == when:
            raise ValueError("The model is too large")
        time.sleep(0.1)
        return publish(one, model, **more)

    monkeypatch.setattr(Publisher, "publish", watched)
    report = Report()
    config = {"max_models": 3, "max_runtime_secs": 30, "algorithms": ["GBM", "StackedEnsemble"]}
    asked = request(table(), "amount", "regression", tmp_path, **config)
    result = train.run({**asked, "threads": threads}, report)
    assert set(begun) == {"MainThread" if threads == 1 else "writer"}
    said = [model["name"] for model in report.baselines + report.models]
    assert sorted(said) == sorted(result["leaderboard"])
    assert len(said) == len(begun) - (when is not None)
    lost = [message for message in report.logs if "cannot be stored and is left out: The model is too large" in message]
    assert len(lost) == (when is not None)
    assert all((tmp_path / name / "bundle.zip").exists() for name in said)
