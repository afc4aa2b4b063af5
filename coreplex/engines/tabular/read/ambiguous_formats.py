"""Finds columns that can be read in two ways, times whose local clock is lost, and numbers that lack their unit."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion
from coreplex.engines.tabular.types import dates
from coreplex.engines.tabular.types.inference import Inferred
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.parse_rule import ParseRule


class AmbiguousFormats:
    """Follows, block by block, the columns that can be read in two ways until a cell allows only one."""

    def __init__(self, rules: Sequence[ParseRule], inferred: Mapping[int, Inferred]) -> None:
        self._open = {index: one for index, one in inferred.items() if one.other and one.rule == rules[index]}
        self._zones = {index: rule.format or "" for index, rule in enumerate(rules) if _has_offset(rule)}
        self._shifted: set[int] = set()
        self._bare = {index: 0 for index, rule in enumerate(rules) if _unit(rule)}
        self._rules = rules

    def update(self, index: int, raw: pl.Series) -> None:
        """Takes the texts of the next block of column number `index`."""
        inferred = self._open.get(index)
        if inferred and inferred.other and inferred.other.read(raw)[1] is not None:
            del self._open[index]
        if index in self._zones and index not in self._shifted:
            offset = raw.str.extract(r":\d\d(?:[.,]\d+)? ?([+-]\d\d(?::?\d\d)?)\]?\s*$")
            if offset.str.contains("[1-9]").any():
                self._shifted.add(index)

        if index in self._bare:
            without = raw.filter(~raw.str.contains(_unit(self._rules[index]), literal=True))
            self._bare[index] += int(without.str.contains(_BARE).sum())

    def findings(self, names: Sequence[str]) -> Iterator[Finding]:
        """What is still open at the end of the file; `names` by column number."""
        for index, inferred in self._open.items():
            yield _ambiguity(names[index], inferred)
        for index in sorted(self._shifted):
            yield conversion.offset_lost(names[index], self._zones[index])
        for index, cells in self._bare.items():
            if cells:
                unit = _unit(self._rules[index])
                message = f"{cells:,} cells of {names[index]!r} have no unit; they were taken as {unit} like the others."
                yield Finding("mixed_units", "low", message, evidence={"unit": unit}, column=names[index], affected_rows=cells)


# Zero is zero in every unit.
_BARE = r"^\s*[(+-]*[\d.,' ]*[1-9][\d.,' ]*\)?\s*$"


def _unit(rule: ParseRule) -> str:
    """The unit that stands beside the numbers."""
    return rule.unit if rule.unit and NumberFormat.of(rule.format).decorated else ""


def _has_offset(rule: ParseRule) -> bool:
    return rule.kind == "datetime" and dates.has_offset(rule.format or "")


def _ambiguity(name: str, inferred: Inferred) -> Finding:
    other = inferred.other
    evidence = {"chosen": inferred.rule.format, "other": other and other.format}
    if inferred.rule.kind == "datetime" and other and other.kind == "datetime":
        order = "day first" if (inferred.rule.format or "").startswith("%d") else "month first"
        message = (
            f"The dates of {name!r} can be read day first or month first; they were read {order}. Upload them as "
            "YYYY-MM-DD to be sure."
        )
        return Finding("ambiguous_dates", "medium", message, evidence=evidence, column=name)
    message = f"The numbers of {name!r} can be read in two ways; they were read as {inferred.rule.kind}s. Check a few of them."
    return Finding("ambiguous_numbers", "medium", message, evidence=evidence, column=name)
