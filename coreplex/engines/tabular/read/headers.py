"""Reads the names of the columns: whether the first line holds them, what the lines below add, and makes them unique.

Between the names and the rows may stand a second line of names, or of the units of the columns: text where every row
below holds a number or a date. One that says units (`kg`, `[km/h]`, `yyyy-mm-dd`) gives the columns their unit. One
of names below groups (`Sales,,Costs,` above `2019,2020,2019,2020`, as spreadsheets and pandas write them) is joined
with them, `Sales / 2019`; where the first line names every column it is only reported.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.separator import kind_of
from coreplex.engines.tabular.types import units, vocabulary

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
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ufeff]+")
_PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)
"""What Polars takes for a pattern of names."""


def has_names(first: list[str], body: list[list[str]]) -> bool:
    """True if the first record holds names, not values: texts above numbers, or texts and counted numbers none of which
    stands in its column again.
    """
    kinds = [kind_of(cell) for cell in first]
    columns = list(zip(*body, strict=True)) if body else []
    if _leaves_corner(first, columns) or _is_numbered(first):
        return True
    if "text" not in kinds and not _is_counted(first):
        return False
    if any(kind in ("number", "date") for kind in kinds):
        return not _recurs(first, columns) and _is_counted([c for c, k in zip(first, kinds, strict=True) if k != "text"])
    return over_typed(first, columns) or not _recurs(first, columns)


def _leaves_corner(first: list[str], columns: list[tuple[str, ...]]) -> bool:
    """True for `,1940,1945,1950` above rows that each have a name of their own: R and pandas leave the corner blank."""
    if len(first) < 2 or len(first) != len(columns) or first[0].strip() or not all(cell.strip() for cell in first[1:]):
        return False
    names = [name.strip() for name in columns[0]]
    return len(names) > 2 and all(names) and len(set(names)) == len(names) and len(set(first)) == len(first)


def over_typed(first: list[str], columns: list[tuple[str, ...]]) -> bool:
    """True if a text of the first record stands above numbers or dates."""
    below = [Counter(map(kind_of, column)) for column in columns]
    typed = [count["number"] + count["date"] > count["text"] for count in below]
    return any(kind_of(cell) == "text" and is_typed for cell, is_typed in zip(first, typed, strict=False))


def _recurs(first: list[str], columns: list[tuple[str, ...]]) -> bool:
    """True if a cell of the first record stands in its column again: then it is a value, not a name."""
    return any(cell.strip() and cell in column for cell, column in zip(first, columns, strict=False))


def _is_numbered(cells: list[str]) -> bool:
    """`c0, c1, c2`: one word with a number of its own, three times or more in a row, whatever the codes below look
    like.
    """
    found = [re.fullmatch(r"([^\W\d]+[_ .-]?)(\d{1,4})", cell.strip()) for cell in cells]
    parts = [(match[1], int(match[2])) if match else ("", 0) for match in found]
    steps = [a[0] != "" and a[0] == b[0] and b[1] == a[1] + 1 for a, b in pairwise(parts)]
    return any(first and second for first, second in pairwise(steps))


def _is_counted(cells: list[str]) -> bool:
    """Years in a row or 0, 1, 2…: numbers that are names (`country, 2019, 2020`)."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    if len(texts) < 3 and not all(re.fullmatch(r"(19|20)\d\d", text) for text in texts):
        return False
    if len(texts) < 2 or not all(text.isdigit() and len(text) <= 4 for text in texts):
        return False
    values = list(map(int, texts))
    return all(after == before + 1 for before, after in pairwise(values)) and (values[0] <= 1 or values[0] >= 1900)


def fit_names(first: list[str], body: list[list[str]], width: int) -> tuple[tuple[str, ...], int]:
    """Names and width made to agree: a missing last name, or the unnamed row names that R writes first."""
    if len(first) == width - 1:
        at_end = all(not row[-1].strip() for row in body)
        first = [*first, ""] if at_end else ["", *first]
    width = max(width, len(first))
    return tuple(first + [""] * (width - len(first))), width


