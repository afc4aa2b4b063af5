"""The search of FLAML (Wang et al. 2021): it proposes which learner to train with which parameters, we train and judge.

FLAML is given row numbers for a table and a splitter that walks our folds; its estimators are replaced by ours, which
look the rows up in the encoded fold, train with FLAML's parameters until our clock, and predict. So nothing leaks,
every model can be exported without pickle, and the budget holds, which FLAML's own does not. Only learners that can
be exported take part: kNN and CatBoost do not.

What is relied on, of FLAML 2.7 (`pyproject.toml` allows no later one until this was read again):

- `AutoML.add_learner` takes a subclass of `BaseEstimator`, of which it asks `search_space`, `size` and
  `cost_relative2lgbm` of the class, makes an object of a configuration and calls its `fit`, whose result is seconds;
- a `split_type` that is an object is asked `get_n_splits()` and `split(x)`, fold by fold: a fold is trained and its
  metric asked for before the next fold is taken, so that `TrialRunner.fold` is the fold at hand;
- on big tables the first trials train on a part of the rows of a fold;
- a metric that is a function gets the rows of the fold that judge as its first argument and returns a loss;
- `skip_transform` leaves the one column of row numbers as it is;
- errors of `fit` end the search (`Over`), and what FLAML does after it, a fit on all rows outside any fold, ends so.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from flaml import AutoML
from flaml.automl.model import (
    BaseEstimator,
    ExtraTreesEstimator,
    LGBMEstimator,
    LRL2Classifier,
    RandomForestEstimator,
    XGBoostLimitDepthEstimator,
    XGBoostSklearnEstimator,
)
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.execution.run import Run
from coreplex.engines.automl.families import forest, lightgbm, linear, xgboost
from coreplex.engines.automl.families.base import Sample, Trained
from coreplex.engines.automl.families.family import Candidate, Family
from coreplex.engines.automl.options.engine_registry import ENGINES
from coreplex.engines.automl.trial.cross_validation import refitted
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.scoring.ensemble import Member

Ids = NDArray[np.int64]
_PROGRESS = 0.005
"""A better trial is shown while the search goes on from this relative gain on; smaller steps wait for the end."""
_PAUSE = 0.1
"""Share of the budget between two models that are shown early: writing one takes time from the search."""
_REFIT = 3
"""Where a model must be fitted again on all rows, a trial may take a third of what is left, so that there is time for it."""


@dataclass(frozen=True)
class Learner:
    """How one of FLAML's learners is trained here: its search space, our family, our names of its parameters."""

    algo: str
    family: Family
    space: Any
    names: Mapping[str, str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    convert: Callable[[Any], Any] = lambda value: value
    """From FLAML's value of a parameter to ours."""

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """The candidate of a configuration in FLAML's names. Ours stop by the clock alone, as FLAML chooses the rounds."""
        named = {ours: self.convert(params[theirs]) for theirs, ours in self.names.items() if theirs in params}
        return Candidate(self.algo, self.family, {**self.fixed, **named, "patience": 0})


_LIGHTGBM = {
    "n_estimators": "rounds", "num_leaves": "num_leaves", "min_child_samples": "min_data_in_leaf",
    "learning_rate": "learning_rate",
    "max_bin": "max_bin", "colsample_bytree": "feature_fraction", "reg_alpha": "lambda_l1", "reg_lambda": "lambda_l2",
}  # fmt: skip
_XGBOOST = {
    "n_estimators": "rounds", "max_leaves": "max_leaves", "max_depth": "max_depth", "grow_policy": "grow_policy",
    "min_child_weight": "min_child_weight", "learning_rate": "eta", "subsample": "subsample",
    "colsample_bylevel": "colsample_bylevel",
    "colsample_bytree": "colsample_bytree", "reg_alpha": "reg_alpha", "reg_lambda": "reg_lambda",
}  # fmt: skip
_FOREST = {"n_estimators": "rounds", "max_features": "feature_fraction_bynode", "max_leaf_nodes": "num_leaves"}
_BAGGED = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.632, "min_data_in_leaf": 2}
LEARNER: Mapping[str, Learner] = {
    "lgbm": Learner("GBM", lightgbm.FAMILY, LGBMEstimator, _LIGHTGBM),
    "xgboost": Learner("XGBoost", xgboost.FAMILY, XGBoostSklearnEstimator, _XGBOOST),
    "xgb_limitdepth": Learner("XGBoost", xgboost.FAMILY, XGBoostLimitDepthEstimator, _XGBOOST),
    "rf": Learner("DRF", forest.FAMILY, RandomForestEstimator, _FOREST, _BAGGED),
    "extra_tree": Learner("XRT", forest.FAMILY, ExtraTreesEstimator, _FOREST, {**_BAGGED, "extra_trees": True}),
    "lrl2": Learner("GLM", linear.FAMILY, LRL2Classifier, {"C": "path"}, convert=lambda strength: (float(strength),)),
}


