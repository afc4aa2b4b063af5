"""What was wrong with the rows of delimited text, and what a person is told of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.errors.tree import BadInput, Message

_SHOWN, _QUOTED = 20, 5
"""Lines that are remembered, and shown with their text."""
# Beyond these shares of all lines a file is another table than its names say, or hardly one.
_MOST_LONG = 0.2
_MANY_SHORT = 0.2


@dataclass
class Damage:
    """What was wrong with the rows: first lines and counts."""

    short: int = 0
    short_lines: list[int] = field(default_factory=list)
    long: int = 0
    long_lines: list[int] = field(default_factory=list)
    long_texts: list[str] = field(default_factory=list)
    headings: int = 0
    """Lines that say the names again, as files that were joined do."""
    rulers: int = 0
    """Lines that are drawn, such as `+----+----+`."""
    blank: int = 0
    """Blank lines between rows."""
    quote_line: int | None = None
    """The first one with a misplaced quote."""

    def too_short(self, line: int) -> None:
        """A line of fewer cells than there are columns."""
        self.short += 1
        if len(self.short_lines) < _SHOWN:
            self.short_lines.append(line)

    def too_long(self, line: int, text: bytes) -> None:
        """A line of more cells; it is left out."""
        self.long += 1
        if len(self.long_lines) < _SHOWN:
            self.long_lines.append(line)
        if len(self.long_texts) < _QUOTED:
            self.long_texts.append(text[:200].decode(errors="replace"))

    def findings(self, width: int, rows: int) -> list[Finding]:
        """What to tell the user of a table of `rows` rows and `width` columns, the gravest last.

        Raises BadInput when too many lines do not fit: the file is not this table.
        """
        lines = rows + self.long
        if self.long > _MOST_LONG * lines or (self.long >= 5 and self.long > 0.05 * rows):
            raise BadInput(_too_long(self.long_lines[0], width, self.long - 1))
        return [*self._left_out(), *self._misshapen(width, "high" if self.short > _MANY_SHORT * lines else "medium")]

    def _left_out(self) -> Iterator[Finding]:
        """Lines that are no rows."""
        if self.blank:
            said = f"{self.blank:,} blank lines between the rows were left out."
            yield Finding("blank_lines", "low", said, evidence={"lines": self.blank})
        if self.headings:
            said = f"{self.headings:,} lines that repeat the line of names were left out."
            yield Finding("repeated_names", "low", said, evidence={"lines": self.headings})
        if self.rulers:
            said = f"{self.rulers:,} lines that only draw a line were left out."
            yield Finding("ruler_lines", "low", said, evidence={"lines": self.rulers})

    def _misshapen(self, width: int, severity: Severity) -> Iterator[Finding]:
        """Rows of another number of cells, and quotes that are none."""
        if self.long:
            said = (
                f"Lines with more than {width} cells, left out: {self.long} (line {_listed(self.long_lines)}). "
                "Put cells that hold the separator in quotes and upload again."
            )
            evidence = {"lines": self.long_lines, "texts": self.long_texts}
            yield Finding("bad_lines", "medium", said, evidence=evidence, affected_rows=self.long)
        if self.short:
            shown = _listed(self.short_lines)
            said = f"Lines with fewer than {width} cells, the rest taken as missing: {self.short} (line {shown})."
            yield Finding("short_lines", severity, said, evidence={"lines": self.short_lines}, affected_rows=self.short)
        if self.quote_line:
            said = (
                f"Quotes stand inside unquoted cells (first near line {self.quote_line}); they were read as plain characters. "
                "Check the rows around it."
            )
            yield Finding("misplaced_quotes", "medium", said, evidence={"lines": [self.quote_line]})


def _listed(lines: list[int]) -> str:
    return ", ".join(map(str, lines[:5])) + ("…" if len(lines) > 5 else "")


def _too_long(line: int, columns: int, others: int) -> Message:
    if others:
        return Message(
            "lines_with_more_cells",
            "Line {line} has more cells than the table has columns ({columns}), and so have {others:,} others. Put cells that "
            "hold the separator in quotes, and give every line the same number of cells.",
            line=line,
            columns=columns,
            others=others,
        )
    return Message(
        "line_with_more_cells",
        "Line {line} has more cells than the table has columns ({columns}). Put cells that hold the separator in quotes, and "
        "give every line the same number of cells.",
        line=line,
        columns=columns,
    )
