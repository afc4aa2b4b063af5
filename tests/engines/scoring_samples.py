"""Small tables and models for the tests of encoding, scoring and explaining."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import xgboost as xgb

from coreplex.engines.automl.evaluation.metrics import decided
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.rows import RowReader, Warnings
from coreplex.engines.scoring.bundle import Manifest, label_key
from coreplex.engines.scoring.contributions import background_of
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.kernel import Kernel
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.mlp import Mlp
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.scoring.xgboost import XgBoost
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

WORDS = ["good", "bad", "late", "early", "parcel", "Straße", "refund", "thanks", "broken", "12"]


def column(name: str, kind: str, dtype: str | None = None, **more: Any) -> Column:
    usual = {"integer": "int64", "float": "float64", "boolean": "bool", "datetime": "datetime"}
    return Column(name, ColumnType(kind), dtype or usual.get(kind, "string"), **more)


COLUMNS = (
    column("amount", "float"),
    column("age", "integer"),
    column("member", "boolean"),
    column("plan", "categorical"),
    column("town", "categorical"),
    column("note", "text"),
    column("since", "datetime"),
    column("key", "id", "int64"),
    column("same", "categorical"),
)
SCHEMA = TableSchema(COLUMNS)


class Made(Mapping[Any, Any]):
    """Samples by name, each made when it is first asked for: tests are collected by every worker and run by one."""

    def __init__(self, names: Iterable[Any], make: Callable[[Any], Any]) -> None:
        self._names, self._make = list(names), cache(make)

    def __getitem__(self, name: Any) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def frame(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Every type of column, missing values in most."""
    rng = np.random.default_rng(seed)

    def holes(values: list[Any], share: float = 0.1) -> list[Any]:
        return [None if gone else value for value, gone in zip(values, rng.random(rows) < share, strict=True)]

    towns = [f"T{i:03d}" for i in rng.integers(0, 60, rows)]
    notes = [" ".join(rng.choice(WORDS, 5)) for _ in range(rows)]
    since = pl.Series(rng.integers(1_300_000_000_000_000, 1_700_000_000_000_000, rows)).cast(pl.Datetime("us")).to_list()
    return pl.DataFrame(
        {
            "amount": holes(rng.lognormal(3, 1, rows).tolist()),
            "age": holes(rng.integers(18, 90, rows).tolist()),
            "member": holes((rng.random(rows) > 0.4).tolist()),
            "plan": holes(rng.choice(["basic", "plus", "pro"], rows).tolist()),
            "town": holes(towns),
            "note": holes(notes),
            "since": holes(since),
            "key": list(range(rows)),
            "same": ["x"] * rows,
        }
    )


def target(table: pl.DataFrame, task: str, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    score = (table["age"].fill_null(50).to_numpy() - 50) / 15 + 1.5 * (table["plan"] == "pro").fill_null(False).to_numpy()
    score = score + rng.normal(size=table.height)
    if task == "regression":
        return score
    return (score > 0.5).astype(np.int64) + ((score > 1.5).astype(np.int64) if task == "multiclass" else 0)


def booster(matrix: Any, y: Any, task: str, encoder: Encoder, rounds: int = 15, **more: Any) -> LightGbm:
    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[task]
    classes = {"num_class": 3} if task == "multiclass" else {}
    parameters = {"objective": objective, "num_threads": 1, "verbosity": -1, "seed": 1, "num_leaves": 8, **classes, **more}
    data = lgb.Dataset(matrix, y, categorical_feature=list(encoder.categorical))
    return LightGbm.of(lgb.train(parameters, data, rounds))


def xgbooster(matrix: Any, y: Any, task: str) -> XgBoost:
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}[task]
    classes = {"num_class": 3} if task == "multiclass" else {}
    parameters = {"objective": objective, "nthread": 1, "max_depth": 3, "seed": 1, **classes}
    return XgBoost.of(xgb.train(parameters, xgb.DMatrix(matrix, y), 12))


