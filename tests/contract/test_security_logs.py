"""Logs: one JSON line per event whatever a caller says, and no secret in any of them (docs/security.md#secrets)."""

import gc
import io
import json
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from coreplex.platform import log
from tests import servers
from tests.stack import Stack, running

BREAKING = "a\r\nb\x1b[31mc\u2028d\u2029e\x85f\x9bg\x00h\u202ei"
SECRETS = {
    name: f"canary-{name}-7f3a91"
    for name in ("admin", "wrong", "registered", "database", "smtp", "bearer", "cookie", "reset", "changed", "csrf")
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the configured loggers write."""
    gc.collect()  # what earlier tests left would speak here
    out = io.StringIO()
    before, level, known = logging.root.handlers[:], logging.root.level, structlog.get_config()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    with warnings.catch_warnings():
        log.configure("debug")
        logging.root.handlers[0].stream = out  # type: ignore[attr-defined]
        yield out
        logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.root.handlers[:] = before
    logging.root.setLevel(level)
    structlog.configure(**known)


def lines(text: str) -> list[dict[str, Any]]:
    """Every line parsed; there are no others, whatever counts as the end of a line."""
    assert text.splitlines() == [line for line in text.split("\n") if line]
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    return [json.loads(line) for line in text.splitlines()]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(event=st.text(st.characters(exclude_categories=[])), value=VALUES)
def test_any_value_makes_one_line(event: str, value: Any) -> None:
    made = log.redact(None, "info", {"event": event, "value": value})
    (line,) = lines(log._line(made) + "\n")
    assert set(line) == {"event", "value"}


def test_breaking_text_stays_in_its_line(written: io.StringIO) -> None:
    structlog.get_logger().warning(BREAKING, name=BREAKING, half="\ud800", huge=1 << 80, nested={"a": [BREAKING]})
    logging.getLogger("uvicorn.error").error("said %s", BREAKING)
    try:
        raise ValueError(BREAKING)
    except ValueError:
        structlog.get_logger().exception("failed")
    assert [line["level"] for line in lines(written.getvalue())] == ["warning", "error", "error"]


class Broken:
    def __del__(self) -> None:
        raise ValueError(BREAKING)


def test_what_python_prints_by_itself_is_a_line_too(written: io.StringIO) -> None:
    """A warning, an exception nobody caught, one in a thread, one in a destructor, a coroutine nobody awaited."""

    async def forgotten() -> None:
        """Never awaited."""

    def fail() -> None:
        raise ValueError(BREAKING)

    warnings.simplefilter("always")
    warnings.warn(BREAKING, RuntimeWarning, stacklevel=1)
    forgotten()  # type: ignore[unused-coroutine]
    Broken()
    gc.collect()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    found = lines(written.getvalue())
    assert [line["level"] for line in found] == ["warning", "warning", "critical", "critical", "critical"]
    assert "never awaited" in found[1]["event"]


def test_secrets_are_blanked_by_name_and_by_shape(written: io.StringIO) -> None:
    structlog.get_logger().info(
        "url postgresql://user:secret-a@host/db and cpx_live.0abc.secret-b",
        password="secret-c",
        csrf_token="secret-d",
        nested={"api_key": "secret-e", "list": [{"Authorization": "secret-f"}]},
        error=ValueError("redis://:secret-g@host and smtp://user:secret-h@secret-i/secret-j@host"),
    )
    assert "secret-" not in written.getvalue()


def with_password(url: str) -> str:
    """The same address with a password in it, which a trusting server does not ask for."""
    scheme, _, rest = url.partition("://")
    user, at, place = rest.partition("@")
    return f"{scheme}://{user.partition(':')[0]}:{SECRETS['database']}{at}{place}"


@pytest.fixture(scope="module")
def talkative(addresses: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that logs everything, with a secret in every setting that takes one."""
    name = f"coreplexml_logs_{worker_id}_{os.getpid()}"
    database = servers.make_database(addresses["database"], name, addresses["template"])
    redis = servers.redis_database(addresses["redis"], 100 + (int(worker_id[2:]) if worker_id.startswith("gw") else 0))
    more = {"LOG_LEVEL": "debug", "ADMIN_PASSWORD": SECRETS["admin"], "SMTP_URL": f"smtp://user:{SECRETS['smtp']}@127.0.0.1:9"}
    try:
        with running(with_password(database), redis, tmp_path_factory.mktemp("logs"), **more) as stack:
            yield stack
    finally:
        servers.drop_database(addresses["database"], name)


def test_no_secret_is_logged_and_no_line_is_broken(talkative: Stack) -> None:
    secrets = dict(SECRETS)
    with httpx.Client(base_url=talkative.base_url, timeout=30) as client:
        for password in (SECRETS["wrong"], SECRETS["admin"]):
            answer = client.post("/api/auth/login", json={"email": "admin@example.com", "password": password})
        secrets["csrf token"] = token = answer.json()["csrf_token"]
        secrets["session"] = client.cookies["session"]
        writes: dict[Any, Any] = {"X-CSRF-Token": token, "User-Agent": b"a\x9bb"}
        made = client.post("/api/auth/api-keys", json={"name": BREAKING.replace("\0", ""), "scopes": ["read"]}, headers=writes)
        secrets["key"] = key = client.post(
            "/api/auth/api-keys", json={"name": "k", "scopes": ["read", "write"]}, headers=writes
        ).json()["key"]
        client.post("/api/projects", json={"name": BREAKING}, headers=writes)
        client.get("/api/projects", params={"search": BREAKING, "password": SECRETS["reset"]})
    with httpx.Client(base_url=talkative.base_url, timeout=30) as client:
        assert client.get("/api/projects", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        for header in (f"Bearer {SECRETS['bearer']}", f"Bearer {key[:-1]}", f"Basic {SECRETS['bearer']}"):
            assert client.get("/api/projects", headers={"Authorization": header}).status_code == 401
        client.get("/api/projects", headers={"Cookie": f"session={SECRETS['cookie']}", "X-CSRF-Token": SECRETS["csrf"]})
        registration = {"email": "new@example.com", "password": SECRETS["registered"], "name": "New"}
        assert client.post("/api/auth/register", json=registration).status_code < 300
        client.post("/api/auth/forgot-password", json={"email": "admin@example.com"})
        reset = {"token": SECRETS["reset"], "new_password": SECRETS["changed"], "password": SECRETS["changed"]}
        assert client.post("/api/auth/reset-password", json=reset).status_code in {400, 422}
        document = {"query": f'mutation {{ login(input: {{email: "a", password: "{SECRETS["wrong"]}"}}) {{ nonsense }} }}'}
        client.post("/graphql", json=document)
        client.get("/graphql", params={**document, "variables": f'{{"password": "{SECRETS["wrong"]}"}}'})
        headers = {"Authorization": f"Bearer {key}"}
        client.post("/api/uploads", params={"filename": BREAKING}, content=b"x", headers=headers)
        client.post("/api/uploads", content=b"x", headers={**headers, "Content-Type": f"multipart/{SECRETS['bearer']}"})
    assert made.status_code in {201, 422}
    hang_up_within_bodies(talkative, key)
    assert [line for line in lines((talkative.folder / "web.log").read_text()) if line["level"] not in {"debug", "info"}] == []
    servers.execute(talkative.database_url, "ALTER TABLE users RENAME TO elsewhere")
    try:
        for body in ({"email": "admin@example.com", "password": SECRETS["admin"]}, registration):
            assert httpx.post(f"{talkative.base_url}/api/auth/login", json=body).status_code == 500
    finally:
        servers.execute(talkative.database_url, "ALTER TABLE elsewhere RENAME TO users")
    check(talkative.folder, secrets)


def hang_up_within_bodies(stack: Stack, key: str) -> None:
    """At each door half a body, and then nothing: none of it is worth a line above `info`."""
    address = urlsplit(stack.base_url)
    form = "multipart/form-data; boundary=x"
    doors = {
        "/graphql": "application/json",
        "/graphql/stream": "application/json",
        "/api/projects": "application/json",
        "/api/auth/login": "application/json",
        "/api/uploads?filename=a.csv": "text/csv",
        "/api/uploads": form,
        "/api/datasets/upload": form,
    }
    for path, kind in doors.items():
        head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n"
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(f'{head}Content-Length: 500\r\nExpect: 100-continue\r\n\r\n{{"query": "'.encode())
            assert client.recv(25).startswith(b"HTTP/1.1 100"), "the body is being read"
    head = f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for _ in range(30):
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert httpx.get(f"{stack.base_url}/health").status_code == 200


def check(folder: Path, secrets: dict[str, str]) -> None:
    logged = {path.name: path.read_text() for path in folder.glob("*.log")}
    assert {"web.log", "worker.log"} <= logged.keys()
    for name, text in logged.items():
        assert lines(text), name
        assert [secret for secret, value in secrets.items() if value in text] == [], name
    assert "internal_error" in logged["web.log"], "there was something to hide in"
