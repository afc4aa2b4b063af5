"""One command starts everything, keeps it alive, and stops it; it refuses clearly and leaves nothing behind."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coreplex.runtime.retention import FOLDERS
from coreplex.supervisor.part import SILENT_SECS
from tests.contract.checkout import GONE_SECS, READY_SECS, Checkout, Server, alive, checkout, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are tied to their parent on Linux")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder the embedded servers' account can reach, which pytest's own are not for root."""
    path = Path(tempfile.mkdtemp(prefix="cpx run "))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def copy(folder: Path) -> Iterator[Checkout]:
    with checkout(folder / "with spaces") as made:
        yield made


@pytest.fixture
def server(copy: Checkout, request: pytest.FixtureRequest) -> Iterator[Server]:
    made = copy.server(request.node.name)
    yield made
    made.kill()


def refused(server: Server) -> subprocess.CompletedProcess[str]:
    answer = server.command("up")
    assert "Traceback" not in answer.stderr
    return answer


def test_whole_life(server: Server) -> None:
    server.start()
    assert server.get("/health") == 200
    assert server.get("/ready") == 200
    assert stat.S_IMODE((server.data / "run.json").stat().st_mode) == 0o600
    assert "create-admin" in server.said

    second = server.command("up")
    assert second.returncode == 3
    assert server.running["url"] in second.stderr

    made = server.command("create-admin", "ada@example.com", "--password-stdin", text="correct horse battery staple\n")
    assert made.returncode == 0, made.stderr
    assert server.command("outbox").returncode == 0
    healthy = server.command("doctor")
    assert healthy.returncode == 0, healthy.stdout
    sockets = Path(server.running["database_url"].partition("host=")[2])
    assert sockets == server.data / "run"
    assert {path.name for path in server.data.iterdir() if path.is_dir()} <= set(FOLDERS), "name it, with what bounds it"
    assert server.stop(signal.SIGTERM) == 0
    assert not (server.data / "run.json").exists()
    assert not sockets.exists()

    server.start()
    assert "administrator  " not in server.command("doctor").stdout.replace("ok       administrator: there is one", "")
    assert "with your account" in server.said
    assert server.stop(signal.SIGINT) == 0


@pytest.mark.slow
def test_dead_parts_come_back_and_nothing_survives_the_supervisor(server: Server) -> None:
    server.settings["WEB_PROCESSES"] = "2"
    server.start()
    assert len(server.family()["web"]) == 2
    for kind in ("web", "worker", "valkey", "postgres"):
        victims = server.family()[kind]
        for victim in victims:
            victim.kill()
        replaced = lambda kind=kind, old=victims: len([p for p in server.family()[kind] if p not in old]) == len(old)  # noqa: E731
        wait_for(replaced, READY_SECS, lambda: server.said)
        wait_for(lambda: server.get("/ready") == 200, READY_SECS, lambda: server.said)
    everyone = server.family()["all"]
    server.kill()
    wait_for(lambda: not alive(everyone), GONE_SECS, lambda: str(alive(everyone)))
    server.start()
    assert server.get("/ready") == 200
    assert server.stop() == 0


@pytest.mark.slow
def test_a_web_process_and_a_worker_that_hang_are_replaced(server: Server) -> None:
    server.start()
    stuck = [server.family()[kind][0] for kind in ("web", "worker")]
    for process in stuck:
        process.suspend()
    wait_for(lambda: not alive(stuck), SILENT_SECS + READY_SECS, lambda: server.said)
    wait_for(lambda: server.get("/ready") == 200, READY_SECS, lambda: server.said)
    assert server.said.count("gave no sign of life") == 2
    assert server.stop() == 0


@pytest.mark.slow
def test_two_side_by_side(copy: Checkout) -> None:
    first, second = copy.server("one"), copy.server("two")
    try:
        first.start()
        second.start()
        assert first.running["url"] != second.running["url"]
        assert first.stop() == 0
        assert second.get("/ready") == 200
        assert second.stop() == 0
    finally:
        first.kill()
        second.kill()


