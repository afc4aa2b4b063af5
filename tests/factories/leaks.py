"""Tables into which a leak of a known kind is planted, and clean ones of many shapes, for classes and for numbers."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator
from sklearn import datasets

TARGET = "outcome"
WORDS = ("accepted", "declined", "pending")


@dataclass(frozen=True)
class Planted:
    """`leaks`: the columns that give `TARGET` away; to find one of them is to find it."""

    kind: str
    problem: str
    frame: pl.DataFrame
    leaks: frozenset[str]


@dataclass
class Base:
    """An honest table without its target, the number `score` the target is, or is cut from, and class numbers."""

    frame: pl.DataFrame
    score: "np.typing.NDArray[np.float64]"
    codes: "np.typing.NDArray[np.int64]"
    rng: Generator
    classes: bool
    cut: bool = True
    """Whether the classes are cut from the score."""

    @property
    def rows(self) -> int:
        return len(self.score)

    def with_target(self, **leaks: Any) -> pl.DataFrame:
        values = [WORDS[code] for code in self.codes] if self.classes else self.score
        added = [pl.Series(name, column, strict=False) for name, column in leaks.items()]
        made = self.frame.with_columns(*added, pl.Series(TARGET, values))
        return made.select(*self.rng.permutation([name for name in made.columns if name != TARGET]).tolist(), TARGET)


def base(seed: int, classes: bool) -> Base:
    """Customers with honest features of several types; every third seed a table of scikit-learn instead."""
    rng = np.random.default_rng(seed)
    if seed % 3 == 2:
        return _bundled(seed, classes, rng)
    n = int(rng.integers(300, 2500))
    x = rng.normal(size=(n, 4))
    plan = rng.integers(0, 4, n)
    day = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 1400, n)]
    score = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.6 * plan + rng.normal(0, 1.0, n)
    amounts = np.exp(3 + 0.6 * x[:, 3])
    words = np.array(["blue", "green", "house", "river", "seldom", "often", "paper", "stone"])
    frame = pl.DataFrame(
        {
            **{f"x{i}": x[:, i].round(4) for i in range(3)},
            "amount": amounts.round(2),
            "plan": [f"plan {p}" for p in plan],
            "since": day,
            "note": [" ".join(rng.choice(words, 6)) for _ in range(n)],
            "group": [f"g{g}" for g in rng.integers(0, max(n // 4, 2), n)],
        }
    )
    return _made(frame, score, int(rng.integers(2, 4)), rng, classes)


def _made(frame: pl.DataFrame, score: Any, count: int, rng: Generator, classes: bool) -> Base:
    edges = np.quantile(score, [0.7] if count == 2 else [0.4, 0.8])
    return Base(frame, np.round(score * 10 + 100, 3), np.digitize(score, edges), rng, classes)


def _bundled(seed: int, classes: bool, rng: Generator) -> Base:
    names = ("breast_cancer", "wine", "iris") if classes else ("diabetes",)
    name = names[seed // 3 % len(names)]
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = rng.permutation(len(y))
    x, y = x[order], y[order].astype(np.float64)
    frame = pl.DataFrame({f"f{i}": x[:, i] for i in range(min(x.shape[1], 12))})
    return Base(
        frame.with_columns(group=pl.Series([f"g{g}" for g in rng.integers(0, len(y) // 4, len(y))])),
        y,
        y.astype(int),
        rng,
        classes,
        not classes,
    )


def _copy(b: Base) -> dict[str, Any]:
    return {"copy": [WORDS[c] for c in b.codes] if b.classes else b.score}


def _recoded(b: Base) -> dict[str, Any]:
    if not b.classes:
        return {"recoded": -3 * b.score + 5}
    codes = b.rng.permutation(9)[:3]
    return {"recoded": codes[b.codes] if b.rng.random() < 0.5 else [f"{'KQZ'[c]}{codes[c]}" for c in b.codes]}


def _transformed(b: Base) -> dict[str, Any]:
    """A monotone transform; of a class, the amount it was cut from."""
    if b.classes and not b.cut:
        return {"recoded": b.codes * 7 + 1}
    change = b.rng.choice([np.cbrt, np.exp, np.square, np.log1p])  # type: ignore[arg-type]
    low, high = b.score.min(), b.score.max()
    return {"transformed": change(3 * (b.score - low) / (high - low))}


def _noisy(b: Base) -> dict[str, Any]:
    if not b.classes:
        return {"noisy": b.score + b.rng.normal(0, 0.1 * b.score.std(), b.rows)}
    flipped = b.rng.random(b.rows) < 0.02
    return {"noisy": np.where(flipped, b.rng.integers(0, b.codes.max() + 1, b.rows), b.codes)}


def _binned(b: Base) -> dict[str, Any]:
    """Ranges of a number under letters; of a class, numbers from a range of its own."""
    if b.classes:
        return {"binned": b.codes * 100 + b.rng.integers(0, 30, b.rows)}
    count = int(b.rng.integers(3, 12))
    bins = np.digitize(b.score, np.quantile(b.score, np.arange(1, count) / count))
    letters = b.rng.permutation(list("ABCDEFGHIJKL"))
    return {"binned": letters[bins]}


def _indicator(b: Base) -> dict[str, Any]:
    """Whether it is the last of the classes; of a number, whether it is a high one."""
    return {"is_last": b.codes == b.codes.max() if b.classes else b.score > np.quantile(b.score, 0.7)}


def _absence(b: Base) -> dict[str, Any]:
    """A date that only those have who ended in one way, nearly."""
    if not b.classes:
        none = b.rng.random(b.rows) < 0.6
        b.score = np.where(none, 0.0, b.score)
    with_date = (b.score > 0) if not b.classes else (b.codes == 0) & (b.rng.random(b.rows) < 0.97)
    days = [dt.date(2023, 1, 1) + dt.timedelta(days=int(d)) for d in b.rng.integers(0, 400, b.rows)]
    return {"closed_on": [day if has else None for day, has in zip(days, with_date, strict=True)]}


def _pair(b: Base) -> dict[str, Any]:
    """Two amounts whose difference, sum, ratio or product is the number, or what the class was cut from."""
    score = b.score - b.score.min() + 1
    if b.classes and not b.cut:
        score = b.codes + 1 + 0.9 * b.rng.random(b.rows)
    other = np.exp(b.rng.normal(np.log(2 * score.max()), 0.8, b.rows))
    b.score = score.copy()
    how = b.rng.integers(0, 4)
    made = (other + score, other.max() + 1 - other, other * score, score / other)[how]
    second = other if how != 1 else score - made
    return {"first": made, "second": second}


def _combined(b: Base) -> dict[str, Any]:
    """Two categories that say the class together; of a number, a rate and a base."""
    if not b.classes:
        rate = b.rng.uniform(0.05, 0.4, b.rows)
        b.score = np.abs(b.score) + 1
        return {"rate": rate, "base": b.score / rate}
    levels = int(b.codes.max()) + 1
    first = b.rng.integers(0, levels, b.rows)
    return {"one": np.array(list("uvw"))[first], "other": np.array(list("xyz"))[(b.codes - first) % levels]}


def _sum(b: Base) -> dict[str, Any]:
    """A total that holds the number beside other amounts, which are there too; of classes, a pair."""
    if b.classes:
        return _pair(b)
    parts = {f"part{i}": b.rng.gamma(2, b.score.std(), b.rows).round(2) for i in range(int(b.rng.integers(1, 4)))}
    b.score = b.score.round(2)
    return {**parts, "total": (sum(parts.values()) + b.score).round(2)}


def _counter(b: Base) -> dict[str, Any]:
    """The file is sorted by the target, and a number rises along it."""
    order = np.lexsort((b.rng.random(b.rows), b.codes)) if b.classes else np.argsort(b.score)
    b.frame, b.score, b.codes = b.frame[order], b.score[order], b.codes[order]
    return {"sequence": 1000 + np.cumsum(b.rng.integers(1, 4, b.rows))}


def _later(b: Base) -> dict[str, Any]:
    """When it was due and when it came; of classes, whether it was late."""
    minutes = (b.score - np.quantile(b.score, 0.3)) * 3
    if b.classes and not b.cut:
        minutes = b.codes * 40 + b.rng.integers(0, 38, b.rows)
    minutes = minutes.round()
    due = [dt.datetime.fromisoformat("2023-01-01") + dt.timedelta(minutes=int(m)) for m in b.rng.integers(0, 500_000, b.rows)]
    came = [d + dt.timedelta(minutes=int(m)) for d, m in zip(due, minutes, strict=True)]
    if b.classes:
        count = int(b.codes.max()) + 1
        edges = np.quantile(minutes, [0.7] if count == 2 else [0.4, 0.8])
        b.codes = np.digitize(minutes, edges)
    b.score = minutes
    if b.rng.random() < 0.5:
        return {"due": due, "came": came}
    return {"due": [d.hour * 100 + d.minute for d in due], "came": [d.hour * 100 + d.minute for d in came]}


def _group_mean(b: Base) -> dict[str, Any]:
    value = b.codes.astype(float) if not (b.classes and b.codes.max() > 1) else (b.codes == 1).astype(float)
    means = pl.DataFrame({"g": b.frame["group"], "v": value if b.classes else b.score}).with_columns(pl.col("v").mean().over("g"))
    return {"group_rate": means["v"].round(4 if b.classes else 3)}


def _text(b: Base) -> dict[str, Any]:
    said = [WORDS[c] if b.classes else f"{s:g}" for c, s in zip(b.codes, b.score, strict=True)]
    fill = np.array(["letter of", "call from", "visit by", "mail to"])[b.rng.integers(0, 4, b.rows)]
    return {
        "comment": [
            f"{f} customer {i % 97}, result: {word}, file closed" for i, (f, word) in enumerate(zip(fill, said, strict=True))
        ]
    }


KINDS: dict[str, Callable[[Base], dict[str, Any]]] = {
    "copy": _copy,
    "recoded": _recoded,
    "transformed": _transformed,
    "noisy copy": _noisy,
    "binned": _binned,
    "indicator": _indicator,
    "absence": _absence,
    "pair of amounts": _pair,
    "combination": _combined,
    "part of a sum": _sum,
    "row counter": _counter,
    "later fact": _later,
    "group mean": _group_mean,
    "text": _text,
}


def planted(kind: str, seed: int, *, classes: bool) -> Planted:
    """A table with one leak of a kind, the same for the same seed."""
    made = base(seed, classes)
    leaks = KINDS[kind](made)
    if kind == "pair of amounts" and classes:
        made.codes = np.digitize(made.score, np.quantile(made.score, [0.7] if made.codes.max() == 1 else [0.4, 0.8]))
    frame = made.with_target(**leaks)
    return Planted(kind, "classification" if classes else "regression", frame, frozenset(leaks))


def clean(seeds: range = range(6)) -> Iterator[tuple[str, pl.DataFrame, str, str]]:
    """(name, table, target, problem) without leaks: bundled tables, the honest bases, and generated ones of other shapes."""
    for name in ("iris", "wine", "breast_cancer", "digits"):
        yield name, _bunch(name), "target", "classification"
    yield "iris, setosa", _bunch("iris").with_columns(pl.col("target") == "setosa"), "target", "classification"
    yield "diabetes", _bunch("diabetes"), "target", "regression"
    for target in ("alcohol", "od280/od315_of_diluted_wines", "proline"):
        yield f"wine, {target}", _bunch("wine"), target, "regression"
    yield "breast cancer, smoothness", _bunch("breast_cancer").drop("target"), "mean smoothness", "regression"
    for seed in seeds:
        for classes in (True, False):
            made = base(100 + seed, classes)
            yield f"base {100 + seed}", made.with_target(), TARGET, "classification" if classes else "regression"
        rng = np.random.default_rng(seed)
        x, y = datasets.make_classification(
            800, 15, n_informative=3 + seed, n_redundant=3, class_sep=0.6 + 0.3 * seed, random_state=seed
        )
        yield f"classes {seed}", _columns(x, np.array(["no", "yes"])[y]), "y", "classification"
        x, y = datasets.make_regression(800, 10, n_informative=2 + seed, noise=5.0 + 5 * seed, random_state=seed)
        yield f"linear {seed}", _columns(x, y), "y", "regression"
        x, y = datasets.make_friedman1(800, 10, noise=1.0, random_state=seed)
        yield f"friedman {seed}", _columns(x, y), "y", "regression"
        yield f"trend {seed}", _trend(rng), "y", "regression"
        yield f"one strong {seed}", _strong(rng), "y", "classification"
        yield f"rare {seed}", _rare(rng), "y", "classification"


def _bunch(name: str) -> pl.DataFrame:
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = pl.DataFrame({str(column): found.frame[column].to_numpy() for column in found.frame.columns})
    return (
        frame.with_columns(pl.Series("target", [str(found.target_names[int(v)]) for v in frame["target"]]))
        if name != "diabetes"
        else frame
    )


def _columns(x: Any, y: Any) -> pl.DataFrame:
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "y": y})


def _trend(rng: Generator) -> pl.DataFrame:
    """A series that grows, with its date and a season."""
    n = 900
    t = np.arange(n)
    day = [dt.date(2021, 1, 1) + dt.timedelta(days=int(i)) for i in t]
    other = rng.normal(size=n)
    return pl.DataFrame(
        {"day": day, "index": t * 2 + 7, "other": other, "y": 0.05 * t + 3 * np.sin(t / 30) + other + rng.normal(0, 1, n)}
    )


def _strong(rng: Generator) -> pl.DataFrame:
    """One honest feature that is right nine times in ten, beside weak ones."""
    n = 1000
    y = rng.integers(0, 2, n)
    strong = np.where(rng.random(n) < 0.1, 1 - y, y)
    return pl.DataFrame(
        {"strong": strong, **{f"x{i}": y * 0.5 + rng.normal(size=n) for i in range(4)}, "y": np.array(["no", "yes"])[y]}
    )


def _rare(rng: Generator) -> pl.DataFrame:
    """One row in fifty, missing values that mean little, and levels without any."""
    n = 3000
    x = rng.normal(size=(n, 4))
    y = (x[:, 0] + rng.normal(size=n) > 2.9).astype(int)
    asked = np.where(rng.random(n) < 0.3, np.nan, x[:, 1])
    return pl.DataFrame(
        {
            "x0": x[:, 0],
            "asked": pl.Series(asked, nan_to_null=True),
            "town": [f"t{t}" for t in rng.integers(0, 60, n)],
            "x3": x[:, 3],
            "y": y,
        }
    )
