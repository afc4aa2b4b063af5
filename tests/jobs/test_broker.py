"""What the threads of a worker do with a message: wait for the job, or, of one that only waits itself, begin it and go on."""

import asyncio
from uuid import UUID

from coreplex.job.kinds import Queue
from coreplex.platform.identifier import new_id
from workers.broker import ACTORS, MOST_BEGUN, Bell, declare


async def test_jobs_that_only_wait_hold_no_thread_until_there_are_too_many(redis_url: str) -> None:
    bell, begun, go_on = Bell(redis_url), set[UUID](), asyncio.Event()

    async def run(job_id: UUID) -> None:
        begun.add(job_id)
        await go_on.wait()

    declare(bell.broker, asyncio.get_running_loop(), run)
    begin = bell.broker.get_actor(ACTORS[Queue.webhooks])
    wait = bell.broker.get_actor(ACTORS[Queue.chores])
    for _ in range(MOST_BEGUN):
        await asyncio.wait_for(asyncio.to_thread(begin, str(new_id())), 5)
    held = [asyncio.create_task(asyncio.to_thread(one, str(new_id()))) for one in (begin, wait)]
    done, _ = await asyncio.wait(held, timeout=0.3)
    assert (len(done), len(begun)) == (0, MOST_BEGUN + 1), "one more than may be begun waits for a place, a chore for its end"
    go_on.set()
    await asyncio.wait_for(asyncio.gather(*held), 5)
    assert len(begun) == MOST_BEGUN + 2
