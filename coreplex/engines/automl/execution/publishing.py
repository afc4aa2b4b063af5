"""A finished model becomes files: the bundle that serves it, its curves, its explanation, and the manifest the server
stores.

The bundle is read back before it is announced, so that no model reaches the leaderboard that cannot be loaded.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from coreplex.engines.automl.data.task import Log, Task
from coreplex.engines.automl.ensembles import averaging
from coreplex.engines.automl.evaluation import curves, intervals, threshold
from coreplex.engines.automl.evaluation.metrics import of_task
from coreplex.engines.automl.trial.cross_validation import Finished
from coreplex.engines.explain.importance import explain
from coreplex.engines.messages import MetricInterval, ModelReport, StoredFile
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.conformal import Conformal
from coreplex.engines.scoring.scorer import Scorer, background_of
from coreplex.engines.tabular.schema import TableSchema

_SAMPLE = 200
_RIVALS = 20
_TIMED = 50


@dataclass(frozen=True)
class Publisher:
    """Writes models below `work_dir`, one folder each."""

    work_dir: Path
    task: Task
    engine: str
    metric: str
    log: Log
    keep_predictions: bool = True

    def publish(self, model: Finished, explain_secs: float, rivals: Sequence[Finished] = ()) -> ModelReport:
        """Write one model; the manifest for `Report.model`. `explain_secs`: what the explanation may take; `rivals`: the models
        it was chosen from, where it leads."""
        folder = self.work_dir / model.name
        folder.mkdir(parents=True, exist_ok=True)
        written = bundle.write(folder / "bundle.zip", self._manifest(model), model.members)
        scorer = Scorer.load(written.path, written.sha256)
        explanation = self._explanation(scorer, explain_secs)
        report: ModelReport = {
            "name": model.name,
            "algo": model.algo,
            "engine": self.engine,
            "metrics": model.metrics,
            "cv_metrics": model.cv_metrics,
            "metric_intervals": self._intervals(model, rivals),
            "threshold": self._threshold(model),
            "parameters": {
                **model.parameters,
                **({"folds_note": self.task.plan.count_note} if self.task.plan.count_note else {}),
            },
            "features": [f for f in self.task.frame.columns if f in scorer.features],
            "classes": list(self.task.classes),
            "training_time_secs": round(model.seconds, 3),
            "size_bytes": written.size,
            "latency_ms": self._latency(scorer),
            "score": model.metrics[self.metric],
            "sort_metric": self.metric,
            "folds": len(self.task.plan.folds),
            "bundle": {"path": str(written.path), "sha256": written.sha256, "size": written.size},
            "curves": self._json(folder / "curves.json", self._curves(model)),
            "explanation": self._json(folder / "explanation.json", explanation),
        }
        if self.keep_predictions:
            report["predictions"] = self._predictions(folder / "oof.parquet", model)
        return report

    def _intervals(self, model: Finished, rivals: Sequence[Finished]) -> list[MetricInterval]:
        """What each metric will be on a new holdout."""
        task, measures = self.task, of_task(self.task.kind, self.task.quantile)
        best = sorted(rivals, key=lambda m: -m.score(self.metric))[:_RIVALS]
        luck = intervals.optimism(self.metric, measures[self.metric], [m.predictions for m in best], task.seed)
        gains = averaging.gains(task, model.members, model.combine, model.metrics, model.calibration)
        shift, later = {self.metric: luck}, task.plan.forward
        return intervals.intervals(model.predictions, measures, model.per_fold, task.seed, shift=shift, gains=gains, later=later)

    def _threshold(self, model: Finished) -> dict[str, Any] | None:
        task = self.task
        if model.decision is None:
            return None
        y = task.y[task.plan.validated].astype(np.int64)
        return threshold.described(model.decision, y, task.aim, task.classes, model.metrics)

    def _explanation(self, scorer: Scorer, budget_secs: float) -> dict[str, Any]:
        """A model is not given up because it cannot be explained: then the file says why."""
        try:
            return explain(scorer, self._sample(), self._sampled_target(), self.task.seed, budget_secs=budget_secs)
        except MemoryError:
            raise
        except Exception as error:
            self.log(f"{scorer.manifest.algo} model without an explanation: {type(error).__name__}: {error}", "warning")
            return {"method": "none", "feature_importance": [], "shap": None, "error": str(error)}

    def _manifest(self, model: Finished) -> Manifest:
        task = self.task
        return Manifest(
            task=task.kind,
            target=task.target.name,
            classes=task.classes,
            feature_schema=TableSchema(task.columns).to_json(),
            algo=model.algo,
            engine=self.engine,
            combine=model.combine,
            calibration=None if model.calibration is None else model.calibration.to_json(),
            threshold=threshold.DEFAULT if model.decision is None else model.decision.threshold,
            conformal=self._conformal(model).to_json(),
            background=background_of(task.frame, task.columns, seed=task.seed),
            parameters={k: list(v) if isinstance(v, tuple) else v for k, v in model.parameters.items()},
            extra={"name": model.name, "metrics": model.metrics, "folds": task.plan.strategy},
        )

    def _conformal(self, model: Finished) -> Conformal:
        rows = self.task.plan.validated
        y, p = self.task.y[rows], model.oof[rows]
        if self.task.classification:
            return Conformal.of_classes(y.astype(np.int64), p)
        return Conformal.of_numbers(y.astype(np.float64), p[:, 0])

    def _sample(self) -> pl.DataFrame:
        return self.task.frame[self._sampled_rows()]

    def _sampled_rows(self) -> np.ndarray[Any, Any]:
        n = len(self.task.y)
        return np.sort(np.random.default_rng(self.task.seed).permutation(n)[:_SAMPLE])

    def _sampled_target(self) -> np.ndarray[Any, Any]:
        return self.task.y[self._sampled_rows()]

    def _curves(self, model: Finished) -> dict[str, Any]:
        rows = self.task.plan.validated
        y, p = self.task.y[rows], model.oof[rows]
        if self.task.classification:
            return curves.classification(y.astype(np.int64), p, self.task.classes, model.predicted[rows])
        return curves.regression(y.astype(np.float64), p)

    def _latency(self, scorer: Scorer) -> float:
        """Median milliseconds for one row, dict to answer."""
        rows = self.task.frame.head(_TIMED).to_dicts()
        times = []
        for row in rows:
            start = time.perf_counter()
            scorer.predict_row(row)
            times.append(time.perf_counter() - start)
        return round(float(np.median(times)) * 1_000, 4)

    def _predictions(self, path: Path, model: Finished) -> StoredFile:
        """Out-of-fold predictions by row of the training table, NaN where no fold judged it."""
        names = [f"p{i}" for i in range(model.oof.shape[1])]
        frame = pl.DataFrame({"y": self.task.y, **dict(zip(names, model.oof.T.astype(np.float32), strict=True))})
        frame.write_parquet(path, compression="zstd")
        return _file(path)

    def _json(self, path: Path, value: Any) -> StoredFile:
        path.write_bytes(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
        return _file(path)


def _file(path: Path) -> StoredFile:
    data = path.read_bytes()
    return {"path": str(path), "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
