"""The one actor: takes a job id, hands it to the runner's event loop, and waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import dramatiq

from workers.broker import QUEUE


def declare(broker: dramatiq.Broker, loop: asyncio.AbstractEventLoop, run: Callable[[UUID], Coroutine[Any, Any, None]]) -> None:
    """Bind the actor to a broker. Its thread only waits; everything happens in `loop`, one for all threads."""

    def run_job(job_id: str) -> None:
        asyncio.run_coroutine_threadsafe(run(UUID(job_id)), loop).result()

    dramatiq.actor(run_job, broker=broker, actor_name="run_job", queue_name=QUEUE, max_retries=0)
