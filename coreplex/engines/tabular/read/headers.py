"""Reads lines between the names and the rows: a second line of names, or of the units of the columns.

Such a line is text where every row below holds a number or a date. One that says units (`kg`, `[km/h]`,
`yyyy-mm-dd`) gives the columns their unit. One of names below groups (`Sales,,Costs,` above `2019,2020,2019,2020`,
as spreadsheets and pandas write them) is joined with them, `Sales / 2019`; where the first line names every column
it is only reported.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.types import units, vocabulary

KindOf = Callable[[str], str]
"""`empty`, `number`, `date` or `text` for a cell."""
_MOST_LINES = 3
_UNTYPED = 2
"""Records that are not asked what a column holds: they may be lines of names."""
_ROWS_BELOW = 3
BETWEEN = " / "
"""What stands between the name of a group and the name below it."""
_BRACKETS = re.compile(r"[\[(](.*)[\])]")
_NO_UNIT = re.compile(
    r"[-–—]|[ymdhs:/.\s-]*(yy|dd|hh)[ymdhs:/.t\s-]*|str(ing)?|text|int(eger)?|float|num(ber|eric)?|date(time)?|bool(ean)?|ts|rn",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Headers:
    """Names and units of the columns (empty where there is none), how many lines say so, and what to tell the user."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    lines: int
    findings: tuple[Finding, ...]


def read_header_lines(names: Sequence[str], rows: Sequence[Sequence[str]], kind: KindOf) -> Headers:
    """Reads the lines below the names. `rows`: the first records after them, each as wide as `names`."""
    found = Headers(tuple(names), ("",) * len(names), 0, ())
    while found.lines < _MOST_LINES and len(rows) - found.lines >= _UNTYPED + _ROWS_BELOW:
        columns = list(zip(*rows[found.lines :], strict=True))
        line = [column[0].strip() for column in columns]
        typed = [cell for cell, column in zip(line, columns, strict=True) if _is_typed(column[_UNTYPED:], kind)]
        if not typed or any(column[0].strip() and column[0] in column[1:] for column in columns):
            break
        if found.lines and line[0] and not any(line[1:]):
            # Below its groups pandas writes the name of the index, above it the names of the groups.
            found = replace(found, names=(line[0], *found.names[1:]), lines=found.lines + 1)
        elif _are_of_groups(found.names, line, typed, kind) or (found.lines and _is_of_index(found.names, line)):
            found = _with_names(found, line)
        elif _are_units(typed, kind):
            found = _with_units(found, [_unit(cell) or "" for cell in line])
        elif _are_names(typed, kind) or (found.lines and _are_statistics(line)):
            found = _with_names(found, line)
        else:
            break
    return found


def _are_units(cells: Sequence[str], kind: KindOf) -> bool:
    """True where most of what stands above numbers and dates is a unit."""
    filled = [cell for cell in cells if cell not in vocabulary.MISSING]
    said = [unit for cell in filled if (unit := _unit(cell)) is not None]
    return any(said) and 2 * len(said) > len(filled) and all(kind(cell) == "text" for cell in filled)


def _are_names(cells: Sequence[str], kind: KindOf) -> bool:
    """One odd cell may stand in any row; a line of names has several, all different."""
    words_only = all(kind(cell) == "text" and cell not in vocabulary.UNKNOWN for cell in cells)
    return words_only and 2 <= len(cells) == len(set(cells))


def _are_of_groups(names: Sequence[str], line: Sequence[str], cells: Sequence[str], kind: KindOf) -> bool:
    """True for a line below names that repeat or are blank, where both together name every column."""
    above = [name for name in names if name.strip()]
    joined = joined_header(names, line)
    if len(set(above)) == len(names) or len(set(joined)) < len(names) or len(cells) < 2:
        return False
    if all(kind(cell) == "text" and cell not in vocabulary.UNKNOWN for cell in cells):
        return True
    # Years are numbers, and names where every group has the same.
    often = set(Counter(cells).values())
    return all(map(_YEAR.fullmatch, cells)) and len(often) == 1 and min(often) > 1


def _are_statistics(line: Sequence[str]) -> bool:
    """True for `,,Avg,Avg,Smp`, which loggers write below the units."""
    return any(line) and all(not cell or _STATISTIC.fullmatch(cell) for cell in line)


_STATISTIC = re.compile(r"avg|mean|min|max|sum|tot(al)?|std|smp|sample|count|median|first|last|wvc", re.IGNORECASE)


def _is_of_index(names: Sequence[str], line: Sequence[str]) -> bool:
    """True where only columns without a name get one: pandas writes the name of its index there."""
    return any(line) and not any(cell for cell, name in zip(line, names, strict=True) if name.strip())


_YEAR = re.compile(r"(19|20)\d\d")


def _is_typed(cells: Sequence[str], kind: KindOf) -> bool:
    kinds = {kind(cell) for cell in cells} - {"empty"}
    return bool(kinds) and kinds <= {"number", "date"}


def _unit(cell: str) -> str | None:
    """The unit that a cell names, empty where it says that there is none; None if it says something else."""
    inside = _BRACKETS.fullmatch(cell)
    text = (inside.group(1) if inside else cell).strip()
    if not text or text in vocabulary.MISSING or _NO_UNIT.fullmatch(text):
        return ""
    return text if (inside and len(text) <= 16) or units.is_known(text) else None


def _with_units(found: Headers, said: Sequence[str | None]) -> Headers:
    shown = ", ".join(f"{name!r} in {unit}" for name, unit in zip(found.names, said, strict=True) if unit)
    message = f"The line below the names says units, not values, and was read so: {shown[:300]}."
    units_by_name = {name: unit for name, unit in zip(found.names, said, strict=True) if unit}
    finding = Finding("units_line", "low", message, evidence={"units": dict(list(units_by_name.items())[:100])})
    return Headers(found.names, tuple(unit or "" for unit in said), found.lines + 1, (*found.findings, finding))


def _with_names(found: Headers, line: Sequence[str]) -> Headers:
    complete = all(found.names) and len(set(found.names)) == len(found.names)
    names = found.names if complete else tuple(joined_header(found.names, line))
    shown = ", ".join(map(repr, (line if complete else names)[:5]))
    done = "was left out" if complete else "was joined with the first"
    message = f"The table has a second line of names, which {done}: {shown[:300]}."
    finding = Finding("second_header", "low", message, evidence={"line": [cell[:200] for cell in line[:100]]})
    return Headers(names, found.units, found.lines + 1, (*found.findings, finding))


def joined_header(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """`Sales / n`, `Sales / mean` of `Sales,` above `n,mean`: a group stands over its first column."""
    names, group = [], ""
    for above, name in zip(first, second, strict=True):
        group = above.strip() or group
        names.append(BETWEEN.join(dict.fromkeys(part for part in (group, name) if part)))
    return names
