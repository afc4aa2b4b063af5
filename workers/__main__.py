"""`python -m workers`: one worker process. Relay, job threads and heartbeat around a single event loop.

Without Dramatiq's own master process: ours is the supervisor, and a dead worker must not take its siblings along.
"""

import argparse
import asyncio
import contextlib
import os
import signal
from datetime import timedelta

import dramatiq
import structlog
from dramatiq.worker import Worker as DramatiqWorker
from sqlalchemy import text

import coreplex.handlers
from coreplex import services as composition
from coreplex.job.service import Timing
from coreplex.log import configure
from coreplex.services import Services
from coreplex.settings import Settings
from workers.actors import declare
from workers.broker import make_broker
from workers.relay import Relay
from workers.runner import Runner

log = structlog.get_logger()
GRACE_SECS = 3.0
ALIVE_SECS = 5.0
HEARTBEAT = text(
    "INSERT INTO workers (id, started_at, seen_at) VALUES (:id, now(), now()) ON CONFLICT (id) DO UPDATE SET seen_at = now()"
)
FORGET = text("DELETE FROM workers WHERE id = :id OR seen_at < now() - interval '1 hour'")


async def serve(settings: Settings, timing: Timing) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once."""
    services = composition.build(settings)
    assert settings.redis_url is not None, "REDIS_URL is set by the supervisor or by whoever starts a worker"
    broker = make_broker(settings.redis_url)
    dramatiq.set_broker(broker)
    runner, relay = Runner(services, timing), Relay(services, broker, timing)
    declare(broker, asyncio.get_running_loop(), runner.run)
    stop = _stop_signal()
    await services.start()
    worker = DramatiqWorker(broker, worker_threads=settings.worker_threads)
    worker.start()
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(_alive(services, runner.name))]
    log.info("worker_started", name=runner.name, threads=settings.worker_threads)
    await stop.wait()
    await _shut_down(services, runner, worker, tasks)


async def _shut_down(services: Services, runner: Runner, worker: DramatiqWorker, tasks: list["asyncio.Task[None]"]) -> None:
    stopping = asyncio.create_task(asyncio.to_thread(worker.stop, timeout=30_000))
    await runner.drain(GRACE_SECS)
    with contextlib.suppress(Exception):
        await stopping
    for task in tasks:
        task.cancel()
    with contextlib.suppress(Exception):
        async with services.database.transaction() as session:
            await session.execute(FORGET, {"id": runner.name})
    await services.stop()
    log.info("worker_stopped", name=runner.name)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()

    def heard() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)
    return stop


async def _alive(services: Services, name: str) -> None:
    while True:
        try:
            async with services.database.transaction() as session:
                await session.execute(HEARTBEAT, {"id": name})
        except Exception as error:
            log.warning("worker_heartbeat_missed", error=repr(error))
        await asyncio.sleep(ALIVE_SECS)


def _timing() -> Timing:
    parser = argparse.ArgumentParser(prog="python -m workers")
    for name, default in (("lease", 20.0), ("beat", 5.0), ("sweep", 5.0), ("redispatch", 15.0)):
        parser.add_argument(f"--{name}", type=float, default=default, help=f"seconds (default {default:.0f})")
    given = parser.parse_args()
    return Timing(**{name: timedelta(seconds=value) for name, value in vars(given).items()})


def main() -> None:
    timing = _timing()
    settings = Settings()
    configure(settings.log_level)
    assert coreplex.handlers, "importing it registers every handler"
    asyncio.run(serve(settings, timing))


if __name__ == "__main__":
    main()
