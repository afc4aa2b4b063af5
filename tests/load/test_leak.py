"""A web process whose memory has leaked away refuses, finishes what it has, and makes place for a new one."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from tests import servers
from tests.factories.account import bearer
from tests.stack import Stack, running

BODY = orjson.dumps({"name": "begun before"})


@pytest.fixture
def leaking(addresses: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"coreplexml_leak_{worker_id}_{os.getpid()}"
    database = servers.make_database(addresses["database"], name, addresses["template"])
    redis = servers.redis_database(addresses["redis"], 120 + (int(worker_id[2:]) if worker_id.startswith("gw") else 0))
    folder, web = tmp_path_factory.mktemp("leaking"), ("-m", "tests.load.leaking_web")
    try:
        with running(database, redis, folder, web, WEB_MEMORY_BYTES=str(512 << 20)) as stack:
            yield stack
    finally:
        servers.drop_database(addresses["database"], name)


def begin(stack: Stack, key: str) -> socket.socket:
    """A request whose body the server is waiting for, half of which is sent."""
    address = urlsplit(stack.base_url)
    connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=20)
    head = f"POST /api/projects HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    head += "Expect: 100-continue\r\n"
    length = f"Authorization: Bearer {key}\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
    connection.sendall((head + length).encode())
    assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
    connection.sendall(BODY[:5])
    return connection


def until_refused(stack: Stack, key: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while (answer := httpx.get(f"{stack.base_url}/api/projects", headers=bearer(key))).status_code == 200:
        assert time.monotonic() < deadline, "it never ran short"
        time.sleep(0.02)
    return answer


@pytest.mark.slow
def test_a_process_that_has_leaked_ends_after_what_it_has_begun(leaking: Stack) -> None:
    key, web = leaking.key(), leaking.children["web"]
    with leaking.client(key) as client:
        assert client.get("/api/projects").json()["total"] == 0
    with begin(leaking, key) as begun:
        os.kill(web.pid, signal.SIGUSR2)
        refused = until_refused(leaking, key)
        assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "5")
        assert httpx.get(f"{leaking.base_url}/health").status_code == 200, "who asks whether it lives is answered"
        while "memory.replaced" not in leaking.log():
            assert web.poll() is None
            time.sleep(0.05)
        begun.sendall(BODY[5:])
        answer = begun.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert web.wait(20) == os.EX_TEMPFAIL
    leaking.start("web")
    with leaking.client(key) as client:
        assert [project["name"] for project in client.get("/api/projects").json()["items"]] == ["begun before"]
