"""Uploads through the REST door: what becomes a dataset, what is refused, and that a refusal leaves nothing behind."""

import asyncio
import base64
import io
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import polars as pl
import pytest

from coreplex.membership.table import Membership
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role, Scope
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories import dirty
from tests.factories.account import bearer, make_key, make_user
from tests.factories.dataset import PEOPLE, Person, laboratory, person, staged_files, stored_files, table

NOBODY = "01890000-0000-7000-8000-000000000000"
OFFSET_ZONE = zlib.decompress(
    base64.b85decode(
        "c-lo#O-sW-5S_*)^x#EsLl*XsO9Db#tzQT6GFz&aT3Q#1h^J6Ps-TT&HQ+(~0qwu=hj{XLIlF1=gWVn8%zHD;4pFx_@R-LjXB4>Hl>p$-VKrFe"
        ">-YO}xdohw_yl}+HlC!<33rGH9p6dj;qLWfN5;0+V?qiUfu!ot1!3}>SWkO8s&^$d0g|5Yxgr8)1lnU!-P0hXzl~ZCZqKR){!eY+;5b9V4OZwO"
        "mZ&nkK+LdhQ>YYT-vn*Mt|k6oLdRUARWvd>(q9=L>#J7I*y-6yRc=HTjFp-^RQ}ZGZquit>}Z#ExDPxUJoU@968s=fir2Sv-Wcb3BPoh$8N8>("
        ">~Z=M9G*50nk^yC!tZI>L;8z94hmOK"
    )
)
"""Parquet as Arrow writes two moments of the zone +07:30, which Polars cannot write."""


def clean(services: Services) -> None:
    assert stored_files(services) == []
    assert staged_files(services) == []


async def test_an_upload_becomes_a_dataset_with_a_version(ada: Person, services: Services) -> None:
    body = await ada.dataset(description="who came")
    assert body["id"] == body["dataset_id"] == body["dataset"]["id"]
    assert body["dataset_version_id"] == body["version_id"] == body["version"]["id"] == body["dataset"]["latest_version_id"]
    assert body["artifact_id"] == body["version"]["artifact_id"]
    assert 0 <= body["quality"]["overall_score"] <= 100
    assert isinstance(body["quality"]["issues"], list)
    dataset = body["dataset"]
    assert dataset["description"] == "who came"
    assert (dataset["row_count"], dataset["column_count"], dataset["version_count"]) == (4, 6, 1)
    assert (dataset["file_format"], dataset["size_bytes"], dataset["status"]) == ("csv", len(PEOPLE), "ready")
    folder = f"projects/{ada.project_id}/datasets/{body['id']}/{body['version_id']}"
    assert stored_files(services) == [f"{folder}/table.parquet", f"{folder}/upload.csv"]
    assert staged_files(services) == []
    events = (await ada.client.get(f"/api/projects/{ada.project_id}/timeline")).json()["events"]
    assert [event["type"] for event in events].count("dataset.uploaded") == 1


async def test_parquet_keeps_its_types(ada: Person) -> None:
    file = io.BytesIO()
    pl.DataFrame({"n": [1, 2, 3], "flag": [True, False, None], "word": ["a", "b\0c", "ü"]}).write_parquet(file)
    body = await ada.dataset(file.getvalue(), "typed.parquet")
    columns = (await ada.client.get(f"/api/datasets/{body['id']}/columns")).json()["columns"]
    assert [(c["name"], c["type"]) for c in columns][:2] == [("n", "integer"), ("flag", "boolean")]
    assert body["version"]["file_format"] == "parquet"


async def test_moments_of_a_zone_without_a_name_are_taken(ada: Person, services: Services) -> None:
    body = await ada.dataset(OFFSET_ZONE, "moments.parquet")
    (stored,) = [key for key in stored_files(services) if key.endswith(f"{body['version_id']}/table.parquet")]
    moments = pl.read_parquet(services.settings.storage_dir / stored)["at"]
    assert moments.dt.to_string("iso:strict").to_list() == ["1970-01-01T00:00:00.000000", "2001-09-09T01:46:40.000000"]


async def test_fields_may_follow_the_file(ada: Person) -> None:
    parts = [("file", ("t.csv", PEOPLE)), ("name", (None, "Late")), ("project_id", (None, ada.project_id))]
    answer = await ada.client.post("/api/datasets/upload", files=parts)
    assert answer.status_code == 201, answer.text
    assert answer.json()["dataset"]["name"] == "Late"


