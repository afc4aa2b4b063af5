"""Tables such as people have, of independent rows: passengers, subscribers, cars, stones, with what is usual in them.

That is: categories of few and of many levels, cells without a value, amounts that follow from each other, and columns that say a
good deal of the target and give nothing away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Ordinary:
    """A table, the column to predict, and the columns that repeat it."""

    frame: pl.DataFrame
    target: str
    classes: bool = True
    leaks: frozenset[str] = frozenset()


def _where(draw: np.random.Generator, share: float, values: pl.Series) -> pl.Series:
    """The values, so large a share of them missing."""
    kept = pl.Series(draw.random(len(values)) >= share)
    return pl.select(pl.when(kept).then(values).otherwise(None).alias(values.name)).to_series()


def passengers(seed: int = 0, rows: int = 890) -> Ordinary:
    """Who survived a wreck; `alive` says the same in words."""
    draw = np.random.default_rng(seed)
    fare_class = draw.choice([1, 2, 3], rows, p=[0.24, 0.21, 0.55])
    woman = draw.random(rows) < 0.35
    age = draw.gamma(6, 5, rows).round(0)
    odds = 1 / (1 + np.exp(-(2.4 * woman - 0.9 * (fare_class - 2) - 0.02 * (age - 30) - 0.8)))
    survived = (draw.random(rows) < odds).astype(int)
    frame = pl.DataFrame(
        {
            "survived": survived,
            "class": fare_class,
            "sex": np.where(woman, "female", "male"),
            "age": age,
            "fare": (draw.gamma(2, 40, rows) / fare_class).round(2),
            "port": draw.choice(["S", "C", "Q"], rows, p=[0.7, 0.2, 0.1]),
            "ticket": [f"A/{number}" for number in draw.integers(1000, 9999, rows)],
            "alive": np.where(survived == 1, "yes", "no"),
        }
    )
    return Ordinary(frame.with_columns(_where(draw, 0.2, frame["age"])), "survived", leaks=frozenset({"alive"}))


def subscribers(seed: int = 0, rows: int = 3000) -> Ordinary:
    """Who leaves; the total paid follows from months and price."""
    draw = np.random.default_rng(seed)
    months = draw.integers(0, 73, rows)
    price = draw.choice([20.0, 50.0, 80.0, 110.0], rows) + draw.normal(0, 3, rows).round(2)
    contract = np.where(months > 30, draw.choice(["one year", "two years"], rows), "monthly")
    odds = 1 / (1 + np.exp(-(1.2 * (contract == "monthly") + 0.015 * (price - 65) - 0.03 * months - 0.4)))
    frame = pl.DataFrame(
        {
            "customer": [f"{number:04}-{seed}ABC" for number in draw.permutation(rows)],
            "months": months,
            "contract": contract,
            "payment": draw.choice(["card", "transfer", "check"], rows),
            "price": price,
            "total": (months * price).round(2),
            "churn": np.where(draw.random(rows) < odds, "Yes", "No"),
        }
    )
    return Ordinary(frame, "churn")


def cars(seed: int = 0, rows: int = 400) -> Ordinary:
    """How far a car goes; makes have many models, and what a car weighs says most of it."""
    draw = np.random.default_rng(seed)
    cylinders = draw.choice([4, 6, 8], rows, p=[0.5, 0.2, 0.3])
    weight = (1500 + 380 * (cylinders - 3) + draw.normal(0, 300, rows)).round(0)
    frame = pl.DataFrame(
        {
            "range": (48 - 0.008 * weight + draw.normal(0, 3, rows)).round(1),
            "cylinders": cylinders,
            "weight": weight,
            "power": (20 * cylinders + draw.normal(0, 15, rows)).round(0),
            "origin": draw.choice(["usa", "japan", "europe"], rows, p=[0.6, 0.2, 0.2]),
            "model": [f"make{number % 30} type{number % 300}" for number in draw.integers(0, 3000, rows)],
        }
    )
    return Ordinary(frame.with_columns(_where(draw, 0.02, frame["power"])), "range", classes=False)


def stones(seed: int = 0, rows: int = 5000) -> Ordinary:
    """What a stone costs; its three sizes follow from its weight."""
    draw = np.random.default_rng(seed)
    carat = draw.gamma(2.5, 0.32, rows).round(2) + 0.2
    size = 6.5 * carat ** (1 / 3)
    cut = draw.choice(["Fair", "Good", "Premium", "Ideal"], rows, p=[0.05, 0.1, 0.45, 0.4])
    frame = pl.DataFrame(
        {
            "carat": carat,
            "cut": cut,
            "colour": draw.choice(list("DEFGHIJ"), rows),
            "price": (4000 * carat**1.7 * np.exp(draw.normal(0, 0.25, rows))).round(0),
            "x": (size + draw.normal(0, 0.05, rows)).round(2),
            "y": (size + draw.normal(0, 0.05, rows)).round(2),
            "z": (0.62 * size + draw.normal(0, 0.05, rows)).round(2),
        }
    )
    return Ordinary(frame, "price", classes=False)


TABLES: Mapping[str, Callable[[], Ordinary]] = {
    "passengers": passengers,
    "subscribers": subscribers,
    "cars": cars,
    "stones": stones,
}
