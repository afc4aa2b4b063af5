"""`python -m tests.load.mortal_web`: the web process, killed every now and then between the commit of an act and its answer."""

import os
import random
import signal
from typing import Any

from asgi import main
from coreplex.idempotency.service import Attempt

CHANCE = 0.05
_keep = Attempt.keep


async def _mortal(attempt: Attempt, *given: Any) -> None:
    if random.random() < CHANCE:
        os.kill(os.getpid(), signal.SIGKILL)
    await _keep(attempt, *given)


if __name__ == "__main__":
    Attempt.keep = _mortal  # type: ignore[method-assign]
    main()
