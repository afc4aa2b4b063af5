"""The environment of a child process: no secret of the server's, and what its native libraries are told."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")
THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
SINGLE = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")
"""Libraries that get one thread: what asks them for much runs side by side itself."""


def environment(threads: int) -> dict[str, str]:
    """What a child sees: a few harmless variables, and how many threads each native library may use."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    fixed = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONFAULTHANDLER": "1",
        "PYTHONHASHSEED": "0",
        # How long idle threads of OpenMP spin before they sleep. Boosters meet some thousand times a second: without it two
        # threads are three times as slow as one, and with GNU's own 300,000 two hundred times as soon as a core is busy.
        "GOMP_SPINCOUNT": "1000",
        # Files with moments of a zone that is an offset (Arrow's `+07:30`) would be refused; the moments are UTC all the same.
        "POLARS_IGNORE_TIMEZONE_PARSE_ERROR": "1",
        # Each arena of the allocator reserves memory that counts against the limit.
        "MALLOC_ARENA_MAX": "2",
        "COREPLEX_PARENT": str(os.getpid()),
    }
    return passed | fixed | dict.fromkeys(THREADS, str(threads)) | dict.fromkeys(SINGLE, "1")
