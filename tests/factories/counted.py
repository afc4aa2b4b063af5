"""Layouts of models that are no real ones, and their counts: as they are kept, and counted anew from what the log holds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select, text
from sqlmodel import col

from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.layout import Feature, Layout
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.model.table import Model
from coreplex.monitoring.table import AnswerBaseline, FeatureBaseline
from coreplex.platform.database import Database
from tests.factories.served import Served


def numbers(name: str, edges: Iterable[float]) -> Feature:
    bins = NumberBins(tuple(edges))
    return Feature(name, "number", bins, (0,) * bins.size, Column(name, ColumnType.float, "float64"))


def trained(name: str, edges: Iterable[float], rows: int = 100) -> Feature:
    """The same with so many rows of training in each bin."""
    found = numbers(name, edges)
    return replace(found, counts=(0, *[rows] * (found.bins.size - 3), 0, 0))


def words(name: str, *levels: str) -> Feature:
    bins = LevelBins(levels)
    return Feature(name, "category", bins, (0,) * bins.size, Column(name, ColumnType.categorical, "string"))


async def keep(database: Database, served: Served, layout: Layout) -> None:
    """Have the model of a deployment counted by a layout."""
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        experiment = await session.scalar(select(col(Model.experiment_id)).where(col(Model.id) == served.model_id))
        assert experiment is not None
        session.add(AnswerBaseline(model_id=served.model_id, features=[one.to_json() for one in layout.answers]))
        session.add(FeatureBaseline(experiment_id=experiment, features=[one.to_json() for one in layout.inputs]))


async def kept(served: Served) -> Counter[int]:
    """All counts of a deployment's bins, by bin."""
    rows = await served.run(
        "SELECT bin, sum(count)::bigint FROM bin_counts, unnest(bins, counts) AS u(bin, count) "
        f"WHERE deployment_id = '{served.deployment_id}' GROUP BY bin"
    )
    return Counter(dict(map(tuple, rows)))


def recounted(layout: Layout, rows: Iterable[Mapping[str, Any]]) -> Counter[int]:
    """Of rows of plain numbers and words, one value after the other."""
    found: Counter[int] = Counter()
    for row in rows:
        for part in layout.parts[: len(layout.inputs)]:
            found[part.begin + _place(part.feature, row.get(part.feature.name))] += 1
    return found


def _place(feature: Feature, value: Any) -> int:
    bins = feature.bins
    if value is None:
        return bins.missing
    if isinstance(bins, LevelBins):
        return bins.levels.index(value) if value in bins.levels else bins.unseen
    edges = bins.edges
    if value < edges[0]:
        return 0
    return next((place + 1 for place, edge in enumerate(edges) if value <= edge), len(edges) + 1)
