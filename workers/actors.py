"""The one actor, listening on every queue: takes a job's id, hands it to the event loop, and waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from dramatiq import Actor
from dramatiq.brokers.redis import RedisBroker

from workers.broker import ACTOR, QUEUES


def declare(broker: RedisBroker, loop: asyncio.AbstractEventLoop, run: Callable[[UUID], Coroutine[Any, Any, None]]) -> None:
    """Bind the actor to the broker. Its threads only wait: everything happens in `loop`, one for all of them.

    Not Dramatiq's own AsyncIO middleware, which hangs at a second signal and keeps tracebacks alive.
    """

    def run_job(job_id: str) -> None:
        asyncio.run_coroutine_threadsafe(run(UUID(job_id)), loop).result()

    Actor(run_job, broker=broker, actor_name=ACTOR, queue_name=QUEUES[0], priority=0, options={})
    for queue in QUEUES:
        broker.declare_queue(queue)
