"""Is the first cause that is named the one that was planted? `python -m tests.benchmarks.metric_change`

A model is trained on a generated table; of further rows of the same table the later ones are changed in one known way, and why
the metric changed is asked. Only plants are counted by which the metric changed beyond its noise (two standard errors).
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from coreplex.engines.automl.evaluation import measures
from coreplex.engines.automl.evaluation.metrics import decided
from coreplex.engines.drift.layout import Layout, of_table
from coreplex.engines.metric_change.causes import Cause
from coreplex.engines.metric_change.explain import Explained, Side, explain
from coreplex.engines.metric_change.judging import Answered, realised
from coreplex.engines.metric_change.read import columns_of
from coreplex.engines.tabular.schema import Column, ColumnType

OUT = Path(__file__).with_suffix(".md")
TRAINED, LATER, POOL = 4_000, 3_000, 40_000
LEVELS = np.array(["north", "east", "south", "west"])
Frame = dict[str, NDArray[Any]]


class World(NamedTuple):
    """A table whose rows there are enough of, and a model of it."""

    x: Frame
    y: NDArray[Any]
    classes: int
    model: Any
    layout: Layout

    def take(self, rows: NDArray[np.int64]) -> tuple[Frame, NDArray[Any]]:
        return {name: values[rows] for name, values in self.x.items()}, self.y[rows]

    def answer(self, rows: Any) -> Answered:
        matrix = encoded({name: np.array([row.get(name) for row in rows], dtype=object) for name in self.x})
        if not self.classes:
            return Answered(self.model.predict(matrix)[:, None], np.zeros(len(matrix), dtype=np.int64))
        p = self.model.predict_proba(matrix)
        return Answered(p, decided(p))


def encoded(x: Frame) -> NDArray[np.float64]:
    known = {level: float(place) for place, level in enumerate(LEVELS.tolist())}
    columns = []
    for name, values in x.items():
        if name == "region":
            columns.append(np.array([known.get(one, np.nan) for one in values]))
        else:
            columns.append(np.array([np.nan if one is None else float(one) for one in values]))
    return np.column_stack(columns)


def world(seed: int) -> World:
    """Two classes, four, or a number; eight columns, of which some depend on each other, and a category."""
    draw, size = np.random.default_rng(seed), TRAINED + POOL
    classes = (2, 0, 4)[seed % 3]
    if classes:
        matrix, y = make_classification(
            size, 8, n_informative=5, n_redundant=2, n_classes=classes, class_sep=1.0, flip_y=0.05, random_state=seed
        )
    else:
        matrix, y = make_friedman1(size, 8, noise=1.0, random_state=seed)
        y = y + 3.0 * (matrix[:, 1] > 0.5) * matrix[:, 2]
    x: Frame = {f"x{place}": values.astype(object) for place, values in enumerate(matrix.T)}
    ranks = np.argsort(np.argsort(matrix[:, 0] + draw.normal(0, matrix[:, 0].std(), size))) * len(LEVELS) // size
    x["region"] = LEVELS[ranks].astype(object)
    if not classes:
        y = y + np.array([0.0, 2.0, -2.0, 4.0])[ranks]
    kinds = {name: ("category" if name == "region" else "number") for name in x}
    columns = [
        Column(name, ColumnType.categorical, "string") if kind == "category" else Column(name, ColumnType.float, "float64")
        for name, kind in kinds.items()
    ]
    head = {name: values[:TRAINED] for name, values in x.items()}
    layout = Layout(of_table(pl.DataFrame({name: values.tolist() for name, values in head.items()}), columns))
    model = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(max_iter=80, random_state=0)
    model.fit(encoded(head), y[:TRAINED])
    rest = {name: values[TRAINED:] for name, values in x.items()}
    return World(rest, y[TRAINED:], classes, model, layout)


def important(made: World, draw: np.random.Generator) -> str:
    """A number the model's answers depend on, of the three that matter most."""
    x, _ = made.take(draw.choice(POOL, 1_000, replace=False))
    matrix = encoded(x)
    ask = made.model.predict_proba if made.classes else lambda rows: made.model.predict(rows)[:, None]
    effect = {}
    for place, name in enumerate(x):
        other = matrix.copy()
        other[:, place] = draw.permutation(other[:, place])
        effect[name] = float(np.abs(ask(other) - ask(matrix)).mean())
    ranked = sorted((name for name in effect if name != "region"), key=lambda name: -effect[name])
    return str(draw.choice(ranked[:3]))


