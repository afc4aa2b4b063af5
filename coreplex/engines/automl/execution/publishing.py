"""A finished model becomes files: the bundle that serves it, its curves, its explanation, and the manifest the server
stores.

The bundle is read back before it is announced, so that no model reaches the leaderboard that cannot be loaded.
"""

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from coreplex.engines.automl.data.task import Log, Task
from coreplex.engines.automl.evaluation import curves, intervals, measures, metrics
from coreplex.engines.automl.evaluation.measures import Array
from coreplex.engines.automl.execution.answer_bins import answer_bins
from coreplex.engines.automl.execution.copies import Copies, some_rows
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.drift import layout
from coreplex.engines.estimation import class_calibration, error_model
from coreplex.engines.estimation.baseline import LEAST_ROWS, Estimation
from coreplex.engines.estimation.class_calibration import ClassCalibration
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.explain.importance import explain
from coreplex.engines.messages import MetricInterval, ModelReport, StoredFile
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.calibration import Conformal
from coreplex.engines.scoring.contributions import background_of
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import TableSchema

_EXPLAINED, _TIMED = 200, 50
"""Rows that are explained, and timed."""
_RIVALS = 20


@dataclass(frozen=True)
class Publisher:
    """Writes models below `work_dir`, one folder each."""

    work_dir: Path
    engine: str
    metric: str
    log: Log
    inputs: StoredFile
    keep_predictions: bool = True
    threads: int = 1

    def publish(self, model: Finished, explain_secs: float, rivals: Sequence[Finished] = ()) -> ModelReport:
        """Write one model; the manifest for `Report.model`. `explain_secs`: what the explanation may take; `rivals`: the models
        it was chosen from, where it leads."""
        task, folder = model.task, self.work_dir / model.name
        folder.mkdir(parents=True, exist_ok=True)
        written = bundle.write(folder / "bundle.zip", _manifest(model, self.engine), model.members)
        scorer = Scorer.load(written.path, written.sha256)
        explanation, copies = self._explanation(scorer, task, explain_secs), Copies.of(model)
        report: ModelReport = {
            "name": model.name,
            "algo": model.algo,
            "engine": self.engine,
            "metrics": model.metrics,
            "cv_metrics": model.cv_metrics,
            "metric_intervals": self._intervals(model, rivals, copies),
            "threshold": _threshold(model),
            "parameters": {**model.parameters, **({"folds_note": task.plan.count_note} if task.plan.count_note else {})},
            "features": [name for name in task.frame.columns if name in scorer.features],
            "classes": list(task.classes),
            "training_time_secs": round(model.seconds, 3),
            "size_bytes": written.size,
            "latency_ms": _latency(scorer, task),
            "score": model.metrics[self.metric],
            "sort_metric": self.metric,
            "folds": len(task.plan.folds),
            "inputs": self.inputs,
            "answers": [feature.to_json() for feature in answer_bins(model, copies)],
            "estimation": _bytes(folder / "estimation.zip", self._estimation(model, explanation).dumps()),
            "bundle": {"path": str(written.path), "sha256": written.sha256, "size": written.size},
            "curves": _json(folder / "curves.json", _curves(model)),
            "explanation": _json(folder / "explanation.json", explanation),
        }
        if self.keep_predictions:
            report["predictions"] = _predictions(folder / "oof.parquet", model)
        return report

    def _intervals(self, model: Finished, rivals: Sequence[Finished], copies: Copies | None) -> list[MetricInterval]:
        """What each metric will be on a new holdout."""
        task, judged, measures = model.task, model.predictions, metrics.of_task(model.task.kind, model.task.quantile)
        best = sorted(rivals, key=lambda m: -m.score(self.metric))[:_RIVALS]
        luck = intervals.optimism(self.metric, measures[self.metric], [m.predictions for m in best], task.seed)
        shift, gains, later = {self.metric: luck}, _averaging_gains(model, copies), task.plan.forward
        return intervals.intervals(judged, measures, model.per_fold, task.seed, shift=shift, gains=gains, later=later)

    def _estimation(self, model: Finished, explanation: Mapping[str, Any]) -> Estimation:
        """By what its metrics are estimated once it serves; a model is not given up where that cannot be learned."""
        judged, promised = model.predictions, _promised(model)
        if len(judged.y) < LEAST_ROWS:
            return Estimation(len(judged.y), promised)
        try:
            if model.task.classification:
                return _by_confidence(model, promised)
            return Estimation(len(judged.y), promised, errors=self._errors(model, explanation))
        except MemoryError:
            raise
        except Exception as error:
            self.log(f"{model.name} without estimates of its metrics: {type(error).__name__}: {error}", "warning")
            return Estimation(len(judged.y), promised)

    def _errors(self, model: Finished, explanation: Mapping[str, Any]) -> ErrorModel:
        task = model.task
        features = _most_important(self._features, explanation)
        judged = task.plan.validated
        rows = judged[error_model.sample(len(judged), len(features), task.seed)]
        values = layout.table_values(features, task.frame[rows])
        y = task.y[rows].astype(np.float64)
        names = [feature.name for feature in features]
        return ErrorModel.fit(names, values, model.oof[rows, 0], y, seed=task.seed, threads=self.threads)

    @cached_property
    def _features(self) -> tuple[layout.Feature, ...]:
        return tuple(map(layout.Feature.from_json, orjson.loads(Path(self.inputs["path"]).read_bytes())))

    def _explanation(self, scorer: Scorer, task: Task, budget_secs: float) -> dict[str, Any]:
        """A model is not given up because it cannot be explained: then the file says why."""
        rows = some_rows(task, _EXPLAINED)
        try:
            return explain(scorer, task.frame[rows], task.y[rows], task.seed, budget_secs=budget_secs)
        except MemoryError:
            raise
        except Exception as error:
            self.log(f"{scorer.manifest.algo} model without an explanation: {type(error).__name__}: {error}", "warning")
            return {"method": "none", "feature_importance": [], "shap": None, "error": str(error)}


