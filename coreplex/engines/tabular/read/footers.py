"""Finds lines below a table that are none of its rows (totals, notes, sources) among the last lines of a file.

A row is worth more than a tidy end, so a line is left out only on strong evidence. Of totals (`Total`, `Summe`): a
label that stands nowhere else in its column, and numbers that are the sums of their columns, or a blank in a column
of text that every row fills, or the label in a column of numbers or dates. Of notes: one cell alone in a table of
more, which says so (`Source: …`, `* preliminary`), stands below a blank line, or in a column of numbers or dates.
What only looks like a total is said and kept.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.dialect import Dialect
from coreplex.engines.tabular.read.separator import kind_of

BYTES = 256 << 10
"""How much of the end of a file is looked at."""
_MOST_LINES = 15
_LEAST_ROWS = 5
_NEARLY = 0.95
_JUDGED = 500
"""Rows above that say what the columns hold."""
_LABEL = re.compile(
    r"((grand |sub-?)?totals?|sums?|(zwischen|gesamt)?summen?|gesamt|insgesamt|suma|somme|total[ei]?( g[eé]n[eé]ral)?|totaal"
    r"|means?|averages?|avg\.?|durchschnitt|mittelwert|moyenne|media)\s*:?",
    re.IGNORECASE,
)
_SAYS_NOTE = re.compile(
    r"\W{0,2}((sources?|(foot ?)?notes?|quellen?|hinweise?|anmerkung(en)?|fuentes?|notas?|stand)\s*[:(–-]"
    r"|(generated|exported|created|printed|downloaded|retrieved) (on|by|at|from)|page \d|seite \d|end of|©"
    r"|\(c\) |copyright|as of )"
    r"|[*†‡¹²#] ?\w|--|==|\+-|\(?\d+ (rows?|records?|zeilen|datensätze)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Footers:
    """What stands below the rows. `size`: bytes, as UTF-8, at the end of the text that are left out; `lines`: what they
    say, None for blank ones.
    """

    size: int = 0
    lines: tuple[str | None, ...] = ()
    total: str | None = None
    """The last row, where it only looks like a total."""

    def findings(self, line: int) -> list[Finding]:
        """What was left out or looks like a total. `line`: number of the first line left out, or after the last row."""
        found = []
        left = {line + index: text[:200] for index, text in enumerate(self.lines) if text is not None}
        if left:
            shown = "; ".join(f"line {number}: {text[:60]!r}" for number, text in list(left.items())[:3])
            message = (
                f"Lines below the table that are totals or notes, no rows, were left out: {len(left)} ({shown}). If one is a "
                "row, write its first cell in another way and upload again."
            )
            found.append(
                Finding(
                    "footer_lines",
                    "medium",
                    message,
                    evidence={"lines": list(left), "texts": list(left.values())},
                    column=None,
                    affected_rows=len(left),
                )
            )
        if self.total is not None:
            message = f"The last row looks like a total of the others and was kept: {self.total[:80]!r}. If it is one, delete it."
            found.append(
                Finding(
                    "total_row",
                    "medium",
                    message,
                    evidence={"line": line - 1, "text": self.total[:200]},
                    column=None,
                    affected_rows=1,
                )
            )
        return found


def find_footers(tail: str, dialect: Dialect, *, whole: bool) -> Footers:
    """What stands below the table. `tail`: the last lines of the text; `whole`: True if that is all below the names."""
    lines = tail.splitlines(keepends=True)
    ends = _cells(lines[-_MOST_LINES:], dialect)
    if dialect.width < 2 or "\r" in tail.replace("\r\n", "") or len(ends) != len(lines[-_MOST_LINES:]):
        return Footers()
    first = len(ends)
    while first and (_filled(ends[first - 1]) < 2 or _label(ends[first - 1]) is not None or _says_note(ends[first - 1])):
        first -= 1
    if first == len(ends):
        return Footers()
    at = len(lines) - len(ends) + first
    rows = _cells(lines[:at], dialect)
    above = [row for row in rows if len(row) == dialect.width and any(row)]
    if len(above) < _LEAST_ROWS:
        return Footers()
    return _judged(lines[at:], ends[first:], _Body(above, whole=whole, gaps=not all(map(any, rows))))


def _judged(lines: Sequence[str], ends: Sequence[Sequence[str]], body: "_Body") -> Footers:
    """From the last line up, until one may be a row."""
    at, total = len(ends), None
    for index in reversed(range(len(ends))):
        cells = ends[index]
        apart = _apart(ends[:index])
        if any(cells) and not body.proves_total(cells) and not body.proves_note(cells, apart=apart):
            total = lines[index].strip() if body.has_label(cells) else None
            break
        at = index
    if not any(map(any, ends[at:])):
        return Footers(total=total)
    return Footers(len("".join(lines[at:]).encode()), tuple(line.strip() or None for line in lines[at:]), total)


def _apart(above: Sequence[Sequence[str]]) -> bool:
    """True below a blank line, or below lines of one cell each that are."""
    return any(not any(cells) for cells in above) and all(_filled(cells) < 2 for cells in above)


class _Body:
    """The rows above, as far as they are known, column by column."""

    def __init__(self, rows: Sequence[Sequence[str]], *, whole: bool, gaps: bool) -> None:
        self._gaps = gaps
        """Blank lines stand between rows, too: one above the last line says nothing."""
        self._columns = list(zip(*rows, strict=True))
        self._whole = whole
        kinds = [[kind_of(cell) for cell in column[-_JUDGED:]] for column in self._columns]
        self._typed = [_share(column, {"number", "date", "empty"}) >= _NEARLY > _share(column, {"empty"}) for column in kinds]
        self._texts = [_share(column, {"text", "date"}) >= _NEARLY for column in kinds]
        self._usual = sorted(map(_filled, rows[-_JUDGED:]))[min(len(rows), _JUDGED) // 20]
        """Cells that nearly every row fills at least."""

    def has_label(self, cells: Sequence[str]) -> bool:
        """True for numbers behind a label that no row has in that column."""
        at = _label(cells)
        if at is None or len(cells) != len(self._columns):
            return False
        others = [cell for index, cell in enumerate(cells) if cell and index != at]
        recurs = cells[at].casefold() in {cell.casefold() for cell in self._columns[at]}
        return bool(others) and not recurs and all(kind_of(cell) in ("number", "empty") for cell in others)

    def proves_total(self, cells: Sequence[str]) -> bool:
        if not self.has_label(cells):
            return False
        at = _label(cells)
        blank = any(always and not cell for always, cell in zip(self._texts, cells, strict=True))
        return blank or self._typed[at or 0] or (self._whole and any(map(self._sums, range(len(cells)), cells)))

    def _sums(self, index: int, cell: str) -> bool:
        """True if the cell is the sum, or the mean, of its column: to half of its last digit."""
        for comma in (False, True):
            value, values = _number(cell, comma=comma), [_number(above, comma=comma) for above in self._columns[index] if above]
            if value and values and None not in values:
                total = sum(filter(None, values))
                near = 0.5 * 10.0 ** -len(cell.partition("," if comma else ".")[2]) + 1e-9 * abs(total)
                if min(abs(value - total), abs(value - total / len(values))) <= near:
                    return True
        return False

    def proves_note(self, cells: Sequence[str], *, apart: bool) -> bool:
        text = cells[0] if cells else ""
        if not text or kind_of(text) != "text" or _label(cells) is not None:
            return False
        if _says_note(cells) and (len(cells) != len(self._columns) or _filled(cells) < self._usual):
            return True
        alone = _filled(cells) == 1 < self._usual and len(self._columns) > 2
        return alone and ((apart and not self._gaps) or (self._typed[0] and " " in text))


def _cells(lines: Sequence[str], dialect: Dialect) -> list[list[str]]:
    """Each line as trimmed cells; blank lines too."""
    rows = csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote, skipinitialspace=dialect.after_blanks)
    return [[cell.strip() for cell in row] for row in rows]


def _filled(cells: Sequence[str]) -> int:
    return sum(map(bool, cells))


def _label(cells: Sequence[str]) -> int | None:
    """Where the first filled cell stands, if it says total."""
    at = next((index for index, cell in enumerate(cells) if cell), None)
    return at if at is not None and _LABEL.fullmatch(cells[at]) else None


def _says_note(cells: Sequence[str]) -> bool:
    return bool(cells and _SAYS_NOTE.match(cells[0]))


def _share(kinds: Sequence[str], wanted: set[str]) -> float:
    return sum(kind in wanted for kind in kinds) / len(kinds)


def _number(cell: str, *, comma: bool) -> float | None:
    digits = re.sub(r"[^\d.,()eE+-]", "", cell)
    digits = digits.replace(".", "").replace(",", ".") if comma else digits.replace(",", "")
    try:
        return float(digits)
    except ValueError:
        return None