async def test_dirty_files_are_read_or_refused_as_expected(ada: Person) -> None:
    async def uploaded(name: str, content: bytes) -> httpx.Response:
        answer = await ada.upload(content, name, name=name)
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(float(answer.headers["Retry-After"]))  # a busy machine: so many at once have to wait
        return await uploaded(name, content)

    answers = await asyncio.gather(*(uploaded(name, one.content) for name, one in dirty.files().items()))
    for expected, answer in zip(dirty.files().values(), answers, strict=True):
        body = answer.json()
        if answer.status_code != 201:
            assert body["detail"]
            expected.check(answer.status_code)
            continue
        found = (await ada.client.get(f"/api/datasets/{body['id']}/columns")).json()["columns"]
        expected.check(201, body["dataset"]["row_count"], [column["name"] for column in found])


REFUSED: list[tuple[bytes, str, int]] = [
    (b"", "empty.csv", 422),
    (b"a,b\n", "header.csv", 422),
    (b"PAR1 but not really", "fake.parquet", 400),
    (b"a,b\n1,2\n\x00\x00,3\n", "nul.csv", 400),
    (bytes(range(256)) * 20, "binary.csv", 400),
    (b"PK\x03\x04sheet", "table.xlsx", 400),
    (b"MZ\x90\x00\x03\x00\x00\x00" + bytes(500), "script.exe", 400),
]


async def test_what_is_no_table_is_refused_and_leaves_nothing(ada: Person, services: Services) -> None:
    answers = await asyncio.gather(*(ada.upload(content, filename) for content, filename, _ in REFUSED))
    assert [answer.status_code for answer in answers] == [status for _, _, status in REFUSED]
    assert all(len(answer.json()["detail"]) > 10 for answer in answers)
    clean(services)
    assert (await ada.client.get("/api/datasets")).json()["total"] == 0


async def test_dirty_equivalents_lose_no_row(ada: Person) -> None:
    contents = (
        "a;b\n1,5;ü\n2,5;y\n".encode("latin-1"),
        "a\tb\n1\tx\n2\ty\n".encode("utf-16"),
        b"\xef\xbb\xbfa|b\r\n1|x\r\n2|y\r\n",
        b'a,b\n1,"x\ny"\n2,z\n',
        b"a,a,\n1,2,3\n4,5,6\n",
    )
    bodies = await asyncio.gather(*(ada.dataset(content) for content in contents))
    assert [body["dataset"]["row_count"] for body in bodies] == [2] * len(contents)
    assert any("name" in issue["kind"] for issue in bodies[-1]["quality"]["issues"]), "renamed columns are told"


async def test_too_large_is_413_and_leaves_nothing(settings: Settings, database: Database) -> None:
    small = settings.model_copy(update={"max_dataset_upload_bytes": 1_000})
    async with laboratory(small, database) as (app, ada):
        for content in (b"x" * 1_001, b"x" * 10_000_000):
            answer = await ada.upload(content)
            assert answer.status_code == 413
            assert "retry-after" not in answer.headers
            assert "limit" in answer.json()["detail"]
        answer = await ada.client.post("/api/uploads?filename=a.csv", content=b"x" * 1_001)
        assert answer.status_code == 413
        clean(app.state.services)


async def test_a_form_is_checked(ada: Person, services: Services) -> None:
    answers = {
        "no file": await ada.client.post("/api/datasets/upload", files={"name": (None, "x")}),
        "json": await ada.client.post("/api/datasets/upload", json={"project_id": ada.project_id}),
        "no name": await ada.upload(PEOPLE, name=""),
        "no project": await ada.upload(PEOPLE, project_id=""),
        "blank name": await ada.upload(PEOPLE, name="  "),
        "long name": await ada.upload(PEOPLE, name="x" * 201),
        "NUL in name": await ada.upload(PEOPLE, name="x\0y"),
        "long field": await ada.upload(PEOPLE, description="x" * 70_000),
        "other field": await ada.client.post(
            "/api/datasets/upload", data={"project_id": ada.project_id, "name": "x"}, files={"table": ("a.csv", PEOPLE)}
        ),
        "two files": await ada.client.post(
            "/api/datasets/upload",
            data={"project_id": ada.project_id, "name": "x"},
            files=[("file", ("a.csv", PEOPLE)), ("file", ("b.csv", PEOPLE))],
        ),
    }
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(answers, 422)
    assert answers["no file"].json()["detail"][0]["loc"][-1] == "file"
    assert answers["no name"].json()["detail"][0]["loc"] == ["body", "name"]
    assert answers["no project"].json()["detail"][0]["loc"] == ["body", "project_id"]
    clean(services)


FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,2'


@pytest.mark.parametrize("body", [b"", b"--x", FILE_PART, FILE_PART + b"\r\n--x\r\n", b"nonsense", b"--x\r\nbroken\r\n\r\n"])
async def test_a_broken_form_is_refused(body: bytes, ada: Person, services: Services) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await ada.client.post("/api/datasets/upload", content=body, headers=headers)
    assert answer.status_code in {400, 422}, answer.text
    clean(services)