def test_stopped_while_starting(server: Server) -> None:
    environment, script = server.environment, server.checkout.path / "scripts" / "start"
    process = subprocess.Popen([script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for((server.data / "postgres" / "postmaster.pid").exists, READY_SECS, lambda: "no database was started")
    everyone = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    said, _ = process.communicate(timeout=GONE_SECS)
    assert process.returncode == 0, said
    assert not alive(everyone)


def test_port_taken(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server.settings["PORT"] = str(port)
        answer = refused(server)
    assert answer.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in answer.stderr
    assert "PORT=" in answer.stderr
    assert not server.data.exists()


def test_folder_out_of_reach(server: Server) -> None:
    closed = server.checkout.path / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    server.data = closed / "data"
    answer = refused(server)
    assert answer.returncode == 1
    assert str(closed) in answer.stderr
    assert "DATA_DIR" in answer.stderr
    assert not list(closed.iterdir())


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:9/0", "http://127.0.0.1", "redis://name.invalid"], ids=["closed", "scheme", "name"]
)
def test_a_wrong_redis_url_is_told_at_once(server: Server, url: str) -> None:
    server.settings["REDIS_URL"] = url
    began = time.monotonic()
    answer = refused(server)
    assert time.monotonic() - began < 90, "mostly the environment's check and Python's own start"
    assert answer.returncode == 1
    assert "Check REDIS_URL" in answer.stderr
    assert not server.data.exists()


def test_wrong_settings_are_named_but_not_shown(server: Server) -> None:
    server.settings |= {"WEB_PROCESSES": "many", "ADMIN_EMAIL": "a@example.com", "RATE_LIMIT_GENERAL": "much"}
    answer = refused(server)
    assert answer.returncode == 1
    assert "WEB_PROCESSES" in answer.stderr
    assert "RATE_LIMIT_GENERAL" in answer.stderr
    server.settings |= {"WEB_PROCESSES": "1", "RATE_LIMIT_GENERAL": "1/minute", "ADMIN_PASSWORD": "hunter2"}
    answer = refused(server)
    assert "ADMIN_PASSWORD needs 8 characters" in answer.stderr
    assert "hunter2" not in answer.stderr + answer.stdout
    assert not server.data.exists()


@pytest.mark.slow
def test_demo(server: Server) -> None:
    server.start("--demo")
    wait_for(lambda: "keeps running" in server.said or "The demo ends here" in server.said, 300, lambda: server.said)
    assert "Leaderboard" in server.said
    assert "100 %  succeeded" in server.said
    for call in server.said.split("curl ")[1:]:
        asked = subprocess.run(
            ["bash", "-c", f"curl -sS {call.split(chr(10) * 2)[0]}"], capture_output=True, text=True, timeout=60
        )
        assert '"prediction"' in asked.stdout, asked
    assert server.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_as_an_ordinary_user(folder: Path) -> None:
    python = _python_for("nobody")
    with checkout(folder / "plain", python, "nobody") as made:
        server = made.server()
        try:
            server.start()
            assert server.get("/ready") == 200
            assert {process.username() for process in server.family()["all"]} == {"nobody"}
            assert server.stop() == 0
        finally:
            server.kill()


def _python_for(user: str) -> Path:
    """An interpreter of our very version, for our packages were chosen for it, that the user may run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    exact = f"import sys; sys.exit(sys.version_info != {tuple(sys.version_info)})"
    for candidate in (Path(sys.executable).resolve(), Path("/usr/bin") / name, Path("/usr/local/bin") / name):
        try:
            tried = subprocess.run([candidate, "-c", exact], user=user, group="nogroup", extra_groups=[], check=False, cwd="/")
        except OSError:
            continue
        if tried.returncode == 0:
            return candidate
    pytest.skip(f"no {name} that {user} may run")
