"""One-row and batch scoring beside what one would write without the scorer; prints the tables of scoring.md.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.scoring
    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.scoring BUNDLE.zip TABLE.parquet ...

The second form sends 10,000 rows, those of the table again and again, through models that training made, as a web process does.

Twenty features (16 numbers, 4 categories), a LightGBM model of 100 trees × 31 leaves. Microseconds of CPU time of the
calling thread, best and median of seven rounds; the ratio is of the best ones, against the first line of the same table and run.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl

from coreplex.engines.encoding.batch import read_batch
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.scoring.xgboost import XgBoost
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROUNDS = 7
ROWS = 5_000


def table() -> tuple[pl.DataFrame, np.ndarray[Any, Any], tuple[Column, ...]]:
    rng = np.random.default_rng(0)
    data: dict[str, Any] = {f"n{i}": rng.normal(size=ROWS) for i in range(16)}
    data |= {f"c{i}": rng.choice(list("abcdefgh"), ROWS) for i in range(4)}
    score = data["n0"] + (data["c0"] == "a") + data["n1"] * data["n2"] + rng.normal(size=ROWS)
    columns = tuple(
        Column(name, ColumnType.float, "float64") if name[0] == "n" else Column(name, ColumnType.categorical, "string")
        for name in data
    )
    return pl.DataFrame(data), (score > 0.3).astype(int), columns


def show(title: str, variants: dict[str, Callable[[], Any]], rows: int = 1) -> None:
    """Best of the rounds for each variant; the variants take turns, so that a busy machine is busy for all of them."""
    calls = {name: _calls(work) for name, work in variants.items()}
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, work in variants.items():
            start = time.thread_time()
            for _ in range(calls[name]):
                work()
            found[name].append((time.thread_time() - start) / calls[name] / rows * 1e6)
    base = min(next(iter(found.values())))
    print(f"\n| {title} | CPU µs, best | median | × |\n|---|---:|---:|---:|")
    for name, figures in found.items():
        print(f"| {name} | {min(figures):,.1f} | {np.median(figures):,.1f} | {min(figures) / base:.2f} |")


def _calls(work: Callable[[], Any]) -> int:
    """How often fits into a twentieth of a second."""
    start, calls = time.thread_time(), 0
    while time.thread_time() - start < 0.05:
        work()
        calls += 1
    return calls


def scorer(columns: tuple[Column, ...], members: list[Member], **more: Any) -> Scorer:
    schema = TableSchema(columns).to_json()
    head = Manifest(task="binary", target="y", classes=("no", "yes"), feature_schema=schema, algo="GBM", **more)
    return Scorer.load(bundle.dumps(head, members))


def main() -> None:
    frame, y, columns = table()
    members, boosters = [], []
    for seed in range(5):
        encoder, matrix = Encoder.fit_transform(frame, columns, y, kind="tree", task="binary", seed=seed)
        data = lgb.Dataset(matrix, y, categorical_feature=list(encoder.categorical))
        booster = lgb.train({"objective": "binary", "num_threads": 1, "verbosity": -1, "seed": seed}, data, 100)
        boosters.append(booster)
        members.append(Member(encoder, LightGbm.of(booster)))
    dense, dense_matrix = Encoder.fit_transform(frame, columns, y, kind="dense", task="binary")
    linear = Member(dense, Linear(np.ones(dense.width) / 9, 0.0, "logit", dense_matrix.mean(axis=0)))
    one, bag, flat = scorer(columns, members[:1]), scorer(columns, members, combine="raw"), scorer(columns, [linear])
    row, encoder, booster = frame.row(0, named=True), members[0].encoder, boosters[0]
    encode, encoded = encoder.compile(one.reader.names), encoder.transform(frame[:1])
    values = encoded[0].tolist()

    xgb_one = _xgb(frame, y, columns)
    show(
        "one row, dict → answer",
        {
            "Scorer.predict_row, LightGBM": (lambda: one.predict_row(row)),
            "of which reading and encoding the row": (lambda: encode(one.reader.read(row)[0])),
            "of which LightGBM's single-row call": (lambda: members[0].predictor.raw_row(values)),
            "Scorer.predict_row, bag of 5 LightGBM": (lambda: bag.predict_row(row)),
            "Scorer.predict_row, linear": (lambda: flat.predict_row(row)),
            "Booster.predict of a ready array": (lambda: booster.predict(encoded, num_threads=1)),
            "the same + Booster.predict": (lambda: booster.predict(np.array([encode(one.reader.read(row)[0])]), num_threads=1)),
            "a one-row DataFrame only": (lambda: pl.DataFrame([row])),
            "Ensemble.predict of a frame of one row": (lambda: one.ensemble.predict(pl.DataFrame([row]))),
            "predict_row + contributions, LightGBM": (lambda: (one.predict_row(row), contributions(one, [row]))),
            "XGBoost, one row": (lambda: xgb_one.predict_row(row)),
        },
    )
    matrix = encoder.transform(frame)
    rows = frame.to_dicts()
    show(
        "5,000 rows, per row",
        {
            "Ensemble.predict of a frame": (lambda: one.ensemble.predict(frame)),
            "of which encoding": (lambda: encoder.transform(frame)),
            "Booster.predict of a ready array": (lambda: booster.predict(matrix, num_threads=1)),
            "Scorer.predict_rows": (lambda: one.predict_rows(rows)),
        },
        ROWS,
    )
    _large(frame, y, columns)
    _classes()


def _classes() -> None:
    """The handwritten digits of scikit-learn: what a minute of training makes of ten classes, five fold copies of each family."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    from coreplex.engines.scoring.kernel import Kernel
    from coreplex.engines.scoring.mlp import Mlp

    digits = load_digits()
    frame = pl.DataFrame(digits.data, schema=[f"pixel_{i}" for i in range(64)])
    columns, draw = tuple(Column(name, ColumnType.float, "float64") for name in frame.columns), np.random.default_rng(0)
    members, boosters = [], []
    for fold in range(5):
        kept = np.arange(len(digits.target)) % 5 != fold
        part, y = frame.filter(pl.Series(kept)), digits.target[kept]
        trees, matrix = Encoder.fit_transform(part, columns, y, kind="tree", task="multiclass")
        settings = {"objective": "multiclass", "num_class": 10, "num_threads": 1, "verbosity": -1}
        boosters.append(lgb.train(settings, lgb.Dataset(matrix, y), 80))
        dense, scaled = Encoder.fit_transform(part, columns, y, kind="dense", task="multiclass")
        network = MLPClassifier((96, 48), max_iter=5, early_stopping=True).fit(scaled, y)
        weights = draw.normal(size=(500, 10))
        bumps = Kernel(scaled[:500], 1 / 120, weights, np.zeros(10), "softmax")
        members += [Member(trees, LightGbm.of(boosters[-1])), Member(dense, bumps), Member(dense, Mlp.of(network))]
    schema = TableSchema(columns).to_json()
    head = Manifest(task="multiclass", target="y", classes=tuple(range(10)), feature_schema=schema, algo="StackedEnsemble")
    one = Scorer.load(bundle.dumps(head, members))
    many = pl.concat([frame] * 6)[:10_000]
    rows = many.to_dicts()
    ready = [(booster, member.encoder.transform(many)) for booster, member in zip(boosters, members[::3], strict=True)]
    show(
        "ten classes, 64 columns: 5 LightGBM of 80 rounds, 5 kernel networks, 5 MLP; 10,000 rows, per row",
        {
            "the library's predict of ready arrays, LightGBM only": (lambda: [b.predict(x, num_threads=1) for b, x in ready]),
            "Scorer.predict_rows": (lambda: one.predict_rows(rows)),
            "of which reading the rows": (lambda: read_batch(one.reader, rows)),
        },
        len(rows),
    )
    row = rows[0]
    show("one row of the same", {"Scorer.predict_row": (lambda: one.predict_row(row))})


