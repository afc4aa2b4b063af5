"""`python -m tests.load.leaking_web`: the web process with a leak that is opened by SIGUSR2, and less patience with it."""

import signal
from typing import Any

from asgi import main
from coreplex.platform import memory

LEAK_BYTES = 400 << 20
PATIENT_SECS = 2.0
leaked: list[bytearray] = []


def _leak(*_: Any) -> None:
    leaked.append(bytearray(b"x") * LEAK_BYTES)


if __name__ == "__main__":
    memory.PATIENT_SECS = PATIENT_SECS
    signal.signal(signal.SIGUSR2, _leak)
    main()
