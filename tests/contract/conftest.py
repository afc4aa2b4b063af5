"""What the process unpickles, seen by an audit hook."""

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

UNPICKLED: list[str] = []
_hooked: list[bool] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class":
        UNPICKLED.append(str(arguments))


@pytest.fixture
def watched() -> list[str]:
    """What this process, which is the web process here, unpickles meanwhile."""
    if not _hooked:
        sys.addaudithook(_note)
        _hooked.append(True)
    UNPICKLED.clear()
    pickle.loads(pickle.dumps(Path("canary")))
    assert UNPICKLED, "the hook sees"
    UNPICKLED.clear()
    return UNPICKLED
