"""Blanks around texts are no part of them: `" >50K"` is the class `>50K`, in files as in the inputs of a prediction."""

from collections.abc import Mapping, Sequence

import polars as pl

from coreplex.engines.tabular.findings import Finding


class TrimmedCounter:
    """Counts the cells of each column whose text lost blanks at its ends."""

    def __init__(self) -> None:
        self._cells: dict[int, int] = {}
        self._example: dict[int, str] = {}

    def update(self, index: int, raw: pl.Series, text: pl.Series) -> None:
        changed = (raw != text).fill_null(value=False)
        if cells := int(changed.sum()):
            self._cells[index] = self._cells.get(index, 0) + cells
            self._example.setdefault(index, raw.filter(changed)[0])

    def findings(self, names: Sequence[str]) -> list[Finding]:
        first = min(self._cells, default=None)
        return (
            []
            if first is None
            else [trimmed_finding({names[i]: n for i, n in sorted(self._cells.items())}, self._example[first])]
        )


def trimmed_finding(cells: Mapping[str, int], example: str | None = None) -> Finding:
    """One finding for a table; `cells` counts by column."""
    columns = ", ".join(map(repr, list(cells)[:3])) + ("…" if len(cells) > 3 else "")
    shown = f", such as {example[:40]!r}" if example else ""
    message = f"Blanks before or after the texts of {columns}{shown} were left out: they are no part of a category or class."
    return Finding(
        "trimmed_blanks",
        "low",
        message,
        evidence={"cells": dict(list(cells.items())[:100])},
        column=None,
        affected_rows=max(cells.values()),
    )
