"""A disk that fills up, and clients that hang up: nothing half-made is seen, and it works again afterwards."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import servers
from tests.factories.account import bearer
from tests.stack import Stack, running

MEGABYTE = 1 << 20
ROWS = "".join(f"{n},{n % 7},{n * 31 % 11},{'yes' if n % 3 else 'no'}\n" for n in range(400))
TABLE = f"a,b,c,d\n{ROWS}".encode()


@pytest.fixture(scope="module")
def small(addresses: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose data folder is a disk of 64 MB."""
    folder = tmp_path_factory.mktemp("small")
    disk = folder / "data"
    disk.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=False)
    if not mounted or mounted.returncode:
        pytest.skip("a disk of a chosen size can be made by root only")
    name = f"coreplexml_disk_{worker_id}_{os.getpid()}"
    database = servers.make_database(addresses["database"], name, addresses["template"])
    redis = servers.redis_database(addresses["redis"], 110 + (int(worker_id[2:]) if worker_id.startswith("gw") else 0))
    try:
        with running(database, redis, folder) as stack:
            yield stack
    finally:
        servers.drop_database(addresses["database"], name)
        subprocess.run(["umount", "-l", disk], check=False)


def fill(stack: Stack, leave: int = 0) -> Path:
    """Take all room but `leave` bytes."""
    ballast = stack.data_dir / "ballast"
    room = shutil.disk_usage(stack.data_dir).free - leave
    with ballast.open("wb") as file:
        for _ in range(max(0, room) // 4096):
            file.write(bytes(4096))
    return ballast


def files(stack: Stack) -> set[str]:
    return {str(path) for part in ("staging", "storage", "work") for path in (stack.data_dir / part).rglob("*") if path.is_file()}


def upload(client: httpx.Client, project: str, content: bytes = TABLE) -> httpx.Response:
    return client.post("/api/datasets/upload", data={"project_id": project, "name": "t"}, files={"file": ("t.csv", content)})


@pytest.mark.parametrize("leave", [0, 300_000, 1_300_000])
def test_uploads_to_a_full_disk_are_refused_whole(small: Stack, leave: int) -> None:
    with small.client() as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
        before = files(small)
        ballast = fill(small, leave)
        try:
            for answer in (
                upload(client, project),
                upload(client, project, TABLE * 400),
                client.post("/api/uploads", params={"filename": "x"}, content=TABLE * 400),
            ):
                assert (answer.status_code, answer.json()["code"]) == (507, "storage_full"), answer.text
            assert client.get("/api/datasets", params={"project_id": project}).json()["total"] == 0
            assert client.get("/health").status_code == 200
        finally:
            ballast.unlink()
        assert files(small) == before
        assert upload(client, project).status_code == 201, "and works again"


def test_a_disk_that_fills_during_an_upload(small: Stack) -> None:
    with small.client() as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
        before = files(small)
        answer = upload(client, project, b"a,b\n" + b"1,2\n" * (25 * MEGABYTE))
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full"), answer.text
        assert files(small) == before
        assert shutil.disk_usage(small.data_dir).free > 40 * MEGABYTE


def wait_for_end(client: httpx.Client, experiment: str) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        status: dict[str, Any] = client.get(f"/api/experiments/{experiment}/status").json()
        if status["status"] in {"failed", "succeeded", "cancelled"}:
            return status
        time.sleep(0.2)
    raise AssertionError(f"it did not end: {status}")


@pytest.mark.slow
def test_a_training_on_a_full_disk_fails_and_says_so(small: Stack) -> None:
    with small.client() as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
        version = upload(client, project).json()["dataset_version_id"]
        wanted = {"project_id": project, "dataset_version_id": version, "name": "e", "target_column": "d"}
        wanted |= {"problem_type": "classification", "config": {"max_runtime_secs": 60, "max_models": 2}}  # type: ignore[dict-item]
        ballast = fill(small)
        try:
            refused = client.post("/api/experiments", json=wanted)
            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full"), refused.text
            ballast.unlink()
            experiment = client.post("/api/experiments", json=wanted).json()["experiment_id"]
            ballast = fill(small)
            status = wait_for_end(client, experiment)
        finally:
            ballast.unlink()
        assert status["status"] == "failed", status
        assert "storage is full" in str(status), status
        assert client.get("/api/models", params={"experiment_id": experiment}).json()["total"] == 0
        assert not list((small.data_dir / "work").iterdir())
        again = client.post("/api/experiments", json={**wanted, "name": "again"}).json()["experiment_id"]
        assert wait_for_end(client, again)["status"] == "succeeded"
        predictions_on_a_full_disk(small, client, project, again)


def predictions_on_a_full_disk(stack: Stack, client: httpx.Client, project: str, experiment: str) -> None:
    """They are answered all the same; each that is not in the log says so, and all the others are."""
    model = client.get("/api/models", params={"experiment_id": experiment}).json()["items"][0]["id"]
    wanted = {"model_id": model, "name": "d", "stage": "staging"}
    made = client.post(f"/api/mlops/projects/{project}/deployments", json=wanted).json()["deployment_id"]
    address, row = f"/api/mlops/deployments/{made}", {"inputs": {"a": 1, "b": 2, "c": "3", "note": "x" * 3000}}
    said = []
    for leave in (900_000, 400_000, 0):
        ballast = fill(stack, leave)
        assert client.get("/ready").json()["checks"]["storage"].startswith("storage is full")
        for _ in range(40):
            answer = client.post(f"{address}/predict", json=row)
            assert answer.status_code == 200, answer.text
            said.append(any(warning["kind"] == "not_logged" for warning in answer.json()["warnings"]))
        ballast.unlink()
    assert (said[0], said[-1]) == (False, True)
    report = client.get("/ready").json()
    assert report["checks"]["inference_log"].startswith("answered and not logged on this host since "), report
    assert (report["log_dropped"]["requests"], report["log_dropped"]["rows"]) == (sum(said), sum(said)), report
    assert not any(warning["kind"] == "not_logged" for warning in client.post(f"{address}/predict", json=row).json()["warnings"])
    logged, deadline = 0, time.monotonic() + 60
    while logged < said.count(False) + 1 and time.monotonic() < deadline:
        time.sleep(0.1)
        logged = client.get(f"{address}/logs").json()["total"]
    assert logged == said.count(False) + 1
    alarms = (stack.folder / "web.log").read_text().count("inference_log_lost")
    assert 1 <= alarms < sum(said), "not a line for each"


def test_who_hangs_up_in_mid_upload_leaves_nothing(small: Stack) -> None:
    key = small.key()
    address = urlsplit(small.base_url)
    with small.client(key) as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
    before, logged = files(small), (small.folder / "web.log").read_text().count("\n")
    request = httpx.Request(
        "POST",
        f"{small.base_url}/api/datasets/upload",
        headers=bearer(key),
        data={"project_id": project, "name": "t"},
        files={"file": ("t.csv", TABLE * 300)},
    )
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    whole = f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + body
    for offset in [*range(40, 1000, 90), len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        with socket.create_connection((address.hostname, address.port or 80)) as connection:
            connection.sendall(whole[:offset])
    deadline, same = time.monotonic() + 60, 0
    while same < 10:  # looks in a row: a busy server may open a file for one of them yet
        assert time.monotonic() < deadline, files(small) - before
        same = same + 1 if files(small) == before else 0
        time.sleep(0.1)
    said = (small.folder / "web.log").read_text().split("\n")[logged:]
    assert len([line for line in said if line]) < 20, said
    assert "Traceback" not in "".join(said)
    with small.client(key) as client:
        assert client.get("/api/datasets", params={"project_id": project}).json()["total"] == 0