def _promised(model: Finished) -> metrics.Metrics:
    """Every metric on the judged rows, those that nothing is ranked by as well."""
    if not model.task.classification:
        return model.metrics
    every = np.ones((1, len(model.predictions.y)))
    more = {name: float(measure(model.predictions, every)[0]) for name, measure in measures.FURTHER.items()}
    return {**model.metrics, **{name: value if math.isfinite(value) else None for name, value in more.items()}}


def _by_confidence(model: Finished, promised: metrics.Metrics) -> Estimation:
    judged, seed = model.predictions, model.task.seed
    rows = class_calibration.sample(len(judged.y), judged.p.shape[1], seed)
    y, p = judged.y[rows].astype(np.int64), judged.p[rows]
    scarce = class_calibration.scarcest(y, p.shape[1])
    calibration = ClassCalibration.fit(y, p) if scarce is None else None
    return Estimation(len(judged.y), promised, calibration, scarce=scarce)


def _most_important(features: Sequence[layout.Feature], explanation: Mapping[str, Any]) -> list[layout.Feature]:
    """The columns the model looks at, as far as its errors are learned from them: not all of very many."""
    rank = {one["feature"]: place for place, one in enumerate(explanation["feature_importance"])}
    ranked = sorted(features, key=lambda one: rank.get(one.name, len(rank)))[: error_model.MOST_COLUMNS]
    kept = {one.name for one in ranked}
    return [one for one in features if one.name in kept]