async def test_foreign_and_unknown_projects_are_not_found_before_the_file_is_taken(
    lab: tuple[Any, Person], database: Database, services: Services
) -> None:
    app, ada = lab
    async with person(app, database) as eve:
        theirs = await eve.dataset()
        kept = stored_files(services)
        received: list[int] = []

        async def slow(project_id: str) -> AsyncIterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="project_id"\r\n\r\n' + project_id.encode()
            yield b'\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
            received.append(1)
            yield b"a,b\n1,2\n"
            received.append(2)

        for project_id in (eve.project_id, NOBODY, "nonsense"):
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await ada.client.post("/api/datasets/upload", content=slow(project_id), headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (404, "Project not found")
        assert 2 not in received or staged_files(services) == []
        for answer in (
            await ada.upload(PEOPLE, project_id="", dataset_id=theirs["id"]),
            await ada.upload(PEOPLE, dataset_id=theirs["id"]),
            await ada.client.post(f"/api/datasets/{theirs['id']}/versions", files={"file": ("a.csv", PEOPLE)}),
        ):
            assert (answer.status_code, answer.json()["detail"]) == (404, "Dataset not found")
        assert stored_files(services) == kept
        assert staged_files(services) == []


async def test_credentials_and_roles(lab: tuple[Any, Person], database: Database, services: Services) -> None:
    _, ada = lab
    _, reader = await make_key(database, ada.user, [Scope.read])
    answer = await ada.client.post("/api/datasets/upload", files={"file": ("a.csv", PEOPLE)}, headers=bearer(reader))
    assert answer.status_code == 403
    viewer = await make_user(database)
    _, key = await make_key(database, viewer)
    async with database.transaction() as session:
        session.add(Membership(project_id=ada.project_id, user_id=viewer.id, role=Role.viewer))
    form = {"project_id": ada.project_id, "name": "x"}
    answer = await ada.client.post("/api/datasets/upload", data=form, files={"file": ("a.csv", PEOPLE)}, headers=bearer(key))
    assert answer.status_code == 403
    del ada.client.headers["Authorization"]
    assert (await ada.upload(PEOPLE)).status_code == 401
    clean(services)


async def test_a_key_makes_an_upload_happen_once(ada: Person, services: Services) -> None:
    ada.client.headers["Idempotency-Key"] = "upload-1"
    first, again = await ada.upload(PEOPLE), await ada.upload(PEOPLE)
    assert first.status_code == again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    assert (await ada.upload(PEOPLE + b"Ada,1,London,yes,2000-01-01,1\n")).status_code == 409, "another file"
    assert (await ada.upload(PEOPLE, name="Other")).status_code == 409
    del ada.client.headers["Idempotency-Key"]
    assert (await ada.client.get("/api/datasets")).json()["total"] == 1
    assert len(stored_files(services)) == 2
    assert staged_files(services) == []


async def test_versions_follow_each_other_when_uploaded_at_once(ada: Person, services: Services) -> None:
    first = await ada.dataset()
    more = table([["a", "b"], *[[i, i % 2] for i in range(30)]])
    answers = await asyncio.gather(
        *(ada.client.post(f"/api/datasets/{first['id']}/versions", files={"file": ("more.csv", more)}) for _ in range(3)),
        ada.upload(more, dataset_id=first["id"], name=""),
    )
    assert [answer.status_code for answer in answers] == [201] * 4, [a.text for a in answers]
    listed = (await ada.client.get(f"/api/datasets/{first['id']}/versions")).json()
    assert [item["version"] for item in listed["items"]] == [5, 4, 3, 2, 1]
    assert listed["total"] == 5
    dataset = (await ada.client.get(f"/api/datasets/{first['id']}")).json()
    assert dataset["latest_version_id"] == listed["items"][0]["id"]
    assert (dataset["row_count"], dataset["version_count"], dataset["name"]) == (30, 5, "People")
    assert len(stored_files(services)) == 10


async def test_hostile_names_stay_labels(ada: Person, services: Services) -> None:
    for name in ("../../etc/passwd.csv", "..\\..\\x.csv", "a\x01b.csv", "ü" * 300 + ".csv", "<svg onload=x>.csv", "/etc/passwd"):
        body = await ada.dataset(filename=name, name="../<b>../x")
        answer = await ada.client.get(f"/api/datasets/{body['id']}/download", params={"format": "parquet"})
        assert answer.status_code == 200
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; filename=")
        assert "/" not in disposition
        assert "<" not in disposition
    prefix = f"projects/{ada.project_id}/datasets/"
    assert all(key.startswith(prefix) for key in stored_files(services))
