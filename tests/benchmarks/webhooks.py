"""How many deliveries a second one worker makes, and what receivers that hang cost others; writes webhooks.md.

    python -m tests.benchmarks.webhooks [EVENTS]

Events are written into the outbox at once, and the time is taken until the last has arrived at listeners in this process.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import psutil  # type: ignore[import-untyped]

from coreplex.platform.database import Database
from coreplex.runtime import concepts
from coreplex.webhook import outbox
from coreplex.webhook.event_types import PING
from tests.benchmarks import passes, stack
from tests.factories.receiver import OK, Answer, Receiver, hang, receiving

concepts.load("jobs")
EVENTS, PATIENCE_SECS = 1000, 300.0
METHOD = """# Deliveries of webhooks

Measured by `tests/benchmarks/webhooks.py`. {machine}, one worker, listeners in the measuring process. The events are
committed at once, and the time is until the last of those to receivers that answer has arrived; CPU is the worker's.

| receivers | deliveries | seconds | a second | CPU ms each |
|---|---:|---:|---:|---:|
"""


async def all_arrived(receivers: Sequence[Receiver], wanted: int) -> None:
    end = time.monotonic() + PATIENCE_SECS
    while sum(len(one.requests) for one in receivers) < wanted:
        if time.monotonic() > end:
            raise RuntimeError(f"{[len(one.requests) for one in receivers]} of {wanted} have arrived")
        await asyncio.sleep(0.01)


async def measured(ours: stack.Stack, name: str, good: int, hanging: int, events: int) -> str:
    """A line of the table: so many receivers that answer, and that do not."""
    worker: psutil.Process = ours.processes(r"-m workers\b")[0]
    project = (await asyncio.to_thread(ours.call, "POST", "/api/projects", json={"name": name}))["project_id"]
    database = Database(ours.database_url, pool_size=2)
    async with AsyncExitStack() as opened:
        answers: list[Answer] = [OK] * good + [hang] * hanging
        receivers = [await opened.enter_async_context(receiving(answer)) for answer in answers]
        for one in receivers:
            said = {"url": f"http://127.0.0.1:{one.port}/"}
            await asyncio.to_thread(ours.call, "POST", f"/api/mlops/projects/{project}/webhooks", json=said)
        async with database.transaction() as session:
            for _ in range(events // good):
                await outbox.send(session, UUID(project), PING, {"message": "It is there."})
        used, began = stack.cpu(worker), time.perf_counter()
        await all_arrived(receivers[:good], events // good * good)
        seconds, spent = time.perf_counter() - began, stack.cpu(worker) - used
    await database.close()
    await asyncio.to_thread(ours.call, "DELETE", f"/api/projects/{project}")
    return f"| {name} | {events:,} | {seconds:.1f} | {events / seconds:.0f} | {1000 * spent / events:.1f} |"


async def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    with stack.running(WEBHOOK_ALLOWED_NETWORKS="127.0.0.1") as ours:
        lines = [
            await measured(ours, "1 that answers", 1, 0, events),
            await measured(ours, "20 that answer", 20, 0, events),
            await measured(ours, "20 that answer, 5 that hang", 20, 5, events),
        ]
    passes.write("webhooks", METHOD.format(machine=stack.cores()) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
