"""Heavy work has places of its own: per host, in turn between callers, ended when its caller leaves, done once."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from starlette.applications import Starlette

from coreplex.dataset import table_tasks
from coreplex.dataset.table_tasks import TableTasks
from coreplex.errors.tree import CallerLeft
from coreplex.platform import client_disconnect
from coreplex.platform.client_disconnect import CONNECTION, while_connected
from coreplex.platform.database import STATEMENT_TIMEOUT_MS, Database
from coreplex.platform.deferred_import import ChildTask
from coreplex.platform.fair_places import HostPlaces, working_for
from coreplex.platform.isolation import NICENESS, run_child
from tests.contract.checkout import alive
from tests.factories.dataset import Person, person, staged_files
from tests.jobs.test_isolation import Heard, gone
from tests.stack import ROOT, Stack

FILE = "file(format: XLSX) { id sha256 }"
FILES = f"query($id: ID!) {{ dataset(id: $id) {{ latestVersion {{ a: {FILE} b: {FILE} }} }} }}"
HOLDER = """
import asyncio, pathlib, sys
from coreplex.platform.fair_places import HostPlaces
async def hold():
    async with HostPlaces(pathlib.Path(sys.argv[1]), "p", 1).place():
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold())
"""


async def test_host_places_are_shared_and_nobody_starves(tmp_path: Path) -> None:
    """Each HostPlaces opens the files by itself, as a process does."""
    held = most = 0
    order: list[str] = []

    async def take(places: HostPlaces, name: str) -> None:
        nonlocal held, most
        async with places.place():
            held, order[len(order) :] = held + 1, [name]
            most = max(most, held)
            await asyncio.sleep(0.01)
            held -= 1

    busy, other = HostPlaces(tmp_path, "p", 2), HostPlaces(tmp_path, "p", 2)
    greedy = [asyncio.create_task(take(busy, "greedy")) for _ in range(30)]
    await asyncio.sleep(0.005)
    await take(other, "other")
    await asyncio.gather(*greedy)
    assert most == 2
    assert order.index("other") < 10, "a process that has many waiting does not keep the places to itself"


async def test_a_killed_process_leaves_its_place(tmp_path: Path) -> None:
    places = HostPlaces(tmp_path, "p", 1)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    waiting = asyncio.create_task(_briefly(places))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    holder.kill()
    await holder.wait()
    async with asyncio.timeout(10):
        await waiting


async def _briefly(places: HostPlaces) -> None:
    async with places.place():
        pass


async def test_table_work_is_done_in_turn(lab: tuple[Starlette, Person], monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty exports of one caller leave a place free; beyond that the turn goes round."""
    running: list[str] = []
    done: list[str] = []

    async def child(_task: str, request: dict[str, Any], **_limits: Any) -> dict[str, Any]:
        running.append(request["who"])
        assert running.count(request["who"]) == 1, "one for each caller"
        assert len(running) <= 2
        await asyncio.sleep(0.02)
        running.remove(request["who"])
        done.append(request["who"])
        return {}

    monkeypatch.setattr(table_tasks, "run_child", child)
    tables = TableTasks.of(lab[0].state.services)

    async def ask(who: str) -> None:
        with working_for(who):
            await tables.run("some:task", {"who": who})

    greedy = [asyncio.create_task(ask("greedy")) for _ in range(20)]
    await asyncio.sleep(0.01)
    assert running == ["greedy"]
    async with asyncio.timeout(5):
        await asyncio.gather(ask("second"), ask("third"))
    assert len(done) <= 6, "each waited for one job of each other at most"
    await asyncio.gather(*greedy)


