"""Dramatiq's broker, with the defaults that would hurt us replaced, and the actors, which hand a job's id to the event loop.

A message is a doorbell: it holds a job's id and may be lost, doubled or late without harm, because the row in PostgreSQL
decides. So there is no middleware at all: no retries (PostgreSQL counts attempts, also those that killed their worker) and no
time limit (the default of ten minutes would end trainings, and could not end native code). Maintenance runs on every command
instead of one in a thousand, or a dead worker's messages would lie for a quarter of an hour.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq import Actor
from dramatiq.brokers.redis import RedisBroker

from coreplex.job.kinds import Queue, kind_of

NAMESPACE = "coreplexml"
ACTORS = dict.fromkeys(Queue, "run_job") | {Queue.webhooks: "begin_job"}
"""What takes the jobs of a queue: `begin_job` those that do nothing but wait for other servers, which need no thread each."""
MOST_BEGUN = 32
"""Of these at the same time in a process."""
QUEUES = tuple(Queue)
HEARTBEAT_TIMEOUT_MS = 60_000
SOCKET_SECS = 5.0


class Bell:
    """The broker, how to ring it, and whose rings have not been heard yet. Its methods block: call them in a thread."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, socket_timeout=SOCKET_SECS, socket_connect_timeout=2)
        self.broker = RedisBroker(  # type: ignore[no-untyped-call]
            client=self.client,
            namespace=NAMESPACE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
            maintenance_chance=1_000_000,
            middleware=[],
        )

    def ring(self, job_id: UUID, kind: str) -> None:
        """Put a message for the job into the queue of its kind. Raises redis.RedisError."""
        queue, identity = kind_of(kind).queue, f"{job_id}:{secrets.token_hex(4)}"
        options = {"redis_message_id": identity}
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=queue.value, actor_name=ACTORS[queue], args=(str(job_id),), kwargs={}, options=options
        )
        # Not `enqueue`, which would give the message another id: ours tells the job, so that `waiting` can.
        self.broker.do_enqueue(queue.value, identity, message.encode())

    def waiting(self) -> set[UUID]:
        """Jobs with a message that no worker has fetched. Raises redis.RedisError."""
        found: list[Any] = [identity for queue in QUEUES for identity in self.client.lrange(f"{NAMESPACE}:{queue}", 0, -1)]
        return {UUID(identity.decode().partition(":")[0]) for identity in found}


def declare(broker: RedisBroker, loop: asyncio.AbstractEventLoop, run: Callable[[UUID], Coroutine[Any, Any, None]]) -> None:
    """Bind the actors to the broker. Their threads only wait: everything happens in `loop`, one for all of them.

    Not Dramatiq's own AsyncIO middleware, which hangs at a second signal and keeps tracebacks alive.
    """

    places = threading.BoundedSemaphore(MOST_BEGUN)

    def run_job(job_id: str) -> None:
        asyncio.run_coroutine_threadsafe(run(UUID(job_id)), loop).result()

    def begin_job(job_id: str) -> None:
        places.acquire()
        asyncio.run_coroutine_threadsafe(run(UUID(job_id)), loop).add_done_callback(lambda _: places.release())

    for actor in (run_job, begin_job):
        Actor(actor, broker=broker, actor_name=actor.__name__, queue_name=QUEUES[0], priority=0, options={})
    for queue in QUEUES:
        broker.declare_queue(queue)
