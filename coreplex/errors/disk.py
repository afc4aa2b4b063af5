"""Recognises a disk that is full, or nearly, before a write and after one that failed, and words the refusal."""

import errno
import shutil
from pathlib import Path

from coreplex.errors.tree import Message, StorageFull

LEAST_FREE_BYTES, LEAST_FREE_PART = 256 << 20, 0.02
"""Files stop growing before the disk is full: the database beside them would stop too."""
LOW_TIMES = 5
"""How many times that much is little: it is said before anything is refused."""
FULL = Message(
    "storage_full", "The server's storage is full: its disk has no room left. Free space in the data folder and try again."
)


def refuse_when_full(folder: Path, part: float = 1.0) -> None:
    """Raises StorageFull while little of the disk is left: less than this `part` of the low-water mark."""
    usage = shutil.disk_usage(folder)
    if usage.free < low_water(usage.total) * part:
        raise StorageFull(FULL)


def low_water(total: int) -> float:
    """Bytes of a disk of `total` bytes that nothing but the database may use."""
    return min(LEAST_FREE_BYTES, total * LEAST_FREE_PART)


def shortage(folder: Path) -> str | None:
    """That storage is full or nearly full, in a sentence; None while there is room."""
    usage = shutil.disk_usage(folder)
    mark = low_water(usage.total)
    if usage.free >= LOW_TIMES * mark:
        return None
    state, then = (
        ("full", "uploads, exports and trainings are refused")
        if usage.free < mark
        else ("nearly full", f"uploads are refused below {_mb(mark)}")
    )
    return f"storage is {state}: {_mb(usage.free)} of {_mb(usage.total)} are free at {folder}; {then}"


def _mb(size: float) -> str:
    return f"{size / 1024**2:,.0f} MB"


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or our part of it, is full. Libraries in other languages say it in words only."""
    return (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}) or "No space left on device" in str(error)