async def test_exports_are_written_once(
    lab: tuple[Starlette, Person], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ada = lab
    asked: list[str] = []

    async def counted(task: ChildTask, *arguments: Any, **limits: Any) -> dict[str, Any]:
        asked.append(task.partition(":")[2])
        return await run_child(task, *arguments, **limits)

    monkeypatch.setattr(table_tasks, "run_child", counted)
    dataset = (await ada.dataset())["dataset_id"]
    found = (await ada.data(FILES, id=dataset))["dataset"]["latestVersion"]
    assert found["a"]["id"] != found["b"]["id"]
    assert found["a"]["sha256"] == found["b"]["sha256"]
    async with person(app, database) as eve:
        assert (await eve.ask(FILES, id=dataset))["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        body = {"email": eve.user.email, "role": "viewer"}
        added = await ada.client.post(f"/api/projects/{ada.project_id}/members", json=body)
        assert added.status_code < 300, added.text
        hers = (await eve.data(FILES, id=dataset))["dataset"]["latestVersion"]
        assert hers["a"]["sha256"] == found["a"]["sha256"]
        url = f"/api/uploads/{hers['a']['id']}/file"
        assert (await ada.client.get(url)).status_code == 404, "an entry is its owner's"
    assert asked == ["ingest", "export"]
    files = app.state.services.staging
    for name in staged_files(app.state.services):
        if name.startswith("export-"):
            os.utime(files.root / name, (time.time() - 7200,) * 2)
    files.sweep()
    await ada.data(FILES, id=dataset)
    assert asked == ["ingest", "export", "export"], "what nobody asked for in an hour is gone"


async def test_a_late_block_is_cancelled_when_its_client_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_disconnect, "LATE_SECS", 0.01)
    left, began, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def read() -> None:
        CONNECTION.set(receive)
        try:
            with client_disconnect.cancelled_by_departure():
                began.set()
                await asyncio.sleep(60)
        finally:
            ended.set()

    before = asyncio.all_tasks()
    asked = asyncio.create_task(read())
    await began.wait()
    left.set()
    with pytest.raises(CallerLeft):
        await asked
    assert not asked.cancelled()
    left.clear()
    stopped = asyncio.create_task(read())  # by the server itself: no departure
    await asyncio.sleep(0.05)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    assert asyncio.all_tasks() == before, "nobody watches any more"


async def test_a_read_ends_with_its_client(stack: Stack) -> None:
    """PostgreSQL sees it: the read's statement waits for a lock, and waits no more when nobody waits for the read."""
    address = urlsplit(stack.base_url)
    key = await asyncio.to_thread(stack.key)
    locked, watcher = [await asyncpg.connect(stack.database_url) for _ in range(2)]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    try:
        await locked.execute("BEGIN; LOCK TABLE projects IN ACCESS EXCLUSIVE MODE")
        _, line = await asyncio.open_connection(address.hostname, address.port)
        line.write(f"GET /api/projects HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        began = time.monotonic()
        while not await watcher.fetchval(waiting):
            assert time.monotonic() - began < 30
        line.close()
        left = time.monotonic()
        while await watcher.fetchval(waiting):
            pass
        assert time.monotonic() - left < STATEMENT_TIMEOUT_MS / 1000 - 1, "long before the statement's own end"
    finally:
        await locked.close()
        await watcher.close()


async def test_a_child_ends_with_its_client_and_stands_back() -> None:
    heard, left = Heard(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    token = CONNECTION.set(receive)
    try:
        limits: dict[str, Any] = {"time_limit_secs": 60, "memory_bytes": 1 << 30}
        asked = asyncio.create_task(
            while_connected(run_child(ChildTask("tests.jobs.child_tasks:sleep"), {}, on_event=heard, **limits))
        )
        await asyncio.wait_for(heard.first.wait(), 30)
        assert psutil.Process(heard.pid).nice() == NICENESS
        left.set()
        with pytest.raises(CallerLeft):
            await asked
        assert gone(heard.pid)
        with pytest.raises(CallerLeft):  # what else the request asks for is not begun
            await while_connected(asyncio.sleep(60))
    finally:
        CONNECTION.reset(token)


def test_an_export_ends_with_its_client(stack: Stack) -> None:
    rows = b"a,b,c,d,e,f\n" + b"".join(b"%d,%d,text %d,x%d,%d.5,%d.25\n" % (n, n % 7, n, n % 13, n, n) for n in range(150_000))
    with stack.client() as client:
        project = client.post("/api/projects", json={"name": "large"}).json()["project_id"]
        form = {"project_id": project, "name": "large"}
        dataset = client.post("/api/datasets/upload", data=form, files={"file": ("t.csv", rows)}).json()["dataset_id"]
        web = psutil.Process(stack.children["web"].pid)
        address = urlsplit(stack.base_url)
        before = _staged(stack)
        with socket.create_connection((address.hostname, address.port)) as line:
            key = client.headers["Authorization"]
            head = f"GET /api/datasets/{dataset}/download?format=xlsx HTTP/1.1\r\nHost: {address.netloc}\r\n"
            line.sendall(f"{head}Authorization: {key}\r\n\r\n".encode())
            exporting = _wait(lambda: [child for child in web.children() if "tasks:export" in " ".join(child.cmdline())])
        _wait(lambda: not alive(exporting))
        _wait(lambda: _staged(stack) <= before)  # nothing half-made, and nothing finished for nobody


def _staged(stack: Stack) -> set[str]:
    return {path.name for path in (stack.data_dir / "staging").iterdir()}


def _wait(found: Any, secs: float = 30.0) -> Any:
    deadline = time.monotonic() + secs
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value