def member(table: pl.DataFrame, y: Any, task: str, family: str, seed: int = 0) -> Member:
    """One trained member of a family: lightgbm, forest, xgboost, linear, kernel, mlp (the last three with drawn weights)."""
    kind = "tree" if family in ("lightgbm", "forest", "xgboost") else "dense"
    encoder, matrix = Encoder.fit_transform(table, COLUMNS, y, kind=kind, task=task, seed=seed)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    link = {"binary": "logit", "multiclass": "softmax", "regression": "identity"}[task]
    raw = 3 if task == "multiclass" else 1
    if family == "lightgbm":
        return Member(encoder, booster(matrix, y, task, encoder))
    if family == "forest":
        more = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "feature_fraction": 0.7, "extra_trees": True}
        return Member(encoder, booster(matrix, y, task, encoder, **more))
    if family == "xgboost":
        return Member(encoder, xgbooster(matrix, y, task))
    if family == "linear":
        weights = rng.normal(size=(encoder.width, raw)) / encoder.width**0.5
        return Member(encoder, Linear(weights, rng.normal(size=raw), link, matrix.mean(axis=0)))  # type: ignore[arg-type]
    if family == "kernel":
        landmarks = matrix[:20].astype(np.float32)
        return Member(encoder, Kernel(landmarks, 0.01, rng.normal(size=(20, raw)), rng.normal(size=raw), link))  # type: ignore[arg-type]
    sizes = [encoder.width, 8, raw]
    layers = [(rng.normal(size=(a, b)) / a**0.5, rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]
    return Member(encoder, Mlp(layers, "relu", link))  # type: ignore[arg-type]


def manifest(table: pl.DataFrame, task: str = "binary", **more: Any) -> Manifest:
    classes = {"binary": ("no", "yes"), "multiclass": ("low", "mid", "high"), "regression": ()}[task]
    fields = {"task": task, "target": "left", "classes": classes, "feature_schema": SCHEMA.to_json(), "algo": "GBM"}
    fields["background"] = background_of(table, COLUMNS, 20)
    return Manifest(**{**fields, **more})


def predict_frame(scorer: Scorer, table: pl.DataFrame) -> pl.DataFrame:
    """What the ensemble says of a table: `prediction`, of classes also its `probability` and one `probability_<class>` each."""
    response = scorer.ensemble.predict(table)
    if not scorer.classes:
        return pl.DataFrame({"prediction": response[:, 0]})
    chosen = decided(response, scorer.manifest.threshold)
    answers = pl.DataFrame(
        {"prediction": [scorer.classes[code] for code in chosen], "probability": response[np.arange(len(chosen)), chosen]}
    )
    each = [pl.Series(f"probability_{label_key(label)}", response[:, code]) for code, label in enumerate(scorer.classes)]
    return answers.with_columns(each)


@cache
def row_encoder(encoder: Encoder) -> Callable[[dict[str, Any]], tuple[list[float], Warnings]]:
    """The numbers of one row, read as a server reads it, and what was odd about it."""
    reader = RowReader.of([encoder])
    encode = encoder.compile(reader.names)

    def encoded(row: dict[str, Any]) -> tuple[list[float], Warnings]:
        values, warnings = reader.read(row)
        return encode(values), warnings

    return encoded


def encode_row(encoder: Encoder, row: dict[str, Any]) -> tuple[list[float], Warnings]:
    return row_encoder(encoder)(row)


def table(rows: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(rows, 6): three numbers of which one is never missing, one with few values, two categories; and what depends on them."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 6))
    x[:, 3] = x[:, 3].round()
    x[:, 4], x[:, 5] = draw.integers(0, 60, rows), draw.integers(0, 4, rows)
    signal = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(7 * x[:, 4]) + 0.5 * (x[:, 3] == 0) + 0.3 * draw.normal(size=rows)
    x[:, 1:][draw.random((rows, 5)) < 0.08] = np.nan
    return x, signal


def strange(rows: int) -> np.ndarray[Any, Any]:
    """Rows with what training never saw: holes where there were none, infinite numbers, unknown and negative categories."""
    x = table(rows, 1)[0]
    draw = np.random.default_rng(2)
    for column, values in ((0, [np.nan, np.inf, -np.inf, 1e300, 0.0, -0.0]), (4, [np.nan, -1.0, 61.0, 1e9, -1e12, 3.7])):
        places = draw.random(rows) < 0.2
        x[places, column] = draw.choice(values, int(places.sum()))
    return x


def booster_target(signal: Any, objective: str) -> np.ndarray[Any, Any]:
    """What a LightGBM objective learns of the signal of `table`; values lie far from zero."""
    classes = (signal > 0).astype(int) + (signal > 1.5)
    return np.asarray({"binary": signal > 0, "multiclass": classes}.get(objective, signal + 20_000), dtype=float)


LIGHTGBM_SETTINGS: dict[str, dict[str, Any]] = {
    "binary": {"objective": "binary"},
    "classes": {"objective": "multiclass", "num_class": 3},
    "trees of one leaf": {"objective": "multiclass", "num_class": 3, "min_data_in_leaf": 900},
    "far from zero": {"objective": "regression"},
    "large sets of categories": {"objective": "regression", "cat_smooth": 1, "max_cat_threshold": 60, "num_leaves": 90},
    "nothing is missing": {"objective": "regression", "use_missing": False},
    "zero is missing": {"objective": "regression", "zero_as_missing": True},
    "lines in leaves": {"objective": "regression", "linear_tree": True},
}
