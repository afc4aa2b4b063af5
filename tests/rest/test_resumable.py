"""Resumable uploads by tus 1.0.0: broken off and gone on with, over restarts, by their owner alone, and refused by the book."""

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from httpx import AsyncClient, Response
from starlette.applications import Starlette

from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.resumable import MOST_UNFINISHED
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.account import bearer, browser, make_key, serving, sign_in
from tests.factories.clock import tidy
from tests.factories.dataset import Person, laboratory, person, staged_files, table

ROOT = "/api/uploads/tus"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
TABLE = table([["n", "square", "word"], *([n, n * n, f"word {n % 7}"] for n in range(20_000))])
UPLOAD = "mutation($input: UploadDatasetInput!) { uploadDataset(input: $input) { version { rowCount fileFormat } } }"


def unfinished(services: Services) -> list[str]:
    return sorted(path.name for path in services.resumable.root.iterdir())


def metadata(name: str) -> str:
    return "filename " + base64.b64encode(name.encode()).decode() + ",filetype dGV4dC9jc3Y=,flag"


async def begin(client: AsyncClient, length: int, name: str = "täble.csv", **headers: str) -> str:
    answer = await client.post(ROOT, headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(name), **headers})
    assert answer.status_code == 201, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["upload-expires"].endswith("GMT")
    return answer.headers["location"]


async def send(client: AsyncClient, place: str, offset: int, content: Any, **headers: str) -> Response:
    return await client.patch(place, content=content, headers={**BYTES, "Upload-Offset": str(offset), **headers})


async def offset(client: AsyncClient, place: str) -> int:
    answer = await client.head(place, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


async def break_off(app: Starlette, client: AsyncClient, place: str, at: int, content: bytes) -> None:
    """A PATCH of which `content` arrives, and then the line is dead."""
    sent = [{"type": "http.request", "body": content, "more_body": True}, {"type": "http.disconnect"}]
    headers = {**client.headers, **BYTES, "Upload-Offset": str(at), "host": "localhost"}
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": place,
        "raw_path": place.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "server": ("localhost", 80),
        "root_path": "",
    }

    async def receive() -> Any:
        return sent.pop(0)

    async def say(_: Any) -> None:
        pass

    await app(scope, receive, say)


async def test_an_upload_breaks_off_and_goes_on_in_another_process(settings: Settings, database: Database) -> None:
    middle = len(TABLE) // 2
    async with laboratory(settings, database) as (app, ada):
        place = await begin(ada.client, len(TABLE))
        await break_off(app, ada.client, place, 0, TABLE[:1_000])
        assert await offset(ada.client, place) == 1_000
        assert (await send(ada.client, place, 1_000, TABLE[1_000:middle])).status_code == 204
        key, project, owner = ada.key, ada.project_id, ada.user.id
    async with serving(settings) as again, browser(again) as client:
        client.headers.update(bearer(key))
        assert await offset(client, place) == middle
        early = await send(client, place, middle - 1, TABLE[middle:])
        assert (early.status_code, early.json()["code"]) == (409, "conflict")
        answer = await send(client, place, middle, TABLE[middle:])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(TABLE)))
        assert await offset(client, place) == len(TABLE)
        services: Services = again.state.services
        assert unfinished(services) == []
        upload_id = place.rpartition("/")[2]
        staged = services.staging.open(upload_id, owner)
        assert staged.path.read_bytes() == TABLE
        assert staged.sha256 == hashlib.sha256(TABLE).hexdigest()
        assert staged.filename == "täble.csv"

        wanted = {"project_id": project, "name": "Resumed", "upload_id": upload_id}
        refused = await client.post("/api/datasets/upload", json={**wanted, "sheet": "1"})
        assert refused.status_code == 422, "and the file is still there"
        made = await client.post("/api/datasets/upload", json=wanted)
        assert made.status_code == 201, made.text
        assert made.json()["dataset"]["row_count"] == 20_000
        assert staged_files(services) == []
        assert (await client.head(place, headers=TUS)).status_code == 404
        assert (await client.post("/api/datasets/upload", json=wanted)).status_code == 404


async def test_an_upload_is_named_in_a_form_and_in_graphql(ada: Person) -> None:
    for way in ("form", "graphql"):
        place = await begin(ada.client, len(TABLE))
        upload_id = place.rpartition("/")[2]
        early = await ada.client.post(
            "/api/datasets/upload", json={"project_id": ada.project_id, "name": "x", "upload_id": upload_id}
        )
        assert (early.status_code, f"{len(TABLE):,} bytes are still missing" in early.json()["detail"]) == (409, True)
        assert (await send(ada.client, place, 0, TABLE)).status_code == 204
        if way == "form":
            form = {"project_id": (None, ada.project_id), "name": (None, "Form"), "upload_id": (None, upload_id)}
            answer = await ada.client.post("/api/datasets/upload", files=form)
            assert answer.status_code == 201, answer.text
        else:
            made = await ada.data(UPLOAD, input={"uploadId": upload_id, "projectId": ada.project_id, "name": "GraphQL"})
            assert made["uploadDataset"]["version"] == {"rowCount": 20_000, "fileFormat": "csv"}


