"""Dramatiq's broker, with the defaults that would hurt us replaced.

A message is a doorbell: it holds a job id and may be lost, doubled or late without harm, because the row in PostgreSQL decides. So
no retries here (PostgreSQL counts attempts), no time limit (the default of ten minutes would end trainings; children have their
own), and maintenance on every command instead of one in a thousand.
"""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import ShutdownNotifications

NAMESPACE = "coreplexml"
QUEUE = "jobs"
HEARTBEAT_TIMEOUT_MS = 60_000


def make_broker(redis_url: str) -> RedisBroker:
    broker = RedisBroker(
        url=redis_url,
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=1_000_000,
        middleware=[ShutdownNotifications()],
    )
    broker.declare_queue(QUEUE)
    return broker


def ring(job_id: str) -> "dramatiq.Message[None]":
    """The message that tells a worker to look at a job."""
    return dramatiq.Message(queue_name=QUEUE, actor_name="run_job", args=(job_id,), kwargs={}, options={})
