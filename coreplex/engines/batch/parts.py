"""The answers that are finished, kept chunk by chunk, so that whoever goes on begins behind them.

A part is a Parquet file and a note about it. The note comes last and names the part's hash: what has no note, or another hash, is
made again. Two attempts at once write the same bytes under names of their own and rename them, so neither harms the other.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import polars as pl

from coreplex.engines.scoring.columns import ERROR, Scored


@dataclass(frozen=True)
class Note:
    """What is known of a part. oddities: odd values as (column, kind, count)."""

    sha256: str
    rows: int
    refused: int
    first_error: str | None
    oddities: tuple[tuple[str, str, int], ...]


class Parts:
    """The parts of one table and model, in a folder of their own; `notes` are those of the first ones, without a gap."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.notes: list[Note] = []
        while (note := self._found(len(self.notes))) is not None:
            self.notes.append(note)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"

    def _found(self, number: int) -> Note | None:
        """The note of a part that is whole."""
        path = self._path(number)
        try:
            said = orjson.loads(path.with_suffix(".json").read_bytes())
            note = Note(**{**said, "oddities": tuple(map(tuple, said["oddities"]))})
            return note if hash_of(path) == note.sha256 else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def add(self, scored: Scored) -> None:
        """Keep the next part."""
        path, errors = self._path(len(self.notes)), scored.answers.get_column(ERROR).drop_nulls()
        aside = path.with_suffix(f".{os.getpid()}")
        scored.answers.write_parquet(aside, compression="lz4", statistics=False)
        oddities = tuple((column, kind, count) for (column, kind), count in scored.oddities.items())
        first = None if errors.is_empty() else str(errors[0])
        note = Note(hash_of(aside), scored.answers.height, errors.len(), first, oddities)
        aside.replace(path)
        aside.write_bytes(orjson.dumps(asdict(note)))
        aside.replace(path.with_suffix(".json"))
        self.notes.append(note)

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return sum(note.rows for note in self.notes)

    @property
    def refused(self) -> int:
        """Rows that have no answer."""
        return sum(note.refused for note in self.notes)

    @property
    def first_error(self) -> str | None:
        """Why the first such row has none."""
        return next((note.first_error for note in self.notes if note.first_error is not None), None)

    @property
    def oddities(self) -> Mapping[tuple[str, str], int]:
        """How many values of a column are odd, by column and kind."""
        counts: dict[tuple[str, str], int] = {}
        for note in self.notes:
            for column, kind, count in note.oddities:
                counts[column, kind] = counts.get((column, kind), 0) + count
        return counts

    def frames(self) -> Iterator[pl.DataFrame]:
        """The answers, part by part."""
        for number in range(len(self.notes)):
            yield pl.read_parquet(self._path(number), glob=False)


def hash_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
