"""Sizes at which the reader stops: what no honest table has (docs/security.md)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Counts of columns, rows and cells; the rest in the unit that its name says."""

    columns: int = 5_000
    rows: int = 50_000_000
    cells: int = 2_000_000_000
    line_bytes: int = 64 << 20
    """The longest record, and so the longest cell."""
    name_length: int = 256
    """Characters of a column name; what is longer is cut."""
    block_bytes: int = 4 << 20
    """How much of a file is looked at together. What is read does not depend on it."""
    sample_rows: int = 20_000
    """The first rows, by which types are judged before all cells are read."""
    sample_cells: int = 2_000_000
    """Of wide tables fewer rows are held: cells as text take a few hundred bytes each until their types are known."""
    unpacked_bytes: int = 2 << 30
    """What may come out of a compressed file: four times the largest upload, as tables of text compress."""
    unpacked_ratio: int = 400
    """How often a compressed file may hold its own size: sparse tables reach 200, archives made to fill a disk 1,000."""
    ratio_free_bytes: int = 32 << 20
    """Up to here the ratio is of no interest."""