class Plant(NamedTuple):
    x: Frame
    y: NDArray[Any]
    cause: Cause
    feature: str | None


def resampled(made: World, odds: NDArray[np.float64], draw: np.random.Generator) -> tuple[Frame, NDArray[Any]]:
    return made.take(draw.choice(POOL, LATER, replace=False, p=odds / odds.sum()))


def standard(values: NDArray[Any]) -> NDArray[np.float64]:
    numbers = values.astype(np.float64)
    return np.asarray((numbers - numbers.mean()) / numbers.std(), dtype=np.float64)


def some(made: World, draw: np.random.Generator) -> tuple[Frame, NDArray[Any]]:
    return made.take(draw.choice(POOL, LATER, replace=False))


def goes_missing(made: World, draw: np.random.Generator) -> Plant:
    name, (x, y) = important(made, draw), some(made, draw)
    x[name][draw.random(LATER) < draw.choice([0.3, 0.6, 1.0])] = None
    return Plant(x, y, Cause.missing_values, name)


def ends_go_missing(made: World, draw: np.random.Generator) -> Plant:
    """Values beyond what a form or a sensor takes."""
    name, (x, y) = important(made, draw), some(made, draw)
    z, share = standard(x[name]) * draw.choice([-1.0, 1.0]), draw.choice([0.2, 0.4, 0.6])
    x[name][z > np.quantile(z, 1.0 - share)] = None
    return Plant(x, y, Cause.missing_values, name)


def go_missing_together(made: World, draw: np.random.Generator) -> Plant:
    name, (x, y) = important(made, draw), some(made, draw)
    gone = draw.random(LATER) < 0.5
    for one in (name, "region"):
        x[one][gone] = None
    return Plant(x, y, Cause.missing_values, None)


def shifts(made: World, draw: np.random.Generator) -> Plant:
    name = important(made, draw)
    x, y = resampled(made, np.exp(draw.choice([-1.5, 1.5]) * standard(made.x[name])), draw)
    return Plant(x, y, Cause.feature_shift, name)


def changes_unit(made: World, draw: np.random.Generator) -> Plant:
    name, (x, y) = important(made, draw), some(made, draw)
    x[name] = (x[name].astype(np.float64) * draw.choice([10.0, 1000.0]) + draw.choice([0.0, 5.0])).astype(object)
    return Plant(x, y, Cause.feature_shift, name)


def is_stuck(made: World, draw: np.random.Generator) -> Plant:
    """A sensor that says the same for every row, a value that it said before."""
    name, (x, y) = important(made, draw), some(made, draw)
    x[name][:] = float(np.quantile(made.x[name].astype(np.float64), draw.choice([0.05, 0.2, 0.8, 0.95])))
    return Plant(x, y, Cause.feature_shift, name)


def is_off(made: World, draw: np.random.Generator) -> Plant:
    """A scale that shows too much or too little, by less than what rows differ by."""
    name, (x, y) = important(made, draw), some(made, draw)
    by = draw.choice([-1.0, -0.7, 0.7, 1.0]) * made.x[name].astype(np.float64).std()
    x[name] = (x[name].astype(np.float64) + by).astype(object)
    return Plant(x, y, Cause.feature_shift, name)


def is_noisy(made: World, draw: np.random.Generator) -> Plant:
    """Measured with errors as large as what rows differ by, or of half that."""
    name, (x, y) = important(made, draw), some(made, draw)
    spread = draw.choice([0.5, 1.0]) * made.x[name].astype(np.float64).std()
    x[name] = (x[name].astype(np.float64) + draw.normal(0.0, spread, LATER)).astype(object)
    return Plant(x, y, Cause.feature_shift, name)


def is_cut_off(made: World, draw: np.random.Generator) -> Plant:
    """Every value above the median is told as the median."""
    name, (x, y) = important(made, draw), some(made, draw)
    numbers = x[name].astype(np.float64)
    x[name] = np.minimum(numbers, np.median(numbers)).astype(object)
    return Plant(x, y, Cause.feature_shift, name)