def _trained(path: str, table: str) -> None:
    """A line of the table of trained models: seconds of the first call (wall and CPU of all threads) and the best of the next."""
    one, frame = Scorer.load(path), pl.read_parquet(table)
    rows = pl.concat([frame.select(one.features)] * (10_000 // frame.height + 1))[:10_000].to_dicts()
    calls = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        one.predict_rows(rows)
        calls.append((time.perf_counter() - wall, time.process_time() - cpu))
    cpu = time.process_time()
    for row in rows[:200]:
        one.predict_row(row)
    single = (time.process_time() - cpu) * 5
    figures = " | ".join(f"{wall:.2f} | {cpu:.2f}" for wall, cpu in (calls[0], min(calls[1:])))
    print(f"| {path} | {len(one.ensemble.members)} | {figures} | {single:.2f} |")


def _large(frame: pl.DataFrame, y: Any, columns: tuple[Column, ...]) -> None:
    """Models of the size that 60 s of training make: 600 trees a booster, five fold copies of each family."""
    import xgboost as xgb

    encoder, matrix = Encoder.fit_transform(frame, columns, y, kind="tree", task="binary")
    booster = lgb.train({"objective": "binary", "num_threads": 1, "verbosity": -1, "num_leaves": 40}, lgb.Dataset(matrix, y), 600)
    extreme = xgb.train({"objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(matrix, y), 600)
    extreme.set_param({"nthread": 1})
    light, other = Member(encoder, LightGbm.of(booster)), Member(encoder, XgBoost.of(extreme))
    # Encoders of their own, as fold copies have.
    bag = [
        Member(Encoder.fit(frame, columns, y, kind="tree", task="binary", seed=i), m.predictor)
        for i in range(5)
        for m in (light, other)
    ]
    rows = frame.to_dicts()
    for name, members, reference in (
        ("LightGBM", [light], lambda: booster.predict(matrix, num_threads=1)),
        ("XGBoost", [other], lambda: extreme.inplace_predict(matrix)),
        ("a stack of 5 LightGBM and 5 XGBoost", bag, lambda: [booster.predict(matrix, num_threads=1) for _ in range(5)]),
    ):
        one = scorer(columns, members)
        show(
            f"{name} of 600 trees, 5,000 rows, per row",
            {
                "the library's predict of ready arrays": reference,
                "Scorer.predict_rows": (lambda one=one: one.predict_rows(rows)),
                "Ensemble.predict of a frame": (lambda one=one: one.ensemble.predict(frame)),
            },
            ROWS,
        )


def _xgb(frame: pl.DataFrame, y: Any, columns: tuple[Column, ...]) -> Scorer:
    import xgboost as xgb

    encoder, matrix = Encoder.fit_transform(frame, columns, y, kind="tree", task="binary")
    booster = xgb.train({"objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(matrix, y), 100)
    return scorer(columns, [Member(encoder, XgBoost.of(booster))])


if __name__ == "__main__":
    for bundle_path, table_path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        _trained(bundle_path, table_path)
    if not sys.argv[1:]:
        main()