@dataclass(frozen=True)
class Headers:
    """Names and units of the columns (empty where there is none), how many lines say so, and what to tell the user."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    lines: int
    findings: tuple[Finding, ...]


def read_header_lines(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Headers:
    """Reads the lines below the names. `rows`: the first records after them, each as wide as `names`."""
    found = Headers(tuple(names), ("",) * len(names), 0, ())
    while found.lines < _MOST_LINES and len(rows) - found.lines >= _UNTYPED + _ROWS_BELOW:
        columns = list(zip(*rows[found.lines :], strict=True))
        line = [column[0].strip() for column in columns]
        typed = [cell for cell, column in zip(line, columns, strict=True) if _is_typed(column[_UNTYPED:])]
        if not typed or any(column[0].strip() and column[0] in column[1:] for column in columns):
            break
        if found.lines and line[0] and not any(line[1:]):
            # Below its groups pandas writes the name of the index, above it the names of the groups.
            found = replace(found, names=(line[0], *found.names[1:]), lines=found.lines + 1)
        elif _are_of_groups(found.names, line, typed) or (found.lines and _is_of_index(found.names, line)):
            found = _with_names(found, line)
        elif _are_units(typed):
            found = _with_units(found, [_unit(cell) or "" for cell in line])
        elif _are_names(typed) or (found.lines and _are_statistics(line)):
            found = _with_names(found, line)
        else:
            break
    return found


def _are_units(cells: Sequence[str]) -> bool:
    """True where most of what stands above numbers and dates is a unit."""
    filled = [cell for cell in cells if cell not in vocabulary.MISSING]
    said = [unit for cell in filled if (unit := _unit(cell)) is not None]
    return any(said) and 2 * len(said) > len(filled) and all(kind_of(cell) == "text" for cell in filled)


def _are_names(cells: Sequence[str]) -> bool:
    """One odd cell may stand in any row; a line of names has several, all different."""
    words_only = all(kind_of(cell) == "text" and cell not in vocabulary.UNKNOWN for cell in cells)
    return words_only and 2 <= len(cells) == len(set(cells))


def _are_of_groups(names: Sequence[str], line: Sequence[str], cells: Sequence[str]) -> bool:
    """True for a line below names that repeat or are blank, where both together name every column."""
    above = [name for name in names if name.strip()]
    joined = joined_header(names, line)
    if len(set(above)) == len(names) or len(set(joined)) < len(names) or len(cells) < 2:
        return False
    if all(kind_of(cell) == "text" and cell not in vocabulary.UNKNOWN for cell in cells):
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


def _is_typed(cells: Sequence[str]) -> bool:
    kinds = {kind_of(cell) for cell in cells} - {"empty"}
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


def unique_names(written: Sequence[str] | None, width: int, limits: Limits) -> tuple[list[str], list[Finding]]:
    """(`width` names, a finding where some were changed): trimmed, at most `limits.name_length` characters; blanks
    filled, repetitions numbered, none a pattern of names. `written`: the names of the file, None where it has none.
    """
    if written is None:
        return [f"column_{index}" for index in range(1, width + 1)], []
    cleaned = [_cleaned(name, limits.name_length) for name in written]
    taken = {name for name in cleaned if name}
    names: list[str] = []
    renamed: dict[str, str] = {}
    seen: set[str] = set()
    for index, name in enumerate(cleaned, start=1):
        final = name if name and name not in seen else _free(name or f"column_{index}", taken | seen, bool(name))
        seen.add(final)
        names.append(final)
        if final != written[index - 1].strip():
            renamed[final] = written[index - 1]
    return names, renamed_finding(renamed)


def is_pattern(name: str) -> bool:
    """True for `*` and `^…$`, which Polars reads as all columns and as those whose names match."""
    return _PATTERN.fullmatch(name) is not None


def _cleaned(name: str, most: int) -> str:
    name = _UNPRINTABLE.sub(" ", name).strip()[:most]
    while is_pattern(name):
        name = name[1:-1].strip()
    return name


def _free(base: str, taken: set[str], repeated: bool) -> str:
    if not repeated and base not in taken:
        return base
    return next(name for number in range(2, 1_000_000) if (name := f"{base}_{number}") not in taken)


def renamed_finding(renamed: dict[str, str]) -> list[Finding]:
    """The finding about changed names (new → written); none where nothing changed."""
    if not renamed:
        return []
    shown = ", ".join(f"{old[:80] or '(blank)'!r} → {new[:80]!r}" for new, old in list(renamed.items())[:5])
    message = f"{len(renamed)} column names were blank, repeated, not printable or a pattern and were changed: {shown}."
    return [Finding("renamed_columns", "low", message, evidence={"renamed": {k: renamed[k][:80] for k in list(renamed)[:100]}})]
