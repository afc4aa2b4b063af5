"""What a candidate is expected to take, what is learned of that, and what happens where it takes longer."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.execution.run import raised
from coreplex.engines.automl.families import lightgbm
from coreplex.engines.automl.families.base import Problem, Trained
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.families.forest import XRT
from coreplex.engines.automl.families.lightgbm import QUICK, STEADY
from coreplex.engines.automl.families.linear import LINEAR
from coreplex.engines.automl.families.mlp import NETWORK
from coreplex.engines.automl.families.xgboost import XGB
from coreplex.engines.automl.trial.costs import HOPELESS, Costs
from coreplex.engines.automl.trial.cross_validation import TooSlow, cross_validate
from coreplex.engines.automl.trial.matrices import Matrices
from tests.engines.runs import task_of


@pytest.mark.parametrize("candidate", [QUICK, LINEAR, NETWORK, XRT, STEADY], ids=lambda one: f"{one.algo}-{len(one.params)}")
def test_what_a_candidate_takes_decides_its_rows(candidate: Candidate, tmp_path: Path) -> None:
    task, costs = task_of(3_000, tmp_path), Costs()
    costs.measure(task, budget=600.0)
    assert costs.width["tree"] == 6
    few, many = (costs.candidate(candidate, task, rows, encoded=False) for rows in (500, 2_000))
    assert 0 < few < many
    assert costs.rows(candidate, task, 1e6, lambda rows: False) is None
    assert costs.rows(candidate, task, 1e-6, lambda rows: False) == 0
    assert costs.rows(candidate, task, few, lambda rows: False) in (500, None)
    before = costs.fitting(candidate, task, 2_000)
    costs.learn(candidate, task, 2_000, candidate.family.fair_rounds(candidate.params), 6, 10 * before + 1)
    assert costs.fitting(candidate, task, 2_000) == pytest.approx(10 * before + 1)


def test_one_slow_fit_among_quick_ones_is_no_pace(tmp_path: Path) -> None:
    """The first fit of a family may load libraries, or be interrupted; those after it say what it takes."""
    task, costs = task_of(1_000, tmp_path), Costs()
    before = costs.fitting(LINEAR, task, 500)
    costs.learn(LINEAR, task, 500, 1, 6, 2.0)
    assert costs.fitting(LINEAR, task, 500) == pytest.approx(2.0)
    costs.learn(LINEAR, task, 500, 1, 6, 0.001)
    assert costs.fitting(LINEAR, task, 500) == pytest.approx(0.001)
    costs.learn(NETWORK, task, 500, 12, 6, 0.0199)
    assert costs.fitting(NETWORK, task, 500) <= 0.02
    assert costs.fitting(LINEAR, task, 500) < before * 10, "a short fit says that the family is no slower"


@pytest.mark.parametrize("share", [1.0, 0.6, 0.01], ids=["enough", "for fewer rows", "for none"])
def test_fitted_folds_are_kept_where_the_rest_get_fewer_rows(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only fits move on: a second for a thousand rows."""
    task, moment, learned = task_of(4_000, tmp_path), [0.0], []
    problem = Problem("binary", 2, 0)

    def fit(train: Any, valid: Any, *rest: Any) -> Trained:
        learned.append(len(train.y))
        moment[0] += len(train.y) / 1_000
        return lightgbm.fit(train, valid, problem, QUICK.params, Deadline.never(), 2)

    monkeypatch.setattr(time, "perf_counter", lambda: moment[0])
    folds, whole = task.plan.folds, max(len(fold.train) for fold in task.plan.folds)
    seconds = share * sum(len(fold.train) for fold in folds) / 1_000
    deadline = Deadline(seconds, lambda: False, lambda: moment[0])
    watched = replace(QUICK, family=replace(QUICK.family, fit=fit))
    arguments = ("GBM_1", watched, Matrices(task), problem, deadline)
    if share < 1 / HOPELESS:
        with pytest.raises(TooSlow):
            cross_validate(*arguments, insist=False)
        assert len(learned) == 1
        return
    model = cross_validate(*arguments, insist=False)
    assert learned[0] >= whole - 1
    assert len(learned) == len(model.members) == len(folds)
    assert (min(learned) < whole - 1) == (share < 1.0) == (model.learned < whole - 1)
    assert moment[0] <= 2 * len(folds) * whole / 1_000


@pytest.mark.parametrize("candidate", [STEADY, XGB], ids=["learning_rate", "eta"])
def test_a_booster_that_has_no_time_for_its_small_steps_takes_larger_ones(candidate: Candidate, tmp_path: Path) -> None:
    task, costs = task_of(1_000, tmp_path), Costs()
    short = replace(QUICK, params={**QUICK.params, "rounds": 40})
    quick = cross_validate("GBM_1", short, Matrices(task), Problem("binary", 2, 0), Deadline.never())
    for cut, distance in ((False, 1.0), (True, 2.5)):
        model = replace(quick, cut=cut, parameters={**quick.parameters, "rounds": 40})
        needed = distance * 40 * 0.1 / candidate.rate
        assert raised(candidate, [model], needed) == candidate, "there is time enough"
        faster = raised(candidate, [model], needed / 2)
        assert faster.rate == pytest.approx(2 * candidate.rate, rel=0.01)
        assert faster.algo == candidate.algo
        assert set(faster.params) == set(candidate.params)
        assert candidate.rate < raised(candidate, [model], 1.0).rate <= 0.2
    assert raised(candidate, [], 1.0) == candidate
    before = costs.rounds(candidate, task, 800, 1.0)
    assert costs.rounds(candidate, task, 800, 2.0) > before > costs.rounds(candidate, task, 1_600, 1.0)
    assert costs.rounds(candidate, task, 800, 0.0) == 0
