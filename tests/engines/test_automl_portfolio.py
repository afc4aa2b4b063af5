"""The order of the candidates follows the data: how many levels its categories have, how its target is spread."""

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.families.lightgbm import (
    CAREFUL,
    FINE_SETS,
    LOGARITHMIC,
    QUICK,
    RESIDUAL,
    SETS,
    SMALL_LOGARITHMIC,
    SMALL_RESIDUAL,
)
from coreplex.engines.automl.searches.portfolio_search import portfolio
from coreplex.engines.automl.splits import folds
from coreplex.engines.automl.splits.split import Split
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.choice import FEW_LEVELS
from tests.engines.scoring_samples import column

RESIDUALS = {400: SMALL_RESIDUAL, 3_000: RESIDUAL}


def task(levels: int, *, rows: int = 400, skewed: bool = False) -> Task:
    draw = np.random.default_rng(0)
    x = draw.normal(size=rows)
    table = pl.DataFrame({"x": x, "c": [f"c{i % levels}" for i in range(rows)]} if levels else {"x": x})
    columns = choice.wordy_as_text([column(name, "float" if name == "x" else "categorical") for name in table.columns], table)
    y = np.exp(x) if skewed else x
    plan = folds.plan(y, nfolds=3, seed=1, classification=False)
    return Task("regression", column("y", "float"), columns, table, y, (), None, Split("random", ""), plan, 1)


def as_sets(order: list[Candidate]) -> list[int]:
    return [place for place, candidate in enumerate(order) if candidate.params.get("native_categories")]


@pytest.mark.parametrize("rows", [400, 3_000])
def test_categories_as_sets_come_early_late_or_never(rows: int) -> None:
    many, few, none = (portfolio(task(levels, rows=rows)) for levels in (FEW_LEVELS + 1, 3, 0))
    assert many[:3] == [QUICK, RESIDUALS[rows], SETS]
    assert as_sets(many) == [2, many.index(FINE_SETS)]
    assert min(as_sets(few)) > few.index(CAREFUL)
    assert as_sets(none) == []


def test_names_that_are_read_as_text_are_no_category() -> None:
    assert as_sets(portfolio(task(300))) == []


@pytest.mark.parametrize(("rows", "link"), [(400, SMALL_LOGARITHMIC), (3_000, LOGARITHMIC)])
def test_skewed_amounts_meet_the_logarithmic_link_early(rows: int, link: Candidate) -> None:
    few, none = (portfolio(task(levels, rows=rows, skewed=True)) for levels in (3, 0))
    assert (few[0], few[3], none[2]) == (QUICK, link, link)
    assert few[1] == none[1] == RESIDUALS[rows]
    assert few[2].params == {**link.params, "native_categories": True}


@pytest.mark.parametrize("levels", [FEW_LEVELS + 1, 3, 0])
def test_no_candidate_comes_twice(levels: int) -> None:
    order = portfolio(task(levels, skewed=True))
    assert all(candidate not in order[:place] for place, candidate in enumerate(order))
