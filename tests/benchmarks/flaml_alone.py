"""FLAML as it comes, in a process of its own: `python flaml_alone.py FOLDER TARGET KIND SECS SEED`.

Reads train.parquet and test.parquet from the folder, fits `flaml.AutoML` on the data frame with its own preprocessing, folds and
learners, and writes the predictions to predictions.npy and the classes to classes.json.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from flaml import AutoML

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def frame(path: Path) -> pd.DataFrame:
    """As a person would hand it over: text as categories, missing as NaN."""
    table = pl.read_parquet(path)
    made = pd.DataFrame({c: table[c].to_list() for c in table.columns})
    for column in made.columns:
        if made[column].dtype == object or str(made[column].dtype) in {"str", "string", "bool"}:
            made[column] = made[column].astype("category")
    return made


def main() -> None:
    folder, target, kind, secs, seed = Path(sys.argv[1]), *sys.argv[2:]
    warnings.filterwarnings("ignore")
    train, test = frame(folder / "train.parquet"), frame(folder / "test.parquet")
    features = [c for c in train.columns if c != target]
    for column in features:
        if str(train[column].dtype) == "category":
            test[column] = pd.Categorical(test[column].astype(object), categories=train[column].cat.categories)
    y = train[target].astype(float) if kind == "regression" else train[target].astype(str)
    automl = AutoML()
    automl.fit(
        train[features],
        y,
        task="regression" if kind == "regression" else "classification",
        metric=METRICS[kind],
        time_budget=float(secs),
        n_jobs=1,
        seed=int(seed),
        verbose=0,
    )
    if kind == "regression":
        predictions, classes = np.asarray(automl.predict(test[features]))[:, None], []
    else:
        predictions, classes = automl.predict_proba(test[features]), [str(c) for c in automl.classes_]
    np.save(folder / "predictions.npy", predictions)
    (folder / "classes.json").write_text(json.dumps({"classes": classes, "best": automl.best_estimator}))


if __name__ == "__main__":
    main()
