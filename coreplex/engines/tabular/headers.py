"""Lines between the names and the rows: a second line of names, or of the units of the columns.

Such a line is text where every row below holds a number or a date. One that says units (`kg`, `[km/h]`, `yyyy-mm-dd`) gives the
columns their unit; one of names completes names that are blank or repeat, and is only reported where the first line has them all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coreplex.engines.tabular import units, words
from coreplex.engines.tabular.notes import Note

Kind = Callable[[str], str]
"""`empty`, `number`, `date` or `text` for a cell."""
_MOST_LINES = 2
_ROWS_BELOW = 3
_BRACKETS = re.compile(r"[\[(](.*)[\])]")
_NO_UNIT = re.compile(
    r"[-–—]|[ymdhs:/.\s-]*(yy|dd|hh)[ymdhs:/.t\s-]*|str(ing)?|text|int(eger)?|float|num(ber|eric)?|date(time)?|bool(ean)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Headers:
    """Names and units of the columns (empty where there is none), how many lines say so, and what to tell the user."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    lines: int
    notes: tuple[Note, ...]


def below(names: Sequence[str], rows: Sequence[Sequence[str]], kind: Kind) -> Headers:
    """Reads the lines below the names. `rows`: the first records after them, each as wide as `names`."""
    found = Headers(tuple(names), ("",) * len(names), 0, ())
    while found.lines < _MOST_LINES and _is_header(rows[found.lines :], kind):
        line = [cell.strip() for cell in rows[found.lines]]
        said = [_unit(cell) for cell in line]
        found = _with_units(found, said) if None not in said else _with_names(found, line)
    return found


def _is_header(rows: Sequence[Sequence[str]], kind: Kind) -> bool:
    """True if the first of these records is no row: text, or nothing, over every column of numbers or dates."""
    if len(rows) < _MOST_LINES + _ROWS_BELOW:
        return False
    columns = list(zip(*rows, strict=True))
    typed = [column for column in columns if _is_typed(column[_MOST_LINES:], kind)]
    cells = [column[0].strip() for column in typed]
    if not cells or any(kind(cell) not in ("text", "empty") or cell in words.MISSING | words.UNKNOWN - {""} for cell in cells):
        return False
    texts = [cell for cell in cells if cell]
    if any(column[0].strip() and column[0] in column[1:] for column in columns):
        return False
    if all(_unit(column[0].strip()) is not None for column in columns):
        return any(_unit(text) for text in texts)
    # One odd cell may stand in any row; a line of names has several, all different.
    return len(texts) == len(cells) == len(set(texts)) and len(texts) >= 2


def _is_typed(cells: Sequence[str], kind: Kind) -> bool:
    kinds = {kind(cell) for cell in cells} - {"empty"}
    return bool(kinds) and kinds <= {"number", "date"}


def _unit(cell: str) -> str | None:
    """The unit that a cell names, empty where it says that there is none; None if it says something else."""
    inside = _BRACKETS.fullmatch(cell)
    text = (inside.group(1) if inside else cell).strip()
    if not text or text in words.MISSING or _NO_UNIT.fullmatch(text):
        return ""
    return text if (inside and len(text) <= 16) or units.is_known(text) else None


def _with_units(found: Headers, said: Sequence[str | None]) -> Headers:
    shown = ", ".join(f"{name!r} in {unit}" for name, unit in zip(found.names, said, strict=True) if unit)
    message = f"The line below the names says units, not values, and was read so: {shown[:300]}."
    units_by_name = {name: unit for name, unit in zip(found.names, said, strict=True) if unit}
    note = Note("units_line", "low", message, {"units": dict(list(units_by_name.items())[:100])})
    return Headers(found.names, tuple(unit or "" for unit in said), found.lines + 1, (*found.notes, note))


def _with_names(found: Headers, line: Sequence[str]) -> Headers:
    complete = all(found.names) and len(set(found.names)) == len(found.names)
    names = found.names if complete else tuple(_joined(found.names, line))
    shown = ", ".join(map(repr, (line if complete else names)[:5]))
    done = "was left out" if complete else "was joined with the first"
    message = f"The table has a second line of names, which {done}: {shown[:300]}."
    note = Note("second_header", "low", message, {"line": [cell[:200] for cell in line[:100]]})
    return Headers(names, found.units, found.lines + 1, (*found.notes, note))


def _joined(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """`Sales n`, `Sales mean` of `Sales,` above `n,mean`: a group stands over its first column."""
    names, group = [], ""
    for above, name in zip(first, second, strict=True):
        group = above.strip() or group
        names.append(" ".join(dict.fromkeys(part for part in (group, name) if part)))
    return names
