"""Keeps the children's logs from filling the disk.

Children append to their file by themselves. One that is too long is copied to `.1` and cut: nobody has to reopen anything, and a
line written in that very moment is the most that can be lost.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LARGEST_BYTES = 10 * 1024**2
KEPT = 3


def rotate(folder: Path, largest_bytes: int = LARGEST_BYTES, kept: int = KEPT) -> None:
    """Rotate each `*.log` of the folder that is larger than allowed."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > largest_bytes:
            for number in range(kept, 1, -1):
                older = log.with_name(f"{log.name}.{number - 1}")
                if older.exists():
                    older.replace(log.with_name(f"{log.name}.{number}"))
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            with log.open("r+b") as file:
                file.truncate(0)


def note(log: Path, event: str, **facts: Any) -> None:
    """Append one line of the supervisor's own, in the form the children write."""
    line = {"event": event, **facts, "level": "critical", "timestamp": datetime.now(UTC).isoformat()}
    with log.open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")
