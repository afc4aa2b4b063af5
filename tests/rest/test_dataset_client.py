"""The published client and a raw socket against a real server: bytes over TCP, hung-up senders, a large file."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import coreplexml
import pytest
import uvicorn
from coreplexml.exceptions import CorePlexMLError, NotFoundError, ValidationError

from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.dataset import PEOPLE, Person, laboratory, staged_files, stored_files, table

Result = TypeVar("Result")
LIMIT = 3_000_000


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[str, Person, Services]]:
    """Address, person and services of a server on a port of its own."""
    small = settings.model_copy(update={"max_dataset_upload_bytes": LIMIT})
    async with laboratory(small, database) as (app, someone):
        bound = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve([bound]))
        while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", someone, app.state.services
        server.should_exit = True
        await serving


@pytest.fixture
async def client(lab: tuple[str, Person, Services]) -> AsyncIterator[Any]:
    made = coreplexml.CorePlexMLClient(base_url=lab[0], api_key=lab[1].key)
    yield made
    made.close()


async def call(function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    return await asyncio.to_thread(function, *arguments, **named)


async def test_the_published_client_works_unmodified(lab: tuple[str, Person, Services], client: Any, tmp_path: Path) -> None:
    project_id = lab[1].project_id
    source = tmp_path / "people.csv"
    await asyncio.to_thread(source.write_bytes, PEOPLE)
    made = await call(client.datasets.upload, project_id, str(source), "People")
    assert made["version_id"] == made["dataset_version_id"]
    assert made["quality"]["overall_score"] > 0
    listed = await call(client.datasets.list, project_id=project_id)
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    assert (await call(client.datasets.get, made["id"]))["dataset"]["name"] == "People"
    assert (await call(client.datasets.versions, made["id"]))["total"] == 1
    assert (await call(client.datasets.quality, made["id"]))["overall_score"] == made["quality"]["overall_score"]
    assert len((await call(client.datasets.columns, made["id"]))["columns"]) == 6
    assert (await call(client.datasets.analyze, made["id"]))["row_count"] == 4
    for format in ("csv", "parquet"):
        target = tmp_path / f"back.{format}"
        await call(client.datasets.download, made["id"], str(target), format)
        content = await asyncio.to_thread(target.read_bytes)
        assert content.startswith(b"name,age" if format == "csv" else b"PAR1")
    assert await call(client.datasets.delete, made["id"]) == {"ok": True}
    with pytest.raises(NotFoundError):
        await call(client.datasets.get, made["id"])
    with pytest.raises(NotFoundError):
        await call(client.datasets.upload, made["id"], str(source), "no such project")


async def test_the_client_learns_why_an_upload_is_refused(lab: tuple[str, Person, Services], client: Any, tmp_path: Path) -> None:
    project_id = lab[1].project_id
    for content, status, kind in (
        (b"x" * (LIMIT + 1), 413, CorePlexMLError),
        (b"x" * (3 * LIMIT), 413, CorePlexMLError),
        (b"a,b\n", 422, ValidationError),
        (b"a,b\n1,2\n\0\0,3\n", 400, CorePlexMLError),
    ):
        source = tmp_path / "bad.csv"
        await asyncio.to_thread(source.write_bytes, content)
        with pytest.raises(kind) as refused:
            await call(client.datasets.upload, project_id, str(source), "bad")
        assert refused.value.status_code == status
    assert stored_files(lab[2]) == []
    assert staged_files(lab[2]) == []


async def test_senders_that_hang_up_leave_nothing(lab: tuple[str, Person, Services], capfd: pytest.CaptureFixture[str]) -> None:
    address, ada, services = lab
    port = int(address.rpartition(":")[2])
    fields = f'--x\r\nContent-Disposition: form-data; name="project_id"\r\n\r\n{ada.project_id}\r\n'
    part = fields + '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = part.encode() + table([["a", "b"], *[[i, i] for i in range(20_000)]]) + b"\r\n--x--\r\n"
    head = (
        f"POST /api/datasets/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for share in (0.0, 0.0005, 0.001, 0.01, 0.3, 0.6, 0.9, 0.999):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + body[: int(share * len(body))])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()
    async with asyncio.timeout(10):
        while staged_files(services):  # noqa: ASYNC110 the server notices by itself
            await asyncio.sleep(0.02)
    assert stored_files(services) == []
    assert (await ada.client.get("/api/datasets")).json()["total"] == 0
    assert "Traceback" not in "".join(capfd.readouterr())
