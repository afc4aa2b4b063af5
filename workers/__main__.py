"""`python -m workers`: one worker process, with the relay, the threads of Dramatiq and one event loop for all jobs.

Without Dramatiq's own master process: there one dead worker takes its siblings along, and ours has a supervisor already. SIGTERM
stops it in order and exits with 0; a second signal exits at once, and the kernel ends the children.
"""

import argparse
import asyncio
import os
import signal
import threading
from dataclasses import fields

import structlog
from dramatiq.worker import Worker as Threads
from sqlalchemy import text

from coreplex.job.timing import Timing
from coreplex.platform import heartbeat, open_files, tracing
from coreplex.platform.heartbeat import BEAT_SECS, Heartbeat
from coreplex.platform.log import configure
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from coreplex.runtime import housekeeping, monitor
from workers.broker import QUEUES, Bell, declare
from workers.relay import Relay
from workers.runner import Runner

POLL_MS = 250
SPARE_THREADS = 2
"""Beyond `worker_threads` for each queue of long jobs, which caps each queue: so that they leave room for chores."""
LAST_SECS = 6.0
FILES_SHORT = 0.9

ALIVE = text(
    "INSERT INTO workers (id, started_at, seen_at) VALUES (:id, now(), now()) ON CONFLICT (id) DO UPDATE SET seen_at = now()"
)
FORGET = text("DELETE FROM workers WHERE id = :id")

log = structlog.get_logger(__name__)


async def serve(settings: Settings, timing: Timing, heart: Heartbeat) -> int:
    """Work until told to stop. Returns the exit code."""
    if settings.redis_url is None:
        raise SystemExit("REDIS_URL is not set; `coreplexml-server up` starts an embedded Redis by itself.")
    services = composition.build(settings)
    bell, stop = Bell(settings.redis_url), _stop_signal()
    runner, relay = Runner(services, timing), Relay(services, bell, timing)
    declare(bell.broker, asyncio.get_running_loop(), runner.run)
    await services.start()
    threads = Threads(
        bell.broker, worker_threads=settings.worker_threads * (len(QUEUES) - 1) + SPARE_THREADS, worker_timeout=POLL_MS
    )
    # Nothing is fetched that cannot be run at once: what a dead process had fetched is heard of late.
    threads.queue_prefetch, threads.delay_prefetch = settings.worker_threads, 1
    threads.start()
    stopped = asyncio.create_task(stop.wait())
    always = (relay.run(), _live(services, runner.name, timing), housekeeping.run(services), _beat(heart, threads))
    tasks = [*map(asyncio.create_task, (*always, monitor.run(services.database, timing.watch))), stopped]
    log.info("worker.started", worker=runner.name, threads=settings.worker_threads)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        log.error("worker.broken", error=[str(task.exception()) for task in tasks if task.done()])
    await _shut_down(services, runner, threads)
    for task in tasks:
        task.cancel()
    log.info("worker.stopped", worker=runner.name)
    return 0 if stopped.done() and not stopped.cancelled() else 1


async def _shut_down(services: Services, runner: Runner, threads: Threads) -> None:
    """No new work, then the running jobs, then our row; whatever is away by then is left to the leases."""
    # A thread of its own: the loop's executor would be waited for, and Redis may be away.
    stopping = threading.Thread(target=threads.stop, kwargs={"timeout": int(LAST_SECS * 1000)}, daemon=True)
    stopping.start()
    try:
        async with asyncio.timeout(runner.timing.drain + LAST_SECS):
            await runner.drain()
            async with services.database.transaction() as session:
                await session.execute(FORGET, {"id": runner.name})
            while stopping.is_alive():  # noqa: ASYNC110 a thread cannot be awaited
                await asyncio.sleep(0.05)
    except Exception as error:
        log.warning("worker.hurried", error=f"{type(error).__name__}: {error}")
    await services.stop()


async def _live(services: Services, name: str, timing: Timing) -> None:
    """Keep our row fresh: readiness asks for one."""
    while True:
        try:
            async with services.database.transaction() as session:
                await session.execute(ALIVE, {"id": name})
        except Exception as error:
            log.warning("worker.unseen", error=str(error))
        await asyncio.sleep(timing.beat)


async def _beat(heart: Heartbeat, threads: Threads) -> None:
    """Tell the supervisor that this loop turns, as long as every thread lives that fetches jobs for it."""
    warned = False
    while True:
        if all(thread.is_alive() for thread in (*threads.consumers.values(), *threads.workers)):
            heart.beat()
        short = open_files.opened() > open_files.limit() * FILES_SHORT
        if short and not warned:
            log.warning("files.short", limit=open_files.limit())
        warned = short
        await asyncio.sleep(BEAT_SECS)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()

    def heard() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)
    return stop


def _arguments() -> tuple[Timing, Heartbeat]:
    parser = argparse.ArgumentParser(
        prog="python -m workers", description="Run jobs until stopped. Settings come from the environment."
    )
    for field in fields(Timing):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default, help="seconds (%(default)s)")
    heartbeat.add_arguments(parser)
    given = vars(parser.parse_args())
    heart = Heartbeat(given.pop("heartbeat"), given.pop("stacks"))
    return Timing(**given), heart


def main() -> None:
    configure()
    timing, heart = _arguments()
    settings = Settings()
    os.umask(0o077)  # whatever is written is ours alone
    configure(settings.log_level)
    open_files.allow_many()
    try:
        tracing.start(settings.otel_exporter_otlp_endpoint, "worker")
    except tracing.NotInstalled as missing:
        log.critical("worker.cannot_start", reason=str(missing))
        raise SystemExit(1) from None
    code = asyncio.run(serve(settings, timing, heart))
    tracing.stop()
    # Not sys.exit: a thread stuck in a read from Redis would be waited for.
    os._exit(code)


if __name__ == "__main__":
    main()
