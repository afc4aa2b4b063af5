"""Reads rows of two periods by a layout, so that they can be compared."""

from collections.abc import Sequence

from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.layout import Layout
from coreplex.engines.metric_change.column import Column, Period
from coreplex.engines.metric_change.replacing import Row


def columns_of(layout: Layout, before: Sequence[Row], after: Sequence[Row]) -> tuple[list[Column], list[Row], list[Row]]:
    """The layout's columns in both periods, and the rows with these columns under their own names."""
    counter = RowCounter(layout)
    named = counter.named(before), counter.named(after)
    read = zip(*(list(counter.read(rows)) for rows in named), strict=True)
    columns = []
    for (feature, *first), (_, *second) in read:
        raw = [[row.get(feature.name) for row in rows] for rows in named]
        columns.append(Column(feature, Period(first[0], first[1], raw[0]), Period(second[0], second[1], raw[1])))
    return columns, *named