def _manifest(model: Finished, engine: str) -> Manifest:
    task = model.task
    return Manifest(
        task=task.kind,
        target=task.target.name,
        classes=task.classes,
        feature_schema=TableSchema(task.columns).to_json(),
        algo=model.algo,
        engine=engine,
        combine=model.combine,
        calibration=None if model.calibration is None else model.calibration.to_json(),
        threshold=metrics.THRESHOLD if model.decision is None else model.decision.threshold,
        conformal=_conformal(model).to_json(),
        background=background_of(task.frame, task.columns, seed=task.seed),
        parameters={k: list(v) if isinstance(v, tuple) else v for k, v in model.parameters.items()},
        extra={"name": model.name, "metrics": model.metrics, "folds": task.plan.strategy},
    )


def _conformal(model: Finished) -> Conformal:
    judged = model.predictions
    if model.task.classification:
        return Conformal.of_classes(judged.y.astype(np.int64), judged.p)
    return Conformal.of_numbers(judged.y.astype(np.float64), judged.p[:, 0])


def input_bins(task: Task, work_dir: Path) -> StoredFile:
    """Write the columns of the task in bins, by which requests of its models are counted one day."""
    work_dir.mkdir(parents=True, exist_ok=True)
    return _json(
        work_dir / "inputs.json", [feature.to_json() for feature in layout.of_table(task.frame, task.columns, task.seed)]
    )


def _threshold(model: Finished) -> dict[str, Any] | None:
    task = model.task
    if model.decision is None:
        return None
    y = task.y[task.plan.validated].astype(np.int64)
    return metrics.described_decision(model.decision, y, task.aim, task.classes, model.metrics)


def _curves(model: Finished) -> dict[str, Any]:
    judged = model.predictions
    if model.task.classification:
        return curves.classification(judged.y.astype(np.int64), judged.p, model.task.classes, judged.predicted)
    return curves.regression(judged.y.astype(np.float64), judged.p)


def _averaging_gains(model: Finished, copies: Copies | None) -> dict[str, float]:
    """By how much averaging the fold copies may make each metric better than out-of-fold (zero or more, in its unit); empty for
    models that are no bag.

    Out-of-fold predictions show a single copy. A bag is better than each copy by what the copies differ (the ambiguity
    decomposition: Krogh & Vedelsby 1995), and that can be seen on the rows of training: there one copy has not seen the row and
    the others have.
    """
    if copies is None:
        return {}
    task = model.task

    def evaluated(predicted: Array) -> metrics.Metrics:
        return metrics.evaluate(task.kind, task.y[copies.rows], predicted, quantile=task.quantile)

    alone = list(map(evaluated, copies.alone))
    found: dict[str, float] = {}
    for name, value in evaluated(copies.together).items():
        single = [v for one in alone if (v := one[name]) is not None]
        if value is not None and single:
            gained = value - float(np.mean(single))
            found[name] = max(gained if name in metrics.HIGHER_IS_BETTER else -gained, 0.0)
    if (rmse := model.metrics.get("rmse")) is not None:
        # Rows that were trained on have small errors, whose roots differ more: the squares differ as they do elsewhere.
        found["rmse"] = rmse - math.sqrt(max(rmse * rmse - found.get("mse", 0.0), 0.0))
    return found


def _latency(scorer: Scorer, task: Task) -> float:
    """Median milliseconds for one row, dict to answer."""
    times = []
    for row in task.frame.head(_TIMED).to_dicts():
        start = time.perf_counter()
        scorer.predict_row(row)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1_000, 4)


def _predictions(path: Path, model: Finished) -> StoredFile:
    """Out-of-fold predictions by row of the training table, NaN where no fold judged it."""
    names = [f"p{i}" for i in range(model.oof.shape[1])]
    frame = pl.DataFrame({"y": model.task.y, **dict(zip(names, model.oof.T.astype(np.float32), strict=True))})
    frame.write_parquet(path, compression="zstd")
    return _stored(path)


def _json(path: Path, value: Any) -> StoredFile:
    return _bytes(path, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def _bytes(path: Path, data: bytes) -> StoredFile:
    path.write_bytes(data)
    return _stored(path)


def _stored(path: Path) -> StoredFile:
    data = path.read_bytes()
    return {"path": str(path), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