def says_nothing_by_a_number(made: World, draw: np.random.Generator) -> Plant:
    """Some values are sent as 0, or as -999."""
    name, (x, y) = important(made, draw), some(made, draw)
    x[name][draw.random(LATER) < 0.4] = float(draw.choice([0.0, -999.0]))
    return Plant(x, y, Cause.feature_shift, name)


def is_renamed(made: World, draw: np.random.Generator) -> Plant:
    x, y = some(made, draw)
    for level in draw.choice(LEVELS, 2, replace=False):
        x["region"][x["region"] == level] = level.upper()
    return Plant(x, y, Cause.feature_shift, "region")


def labels_shift(made: World, draw: np.random.Generator) -> Plant:
    if made.classes:
        odds = np.where(made.y == draw.integers(made.classes), 6.0, 1.0)
    else:
        odds = np.exp(draw.choice([-1.2, 1.2]) * standard(made.y))
    x, y = resampled(made, odds, draw)
    return Plant(x, y, Cause.label_shift, None)


def concept_changes(made: World, draw: np.random.Generator) -> Plant:
    name, (x, y) = important(made, draw), some(made, draw)
    z = standard(x[name])
    if made.classes:
        turned = (z > 0.3) & (draw.random(LATER) < 0.5)
        y = np.where(turned, (y + 1) % made.classes, y)
    else:
        y = y + 0.4 * y.std() * z
    return Plant(x, y, Cause.rest, None)


KINDS: dict[str, Callable[[World, np.random.Generator], Plant]] = {
    "values go missing": goes_missing,
    "values of one end go missing": ends_go_missing,
    "two columns go missing together": go_missing_together,
    "a column shifts": shifts,
    "a column changes its unit": changes_unit,
    "a column is stuck": is_stuck,
    "a column is off": is_off,
    "a column is noisy": is_noisy,
    "a column is cut off": is_cut_off,
    "some values are sent as 0 or -999": says_nothing_by_a_number,
    "categories are renamed": is_renamed,
    "labels shift": labels_shift,
    "the concept changes": concept_changes,
}


def asked(made: World, plant: Plant, draw: np.random.Generator) -> Explained:
    """What is said of a plant."""
    sides = []
    for x, y in (some(made, draw), (plant.x, plant.y)):
        rows = [dict(zip(x, values, strict=True)) for values in zip(*(one.tolist() for one in x.values()), strict=True)]
        sides.append((rows, y))
    columns, *named = columns_of(made.layout, *(rows for rows, _ in sides))
    before, after = (Side(rows, replace(made.answer(rows), y=y)) for rows, (_, y) in zip(named, sides, strict=True))
    worth = realised(measures.logloss if made.classes else measures.mae)
    found = explain(columns, before, after, worth, made.answer, seed=1)
    assert found is not None
    return found


def right(plant: Plant, found: Explained) -> bool:
    first = found.parts[0]
    return first.cause is plant.cause and (plant.cause is not Cause.feature_shift or first.features == (plant.feature,))


def plants(count: int, seed: int = 0) -> Iterator[tuple[str, bool, float, float]]:
    """By kind in turn: whether the first place was right, its share of the change, and the seconds it took."""
    kept, names = Counter[str](), list(KINDS)
    while sum(kept.values()) < count:
        kind = min(names, key=lambda name: kept[name])
        made, draw = world(seed), np.random.default_rng(seed + 10_000)
        plant = KINDS[kind](made, draw)
        begin = time.process_time()
        found = asked(made, plant, draw)
        took, seed = time.process_time() - begin, seed + 1
        if abs(found.change) < 2 * found.std_error:
            continue
        kept[kind] += 1
        total = sum(part.effect for part in found.parts)
        assert abs(total - found.change) <= 1e-9 * max(1.0, abs(found.change)), "parts sum to the change"
        yield kind, right(plant, found), found.parts[0].effect / found.change, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=260)
    found = list(plants(parser.parse_args().count))
    lines = ["| planted | plants | first place right | its share of the change, median | CPU, median |", "|---|---|---|---|---|"]
    for name in (*KINDS, "all"):
        own = [one for one in found if name in (one[0], "all")]
        hits, shares, took = (np.array([one[place] for one in own]) for place in (1, 2, 3))
        lines.append(f"| {name} | {len(own)} | {hits.mean():.0%} | {np.median(shares):.0%} | {np.median(took):.2f} s |")
    print("\n".join(lines))
    OUT.write_text(f"{__doc__}\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
