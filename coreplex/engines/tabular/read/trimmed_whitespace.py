"""Counts texts that lost whitespace at their ends: `" >50K"` is the class `>50K`, in files as in the inputs of a
prediction."""

from collections.abc import Mapping, Sequence

import polars as pl

from coreplex.engines.tabular.findings import Finding


class TrimmedCounter:
    """Counts the cells of each column whose text lost blanks at its ends."""

    def __init__(self) -> None:
        self._cells: dict[int, int] = {}
        self._example: dict[int, str] = {}

    def update(self, index: int, raw: pl.Series, text: pl.Series) -> None:
        """Takes the next block of column number `index`: texts as in the file, and as stored."""
        changed = (raw != text).fill_null(value=False)
        if cells := int(changed.sum()):
            self._cells[index] = self._cells.get(index, 0) + cells
            self._example.setdefault(index, raw.filter(changed)[0])

    def findings(self, names: Sequence[str]) -> list[Finding]:
        """One finding for the whole table, or none; `names` by column number."""
        first = min(self._cells, default=None)
        return (
            []
            if first is None
            else [trimmed_finding({names[i]: n for i, n in sorted(self._cells.items())}, self._example[first])]
        )


def trimmed_finding(cells: Mapping[str, int], example: str | None = None) -> Finding:
    """The finding of a table; `cells`: trimmed cells by column name."""
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
