"""What NannyML estimates of chunks of rows: runs in an environment of its own (see performance_estimation.py)."""

import json
import os
import sys
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")

import nannyml  # noqa: E402
import pandas as pd  # noqa: E402

pd.options.future.infer_string = False  # NannyML knows texts as objects only


def classes(reference, chunks, size, labels):
    """CBPE of each chunk, by metric: values. `labels` are 0 and 1, or more."""
    names = ["accuracy", "roc_auc", "f1", "precision", "recall", "specificity"]
    more = {"y_pred_proba": "p1", "problem_type": "classification_binary"}
    if len(labels) > 2:
        more = {"y_pred_proba": {label: f"p{label}" for label in labels}, "problem_type": "classification_multiclass"}
    estimator = nannyml.CBPE(y_true="y", y_pred="predicted", metrics=names, chunk_size=size, **more)
    found = estimator.fit(reference).estimate(chunks).filter(period="analysis").to_df()
    return {name: found[(name, "value")].tolist() for name in names}


def numbers(reference, chunks, size, columns):
    """DLE of each chunk, by metric."""
    estimator = nannyml.DLE(feature_column_names=columns, y_pred="p", y_true="y", metrics=["mae", "rmse"], chunk_size=size)
    found = estimator.fit(reference).estimate(chunks).filter(period="analysis").to_df()
    return {name: found[(name, "value")].tolist() for name in ("mae", "rmse")}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = []
    for case in asked:
        tables = [pd.read_csv(case[name]) for name in ("reference", "chunks")]
        answers.append(
            classes(*tables, case["size"], case["labels"]) if case["labels"] else numbers(*tables, case["size"], case["columns"])
        )
    print("\n" + json.dumps(answers))