async def test_it_is_the_protocol(ada: Person, services: Services, settings: Settings) -> None:
    able = await ada.client.options(ROOT)
    assert able.status_code == 204
    assert able.headers["tus-version"] == "1.0.0"
    assert int(able.headers["tus-max-size"]) == settings.max_dataset_upload_bytes
    assert {"creation", "termination", "expiration", "checksum"} <= set(able.headers["tus-extension"].split(","))
    place = await begin(ada.client, 10)
    for answer, status in (
        (await ada.client.post(ROOT, headers={"Upload-Length": "5"}), 412),
        (await ada.client.patch(place, content=b"x", headers={**BYTES, "Tus-Resumable": "0.2.2", "Upload-Offset": "0"}), 412),
        (await ada.client.post(ROOT, headers=TUS), 400),
        (await ada.client.post(ROOT, headers={**TUS, "Upload-Length": "-1"}), 400),
        (await ada.client.post(ROOT, headers={**TUS, "Upload-Length": "1" * 30}), 400),
        (await ada.client.post(ROOT, headers={**TUS, "Upload-Length": str(settings.max_dataset_upload_bytes + 1)}), 413),
        (await ada.client.post(ROOT, headers={**TUS, "Upload-Length": "5", "Upload-Metadata": "filename ?!"}), 400),
        (await ada.client.patch(place, content=b"x", headers={**TUS, "Upload-Offset": "0"}), 415),
        (await ada.client.patch(place, content=b"x", headers=BYTES), 400),
        (await send(ada.client, place, 3, b"x"), 409),
        (await send(ada.client, place, 0, b"x" * 11), 413),
        (await send(ada.client, place, 0, b"x", **{"Upload-Checksum": "crc32 AAAA"}), 400),
        (await send(ada.client, place, 0, b"x", **{"Upload-Checksum": f"sha1 {_sha1(b'y')}"}), 460),
        (await ada.client.patch(f"{ROOT}/nothing", content=b"x", headers={**BYTES, "Upload-Offset": "0"}), 404),
        (await ada.client.post(place, headers=TUS), 405),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.json()["detail"]
    assert await offset(ada.client, place) == 0, "no refusal has left a byte"
    assert (await send(ada.client, place, 0, b"12345", **{"Upload-Checksum": f"sha1 {_sha1(b'12345')}"})).status_code == 204
    headers = {**BYTES, "Upload-Offset": "5", "X-HTTP-Method-Override": "PATCH"}
    assert (await ada.client.post(place, content=b"67", headers=headers)).headers["upload-offset"] == "7"
    assert (await ada.client.delete(place, headers=TUS)).status_code == 204
    assert (await ada.client.head(place, headers=TUS)).status_code == 404
    first = await ada.client.post(ROOT, content=b"abc", headers={**BYTES, "Upload-Length": "3"})
    assert (first.status_code, first.headers["upload-offset"]) == (201, "3")
    assert (await ada.client.delete(first.headers["location"], headers=TUS)).status_code == 204
    assert unfinished(services) == staged_files(services) == []


def _sha1(content: bytes) -> str:
    return base64.b64encode(hashlib.sha1(content).digest()).decode()


async def test_a_checksummed_piece_that_breaks_off_does_not_count(lab: tuple[Starlette, Person]) -> None:
    app, ada = lab
    place = await begin(ada.client, 100)
    ada.client.headers["Upload-Checksum"] = f"sha1 {_sha1(b'x' * 50)}"
    await break_off(app, ada.client, place, 0, b"x" * 20)
    assert await offset(ada.client, place) == 0


async def test_only_its_owner_sees_it(lab: tuple[Starlette, Person], database: Database, settings: Settings) -> None:
    app, ada = lab
    place = await begin(ada.client, 10)
    async with person(app, database) as eve:
        for client, status in ((eve.client, 404), (browser(app), 401)):
            assert (await client.head(place, headers=TUS)).status_code == status
            assert (await send(client, place, 0, b"x")).status_code == status
            assert (await client.delete(place, headers=TUS)).status_code == status
    _, reader = await make_key(database, ada.user, [Scope.read])
    answer = await ada.client.post(ROOT, headers={**TUS, "Upload-Length": "1", **bearer(reader)})
    assert answer.status_code == 403
    async with browser(app) as signed_in:
        token = await sign_in(signed_in, ada.user.email)
        assert (await send(signed_in, place, 0, b"x")).status_code == 403, "no CSRF token"
        foreign = {**token, "Origin": "https://evil.example"}
        assert (await send(signed_in, place, 0, b"x", **foreign)).status_code == 403
        assert (await send(signed_in, place, 0, b"x", **token)).status_code == 204
    assert await offset(ada.client, place) == 1


async def test_two_writers_take_turns(ada: Person, services: Services) -> None:
    place = await begin(ada.client, 8)
    written, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"1234"
        written.set()
        await go.wait()
        yield b"5678"

    upload = services.resumable.open(place.rpartition("/")[2], ada.user.id)
    first = asyncio.create_task(services.resumable.append(upload, 0, slowly()))
    await written.wait()
    services.resumable.lock_secs = 0.2
    answer = await send(ada.client, place, 0, b"abcdefgh")
    assert (answer.status_code, answer.json()["code"]) == (423, "locked")
    services.resumable.lock_secs = 30.0
    second = asyncio.create_task(send(ada.client, place, 0, b"abcdefgh"))
    go.set()
    await first
    assert (await second).status_code == 409, "it waited, and the upload was whole"
    staged = services.staging.open(upload.id, ada.user.id)
    assert staged.path.read_bytes() == b"12345678"


async def test_pieces_cost_no_budget_and_open_uploads_are_counted(settings: Settings, database: Database) -> None:
    few = settings.model_copy(update={"rate_limit_general": "60/minute"})
    async with laboratory(few, database) as (app, ada):
        place = await begin(ada.client, 150)
        for at in range(150):
            assert (await send(ada.client, place, at, b"x")).status_code == 204
        services: Services = app.state.services
        for _ in range(MOST_UNFINISHED):
            await begin(ada.client, 5)
        answer = await ada.client.post(ROOT, headers={**TUS, "Upload-Length": "5"})
        assert (answer.status_code, str(MOST_UNFINISHED) in answer.json()["detail"]) == (409, True)
        assert len(unfinished(services)) == 3 * MOST_UNFINISHED
        kept = unfinished(services)[0].partition(".")[0]
        for path in services.resumable.root.iterdir():
            if not path.name.startswith(kept):
                os.utime(path, (time.time() - services.resumable.unfinished_secs - 60,) * 2)
        await tidy(services)
        assert {name.partition(".")[0] for name in unfinished(services)} == {kept}


async def test_a_process_that_dies_after_the_last_byte_loses_nothing(ada: Person, services: Services) -> None:
    place = await begin(ada.client, len(TABLE))
    (services.resumable.root / f"{place.rpartition('/')[2]}.bin").write_bytes(TABLE)
    assert await offset(ada.client, place) == len(TABLE)
    made = await ada.data(UPLOAD, input={"uploadId": place.rpartition("/")[2], "projectId": ada.project_id, "name": "Whole"})
    assert made["uploadDataset"]["version"]["rowCount"] == 20_000
    assert unfinished(services) == []


async def test_an_upload_is_begun_once_per_key(ada: Person, services: Services, database: Database) -> None:
    """Sent again it says how much is here, whatever came of the first bytes; it takes no further place."""
    key, length = {"Idempotency-Key": "k"}, str(len(TABLE))
    said = {**BYTES, "Upload-Length": length, "Upload-Metadata": metadata("t.csv"), **key}
    for _ in range(MOST_UNFINISHED - 1):
        await begin(ada.client, 5)
    first, again = [await ada.client.post(ROOT, content=TABLE[:1_000], headers=said) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert (first.headers["location"], "1000") == (again.headers["location"], again.headers["upload-offset"])
    assert [answer.headers.get("idempotent-replayed") for answer in (first, again)] == [None, "true"]
    assert len(unfinished(services)) == 3 * MOST_UNFINISHED, "bytes, facts and the room of each"
    rest = await send(ada.client, first.headers["location"], 1_000, TABLE[1_000:], **key)
    assert (rest.status_code, "no effect" in rest.headers["warning"]) == (204, True)
    assert (await ada.client.post(ROOT, headers=said)).headers["upload-offset"] == length
    assert (await ada.client.post(ROOT, headers={**said, "Upload-Length": "7"})).status_code == 409
    _, reader = await make_key(database, ada.user, [Scope.read])
    assert (await ada.client.post(ROOT, headers={**said, **bearer(reader)})).status_code == 403