class Over(Exception):
    """Ends FLAML's loop: no time, or told to stop."""


@dataclass
class Trial:
    """One configuration on its way through the folds."""

    candidate: Candidate
    oof: NDArray[np.float64]
    started: float = field(default_factory=time.perf_counter)
    members: list[Member] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    whole: bool = True
    """False once a fold was trained on a part of its rows only, as FLAML does at first on big tables."""


def search(run: Run) -> None:
    """Let FLAML search for as long as it may; show the first model and real progress early, publish the best at the end."""
    logging.getLogger("flaml").setLevel(logging.ERROR)
    runner = TrialRunner(run)
    known = {key: one for key, one in LEARNER.items() if _allowed(one, run)}
    if not known:
        run.log("FLAML has no learner for these algorithms that can be exported.", "warning")
        return
    search_ = AutoML()
    for key, one in known.items():
        search_.add_learner(f"our_{key}", estimator(one, runner))
    # FLAML begins with its cheapest configurations: the first models are not the ones to end with.
    run.counted = False
    runner.reserve(len({one.algo for one in known.values()}))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search_.fit(X_train=runner.ids, y_train=run.task.y, **_settings(run, runner, list(known)))
    except Over:
        pass
    finally:
        runner.finish()


def _allowed(learner: Learner, run: Run) -> bool:
    if learner.algo in ENGINES["flaml"].classification_only and not run.task.classification:
        return False
    return run.may(learner.candidate({}))


def _settings(run: Run, runner: "TrialRunner", keys: list[str]) -> dict[str, Any]:
    return {
        "task": run.task.kind,
        "metric": runner.loss,
        "estimator_list": [f"our_{key}" for key in keys],
        "time_budget": max(run.clock.left, 1.0),
        "eval_method": "cv",
        "split_type": runner,
        "n_splits": runner.get_n_splits(),
        "auto_augment": False,
        "skip_transform": True,
        "retrain_full": False,
        "ensemble": False,
        "model_history": False,
        "n_jobs": 1,
        "seed": run.task.seed,
        "verbose": 0,
        "log_file_name": "",
    }


