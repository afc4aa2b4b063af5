"""Other ways to the same predictions, each in a process of its own: `peers.py WHICH FOLDER TARGET KIND SECS SEED THREADS`.

Reads train.parquet and test.parquet from the folder, writes predictions.npy and classes.json. `WHICH`: lightgbm and histgb (their
defaults, no budget), tfidf (TF-IDF of the texts and a logistic regression or ridge), flaml, autogluon and h2o (as they come, for
SECS seconds). The last two belong in environments of their own, with Polars beside them.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
Answer = tuple[Any, list[str], str]
"""Predictions (n, k), the classes in the order of their columns, and what was chosen."""


class Job:
    """What a peer is given: frames with text as categories and missing as NaN, as a person would hand them over."""

    def __init__(self, folder: Path, target: str, kind: str, secs: float, seed: int, threads: int) -> None:
        self.folder, self.target, self.kind, self.secs, self.seed, self.threads = folder, target, kind, secs, seed, threads
        self.train, self.test = (_frame(folder / f"{side}.parquet") for side in ("train", "test"))
        self.features = [c for c in self.train.columns if c != target]
        values = self.train[target]
        self.y = values.astype(float) if kind == "regression" else values.astype(str)
        self.classes = [] if kind == "regression" else sorted(self.y.unique())

    def categories(self, most: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both sides with the levels of the training side as categories (numbers of them beyond `most` levels)."""
        train, test = self.train[self.features].copy(), self.test[self.features].copy()
        for column in self.features:
            if train[column].dtype == object:
                levels = sorted(train[column].dropna().unique())
                for side in (train, test):
                    made = pd.Categorical(side[column], categories=levels)
                    side[column] = made if most is None or len(levels) <= most else made.codes.astype(float)
        return train, test


def _frame(path: Path) -> pd.DataFrame:
    table = pl.read_parquet(path)
    columns: dict[str, Any] = {}
    for name in table.columns:
        values = table[name]
        if values.dtype.is_numeric():
            columns[name] = values.to_numpy()
        elif values.dtype.is_temporal():
            columns[name] = values.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64).to_numpy()
        else:
            columns[name] = pd.Series([None if v is None else str(v) for v in values.to_list()], dtype=object)
    return pd.DataFrame(columns)


def lightgbm(job: Job) -> Answer:
    """Without scikit-learn around it."""
    import lightgbm as lgb

    train, test = job.categories()
    objective = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}[job.kind]
    settings: dict[str, Any] = {"objective": objective, "verbosity": -1, "num_threads": job.threads, "seed": job.seed}
    if job.kind == "multiclass":
        settings["num_class"] = len(job.classes)
    y = job.y if job.kind == "regression" else job.y.map({c: i for i, c in enumerate(job.classes)})
    # Names of columns may hold what LightGBM's JSON does not allow.
    train.columns = test.columns = pd.Index([f"f{i}" for i in range(train.shape[1])])
    found = np.asarray(lgb.train(settings, lgb.Dataset(train, y)).predict(test))
    return (np.column_stack([1 - found, found]) if job.kind == "binary" else found), job.classes, "lightgbm"


def histgb(job: Job) -> Answer:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, test = job.categories(most=250)
    make = HistGradientBoostingRegressor if job.kind == "regression" else HistGradientBoostingClassifier
    return _sklearn(make(categorical_features="from_dtype", random_state=job.seed), train, test, job)


def tfidf(job: Job) -> Answer:
    """Words and pairs of each text, one-hot categories, scaled numbers; the penalty as it comes."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = job.train[job.features].copy(), job.test[job.features].copy()
    words = [c for c in job.features if train[c].dtype == object]
    texts = [c for c in words if train[c].nunique() > max(50, len(train) / 2)]
    for side in (train, test):
        side[words] = side[words].fillna("")
    parts: list[Any] = [(f"text {c}", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), c) for c in texts]
    parts.append(("levels", OneHotEncoder(handle_unknown="ignore", min_frequency=2), [c for c in words if c not in texts]))
    numbers = [c for c in job.features if c not in words]
    parts.append(("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers))
    model = Ridge() if job.kind == "regression" else LogisticRegression(C=10.0, max_iter=300)
    return _sklearn(make_pipeline(ColumnTransformer(parts), model), train, test, job)


def _sklearn(model: Any, train: pd.DataFrame, test: pd.DataFrame, job: Job) -> Answer:
    model.fit(train, job.y)
    if job.kind == "regression":
        return model.predict(test), [], type(model).__name__
    return model.predict_proba(test), [str(c) for c in model.classes_], type(model).__name__


def flaml(job: Job) -> Answer:
    from flaml import AutoML

    train, test = job.categories()
    automl = AutoML()
    task = "regression" if job.kind == "regression" else "classification"
    options = {"metric": METRICS[job.kind], "time_budget": job.secs, "n_jobs": job.threads, "seed": job.seed, "verbose": 0}
    automl.fit(train, job.y, task=task, **options)
    if job.kind == "regression":
        return automl.predict(test), [], automl.best_estimator
    return automl.predict_proba(test), [str(c) for c in automl.classes_], automl.best_estimator


def autogluon(job: Job) -> Answer:
    from autogluon.tabular import TabularPredictor

    metric = {"regression": "root_mean_squared_error"}.get(job.kind, METRICS[job.kind])
    predictor = TabularPredictor("target__", job.kind, metric, str(job.folder / "autogluon"), verbosity=0)
    train = job.train[job.features].assign(target__=job.y)
    predictor.fit(train, time_limit=job.secs, presets="best_quality", num_cpus=job.threads, num_gpus=0)
    best = str(predictor.model_best)
    if job.kind == "regression":
        return predictor.predict(job.test[job.features]).to_numpy(), [], best
    return predictor.predict_proba(job.test[job.features])[job.classes].to_numpy(), job.classes, best


def h2o(job: Job) -> Answer:
    import h2o as server
    from h2o.automl import H2OAutoML

    server.init(nthreads=job.threads, max_mem_size="4g", log_level="FATA")
    levels = [c for c in job.features if job.train[c].dtype == object]
    train = server.H2OFrame(job.train[job.features].assign(target__=job.y))
    test = server.H2OFrame(job.test[job.features], column_types=None)
    for column in [*levels, *([] if job.kind == "regression" else ["target__"])]:
        train[column] = train[column].asfactor()
        if column in job.features:
            test[column] = test[column].asfactor()
    automl = H2OAutoML(max_runtime_secs=int(job.secs), seed=job.seed)
    automl.train(x=job.features, y="target__", training_frame=train)
    found = automl.leader.predict(test).as_data_frame()
    best = str(automl.leader.model_id)
    if job.kind == "regression":
        return found["predict"].to_numpy(), [], best
    # H2O puts a p before the names of classes that are numbers, and orders them as its factor does.
    return found.drop(columns="predict").to_numpy(), [str(c) for c in train["target__"].levels()[0]], best


PEERS: dict[str, Callable[[Job], Answer]] = {p.__name__: p for p in (lightgbm, histgb, tfidf, flaml, autogluon, h2o)}


def main() -> None:
    which, folder, target, kind, secs, seed, *threads = sys.argv[1:]
    warnings.filterwarnings("ignore")
    job = Job(Path(folder), target, kind, float(secs), int(seed), int(threads[0]) if threads else 1)
    predictions, classes, best = PEERS[which](job)
    found = np.asarray(predictions, dtype=np.float64).reshape(len(job.test), -1)
    np.save(job.folder / "predictions.npy", found)
    (job.folder / "classes.json").write_text(json.dumps({"classes": classes, "best": best}))


if __name__ == "__main__":
    main()
