"""Raises and reads the limit of open files of this process: every connection is one, every connection to a database too.

Many systems start a process with 1,024 and let it ask for more. Who comes near the limit must hear of it before `accept` and
`open` fail everywhere at once.
"""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

MOST = 65_536
"""Asked for where the system allows it; some allow a thousand million, for which other programs make tables."""
OPEN = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")


def allow_many() -> None:
    """Raise the soft limit to the hard one, at most to MOST. The limit of what is started from here goes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """How many files this process may have open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def opened() -> int:
    """How many it has open."""
    return len(os.listdir(OPEN))
