"""The folder that one attempt of a job works in, on its worker's disk: named after its token."""

import shutil
import time
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

YOUNG_SECS = 600.0
"""A folder this young may belong to a claim we cannot see yet."""


def folder_of(data_dir: Path, entity_id: UUID, token: UUID) -> Path:
    """Of an attempt of a job of an entity."""
    return _all_in(data_dir) / f"{entity_id}-{token}"


def sweep_folders(data_dir: Path, running: Collection[UUID]) -> int:
    """Remove the folders of attempts that have died, given the tokens of those that run; returns how many."""
    horizon, gone, folder = time.time() - YOUNG_SECS, 0, _all_in(data_dir)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime < horizon and not any(path.name.endswith(f"-{token}") for token in running):
            shutil.rmtree(path, ignore_errors=True)
            gone += 1
    return gone


def _all_in(data_dir: Path) -> Path:
    return data_dir / "work"