class TrialRunner:
    """Runs FLAML's trials: the splitter it walks, the loss it minimises, the models that come of them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.fold = -1
        """The fold FLAML is at; none between two trials."""
        self.trial: Trial | None = None
        self.best: dict[str, tuple[float, Finished]] = {}
        self.published: dict[str, float] = {}
        self.early = 0
        self._shown = -np.inf
        n = len(run.task.y)
        self.ids = np.arange(n, dtype=np.float64).reshape(-1, 1)
        self._train, self._valid = (np.zeros((len(run.task.plan.folds), n), dtype=bool) for _ in range(2))
        for number, fold in enumerate(run.task.plan.folds):
            self._train[number, fold.train] = self._valid[number, fold.valid] = True

    def reserve(self, algos: int) -> None:
        """Keep a place on the leaderboard for the best of each of `algos` families; all places but one where they are few."""
        most = self.run.config.max_models
        self.early = max(most - algos, min(most - 1, 1))

    @property
    def over(self) -> bool:
        """No time, or told to stop. A first model is always tried."""
        return self.run.clock.left <= self._again and bool(self.best or self.run.failed)

    @property
    def _again(self) -> float:
        """Seconds to fit the best model once more, on all rows (a quarter more than a holdout's); bagged folds need none."""
        if self.run.task.plan.bag or not self.best:
            return 0.0
        return 1.5 * self.best[self._leader][1].seconds

    # The splitter

    def get_n_splits(self, *_: Any, **__: Any) -> int:
        """How many folds there are."""
        return len(self.run.task.plan.folds)

    def split(self, x: NDArray[np.float64], *_: Any) -> Iterator[tuple[Ids, Ids]]:
        """Positions in `x` (row numbers, perhaps a sample of them) of both sides of each fold."""
        rows = ids_of(x)
        for number in range(self.get_n_splits()):
            self.fold = number
            yield np.flatnonzero(self._train[number, rows]), np.flatnonzero(self._valid[number, rows])
        self.fold = -1

    # A trial

    def fit(self, learner: Learner, params: Mapping[str, Any], x: NDArray[np.float64]) -> float:
        """Train one fold of a trial. `params` in FLAML's names; x: (m, 1) row numbers. Returns seconds."""
        if self.over or self.fold < 0:  # after its search FLAML fits the best on all rows, which nobody needs
            raise Over
        started = time.perf_counter()
        run, fold = self.run, self.run.task.plan.folds[self.fold]
        if self.fold == 0 or self.trial is None:
            self.trial = Trial(learner.candidate(params), np.full((len(run.task.y), run.task.outputs), np.nan))
        sides = run.matrices.fold(self.trial.candidate.encoding, self.fold)
        places = np.sort(np.searchsorted(fold.train, np.unique(ids_of(x))))
        self.trial.whole &= len(places) == len(fold.train)
        train = sides.train if self.trial.whole else _rows(sides.train, places)
        whole = run.clock.share(1 if run.task.plan.bag else _REFIT, stoppable=bool(self.best))
        left = whole.part(self.get_n_splits() - self.fold)
        one: Trained = learner.family.fit(train, sides.valid, run.problem, self.trial.candidate.params, left)
        assert sides.valid is not None
        self.trial.oof[fold.valid] = one.predict(sides.valid)
        self.trial.members += one.members(sides.encoder, 1.0 / self.get_n_splits())
        self.trial.rounds.append(one.rounds)
        return time.perf_counter() - started

    def loss(self, x_valid: NDArray[np.float64], *_: Any, **__: Any) -> tuple[float, dict[str, float]]:
        """FLAML's custom metric: ours on the rows of this fold (m, 1), less is better. After the last fold the trial is a
        model."""
        assert self.trial is not None
        task, metric = self.run.task, self.run.board.metric
        rows = ids_of(x_valid)
        value = metrics.function(task.kind, metric, task.quantile)(task.y[rows], self.trial.oof[rows])
        if self.fold == self.get_n_splits() - 1:
            self._keep(self.trial)
        score = metrics.signed(metric, value)
        return (-score if np.isfinite(score) else 1e18), {}

    def _keep(self, trial: Trial) -> None:
        """Remember a trial that is its family's best; show the leader now if it is worth it."""
        self.run.advance()
        if not trial.whole:
            return
        algo, model = trial.candidate.algo, self._model(trial)
        score = model.score(self.run.board.metric)
        if np.isfinite(score) and (algo not in self.best or score > self.best[algo][0]):
            self.best[algo] = (score, model)
        if self.best and self._worth_showing():
            self._publish(self._leader)

    @property
    def _leader(self) -> str:
        return max(self.best, key=lambda algo: self.best[algo][0])

    def _worth_showing(self) -> bool:
        if self.run.count >= self.early or self.over:
            return False
        if not self.published:
            return True
        known, found = max(self.published.values()), self.best[self._leader][0]
        rested = self.run.clock.elapsed - self._shown > _PAUSE * self.run.clock.budget
        return rested and found - known > _PROGRESS * abs(known)

    def _model(self, trial: Trial) -> Finished:
        run = self.run
        rounds = int(np.median(trial.rounds))
        parameters = {**trial.candidate.params, "rounds": rounds, "folds": self.get_n_splits()}
        seconds = time.perf_counter() - trial.started
        return Finished("", trial.candidate.algo, trial.candidate, tuple(trial.members), trial.oof, seconds, run.task, parameters)

    def _publish(self, algo: str) -> None:
        run, (score, model) = self.run, self.best[algo]
        if not run.task.plan.bag:
            # A holdout or a forward plan wants a last fit on all rows.
            model = refitted(model, run.matrices, run.problem, run.clock.share(1, stoppable=False))
        run.publish(replace(model, name=run.board.name(algo)))
        self.published[algo] = score
        self._shown = run.clock.elapsed

    def finish(self) -> None:
        """Publish each family's best that is not on the leaderboard yet, best first."""
        for algo in sorted(self.best, key=lambda algo: -self.best[algo][0]):
            if self.run.full or (self.run.count and self._too_late(algo)):
                return
            if self.best[algo][0] > self.published.get(algo, -np.inf):
                self._publish(algo)

    def _too_late(self, algo: str) -> bool:
        """The time to fit the leader again was kept back, whatever ended the search; others may have what is left."""
        if self.run.task.plan.bag or algo == self._leader:
            return self.run.clock.late
        return self.run.clock.left < self.best[algo][1].seconds


def ids_of(x: Any) -> Ids:
    """(m,) row numbers from the one column FLAML sees, (m, 1)."""
    return np.asarray(x, dtype=np.float64).reshape(-1).astype(np.int64)


def _rows(sample: Sample, places: Ids) -> Sample:
    weights = sample.weights[places] if sample.weights is not None else None
    return Sample(sample.x[places], sample.y[places], weights, sample.categorical)


class FoldEstimator(BaseEstimator):  # type: ignore[misc]
    """What FLAML takes for a learner: its own space and cost, with our training behind. Each learner has a subclass, since
    FLAML asks classes for both (`estimator`)."""

    learner: ClassVar[Learner]
    runner: ClassVar[TrialRunner]

    def __init__(self, task: Any = "binary", **config: Any) -> None:
        super().__init__(task, **config)
        self._given = {k: v for k, v in config.items() if k not in ("n_jobs", "_estimator_type")}

    @classmethod
    def search_space(cls, data_size: Any, task: Any = None, **_: Any) -> dict[str, Any]:
        """FLAML's own, for a table of (rows, columns) as large as the run's, where `data_size` sees row numbers alone."""
        rows, columns = len(cls.runner.run.task.y), max(len(cls.runner.run.task.columns), 1)
        space: dict[str, Any] = cls.learner.space.search_space(data_size=(min(int(data_size[0]), rows), columns), task=task)
        return space

    @classmethod
    def size(cls, config: dict[str, Any]) -> float:
        """Bytes of a model, as FLAML estimates them; 1 where a configuration has no rounds."""
        return float(cls.learner.space.size(config)) if "n_estimators" in config else 1.0

    @classmethod
    def cost_relative2lgbm(cls) -> float:
        """How many times as long as LightGBM a fit takes, as FLAML estimates it."""
        return float(cls.learner.space.cost_relative2lgbm())

    def fit(self, X_train: Any, y_train: Any, budget: Any = None, free_mem_ratio: float = 0, **_: Any) -> float:
        """Train the fold at hand. X_train: (m, 1) row numbers. Returns seconds."""
        params = self.learner.space(task=self._task, **self._given).params
        return self.runner.fit(self.learner, params, X_train)

    def predict(self, X: Any, **_: Any) -> Any:
        """Not possible: predictions are made while the fold is trained (`TrialRunner.loss`)."""
        raise NotImplementedError("predictions are made while the fold is trained")


def estimator(learner: Learner, runner: TrialRunner) -> type[FoldEstimator]:
    """The estimator class of one learner in one run."""
    return type(f"Fold{learner.space.__name__}", (FoldEstimator,), {"learner": learner, "runner": runner})
