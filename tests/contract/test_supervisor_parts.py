"""The supervisor's parts one by one, each with the real thing."""

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from coreplex.migrations import migrate
from coreplex.settings import Settings
from coreplex.supervisor import part, report, revision
from coreplex.supervisor.binaries import postgres_folder, valkey_server
from coreplex.supervisor.folder import ALREADY_RUNNING, DataFolder, Running
from coreplex.supervisor.identity import Account, unprivileged
from coreplex.supervisor.logs import rotate
from coreplex.supervisor.part import Keeper, Program, stop_together
from coreplex.supervisor.port import listen
from coreplex.supervisor.postgres import Postgres
from coreplex.supervisor.process import python_path
from coreplex.supervisor.pulse import Pulse
from coreplex.supervisor.runtime import runs, usable
from coreplex.supervisor.sockets import forget_folder, make_folder
from coreplex.supervisor.trouble import Trouble
from tests import servers

RUNNING = Running("http://localhost:1", 1, "postgresql://u:secret@/d", "unix:///s")


@pytest.fixture(scope="module")
def own() -> Iterator[servers.Servers]:
    with servers.running() as started:
        yield started


def test_the_banner_names_only_what_can_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for mode in ("development", "production"):
        for demo in (False, True):
            report.ready(Settings.model_validate({"data_dir": tmp_path, "mode": mode}), 1.0, True, demo)
            said[mode, demo] = capsys.readouterr().out
    for (mode, demo), text in said.items():
        assert "/docs" in text
        assert "POST http://localhost:8888/api/auth/login" in text
        assert ("/graphql, an explorer" in text) is (mode == "development")
        assert ("--demo" in text) is not demo


def program(folder: Path, code: str, grace_secs: float = 5) -> Program:
    return Program("part", [sys.executable, "-c", code], folder / "part.log", os.environ, grace_secs)


def test_a_folder_is_held_once_and_says_by_whom(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.check(None)
    first.make(None)
    assert second.running() is None
    first.hold()
    first.publish(RUNNING)
    assert stat.S_IMODE((first.path / "run.json").stat().st_mode) == 0o600
    assert second.running() == RUNNING
    with pytest.raises(Trouble, match=RUNNING.url) as refused:
        second.hold()
    assert refused.value.exit_code == ALREADY_RUNNING
    second.release()
    assert second.running() == RUNNING
    first.release()
    assert second.running() is None
    second.hold()
    second.release()


def test_a_description_left_by_a_killed_supervisor_is_not_believed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make(None)
    folder.publish(RUNNING)
    (tmp_path / "lock").touch()
    assert folder.running() is None
    (tmp_path / "run.json").write_text("{")
    assert folder.running() is None


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Trouble, match="is a file"):
        DataFolder(tmp_path / "file" / "data").check(None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its account")
def test_a_private_folder_of_others_is_not_opened(tmp_path: Path) -> None:
    home = Path("/tmp") / f"cpx-{os.getpid()}-home"
    home.mkdir(mode=0o700)
    try:
        (home / "diary").write_text("")
        with pytest.raises(Trouble, match="cannot reach"):
            DataFolder(home).check(unprivileged())
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        (home / "diary").unlink()
        home.rmdir()


def test_addresses_that_cannot_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Trouble, match="is taken"):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(Trouble, match="not an address of this machine"):
        listen("192.0.2.1", 0)
    with pytest.raises(Trouble, match="is not an address"):
        listen("no such host", 0)
    with listen("localhost", 0) as made:
        assert made.getsockname()[1] > 0
        if sys.platform == "linux":
            with socket.create_connection(made.getsockname()[:2]):
                taken, _ = made.accept()
                assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
                taken.close()


def test_logs_are_cut_and_three_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab") as writer:
        for turn in range(5):
            writer.write(b"%d" % turn * 100)
            writer.flush()
            rotate(tmp_path, largest_bytes=50)
    assert log.stat().st_size == 0
    assert [(tmp_path / f"web.log.{n}").read_text()[0] for n in (1, 2, 3)] == ["4", "3", "2"]
    assert not (tmp_path / "web.log.4").exists()


def test_a_dead_part_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    keeper = Keeper(program(tmp_path, "raise SystemExit(7)"))
    keeper.start()
    pauses = []
    for _ in range(3):
        assert keeper.part.child is not None
        keeper.part.child.wait()
        assert keeper.look() == 7
        assert keeper.due is not None
        pauses.append(keeper.due - time.monotonic())
        assert keeper.look() is None
        keeper.due = 0.0
        assert keeper.look() is None
    assert keeper.part.child is not None
    keeper.part.child.wait()
    assert pauses[0] < pauses[1] < pauses[2]


BEATING = """
import argparse, sys, time
from coreplex import heartbeat
parser = argparse.ArgumentParser()
heartbeat.add_arguments(parser)
given = parser.parse_args()
heart = heartbeat.Heartbeat(given.heartbeat, given.stacks)
def get_stuck():
    time.sleep(600)
for _ in range(5):
    heart.beat()
    time.sleep(0.1)
{end}
"""


def beating(folder: Path, end: str) -> Keeper:
    made = program(folder, BEATING.format(end=end))
    made.environment = {**os.environ, "PYTHONPATH": python_path()}
    made.pulse = Pulse()
    return Keeper(made)


def watched(keeper: Keeper, until: Callable[[], bool]) -> list[int]:
    """The deaths that are seen until something holds, looked for as the supervisor does."""
    deaths, deadline = [], time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        if (status := keeper.look()) is not None:
            deaths.append(status)
        time.sleep(0.02)
    return deaths


def test_a_part_that_hangs_is_killed_and_its_stack_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "SILENT_SECS", 1.0)
    monkeypatch.setattr(part, "DUMP_SECS", 0.3)
    keeper = beating(tmp_path, "get_stuck()")
    keeper.start()
    first = keeper.part.child
    assert first is not None
    try:
        assert watched(keeper, lambda: keeper.due is not None) == [-signal.SIGKILL]
        assert keeper.silent_secs is not None
        assert keeper.silent_secs >= 1.0
        (line,) = [json.loads(line) for line in keeper.part.log.read_text().splitlines()]
        assert line["event"] == "part.stack"
        assert any("in get_stuck" in text for text in line["stack"])
        watched(keeper, lambda: keeper.part.child is not first)
    finally:
        stop_together([keeper.part], lambda: True)


def test_silence_is_not_counted_while_nobody_listened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor slept with the machine, and the first it sees is a program that has not woken yet."""
    monkeypatch.setattr(part, "SILENT_SECS", 1.0)
    keeper = beating(tmp_path, "get_stuck()")
    keeper.start()
    try:
        assert keeper.part.pulse is not None
        watched(keeper, lambda: bool(keeper.part.pulse and keeper.part.pulse.beats >= 5))
        monkeypatch.setattr(part, "AWAY_SECS", 0.5)
        time.sleep(1.5)
        assert keeper.look() is None
        assert keeper.silent_secs is None
    finally:
        stop_together([keeper.part], lambda: True)


def test_the_pause_grows_only_for_a_part_that_never_served(tmp_path: Path) -> None:
    serving, failing = beating(tmp_path, "sys.exit(7)"), beating(tmp_path, "")
    failing.part.command = [sys.executable, "-c", "raise SystemExit(7)"]  # type: ignore[attr-defined]
    for keeper, crashes in ((serving, [1, 1, 1]), (failing, [1, 2, 3])):
        seen = []
        for _ in range(3):
            keeper.start()
            assert watched(keeper, lambda keeper=keeper: keeper.due is not None) == [7]  # type: ignore[misc]
            seen.append(keeper.crashes)
        assert seen == crashes


def test_stopping_waits_for_the_willing_and_kills_the_deaf(tmp_path: Path) -> None:
    ready = "open({!r}, 'w').close(); import time; time.sleep(60)"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + ready.format(str(tmp_path / "deaf"))
    parts = [program(tmp_path, ready.format(str(tmp_path / "willing"))), program(tmp_path, deaf, grace_secs=0.3)]
    for one in parts:
        one.start()
    while not ((tmp_path / "deaf").exists() and (tmp_path / "willing").exists()):
        time.sleep(0.01)
    assert stop_together(parts, lambda: False) == ["part"]
    assert [one.child.returncode for one in parts if one.child] == [-signal.SIGTERM, -signal.SIGKILL]


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    code = """
import sys; from pathlib import Path; from coreplex.supervisor.part import Program; import os, time
part = Program("p", [sys.executable, "-c", "import time; time.sleep(60)"], Path(sys.argv[1]), os.environ, 1); part.start()
print(part.child.pid, flush=True); time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = Path("/proc", parent.stdout.readline().strip(), "status")
    assert child.exists()
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while child.exists() and "State:\tZ" not in child.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_database_of_another_version_is_refused(own: servers.Servers) -> None:
    version = own.postgres.data / "PG_VERSION"
    before = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(Trouble, match="was made by PostgreSQL 9"):
            own.postgres.prepare()
    finally:
        version.write_text(before)


def let_in(url: str, account: Account | None = None) -> bool:
    """Whether PostgreSQL takes us, or a program of another account."""

    async def ask() -> bool:
        with account.acting() if account else nullcontext():
            try:
                connection = await asyncpg.connect(url, timeout=10)
            except asyncpg.InvalidAuthorizationSpecificationError:
                return False
        await connection.close()
        return True

    return asyncio.run(ask())


def test_the_database_lets_our_own_account_in_and_nobody_else(own: servers.Servers) -> None:
    url = own.postgres.url("postgres")
    assert let_in(url)
    assert not let_in(url.replace("coreplexml@", "postgres@"))
    if own.postgres.account:  # who owns the folder of the socket, and is let through by the kernel
        assert not let_in(url, own.postgres.account)


def test_a_folder_that_trusted_everybody_does_so_no_more(own: servers.Servers) -> None:
    url = own.postgres.url("postgres")
    servers.execute(url, "CREATE ROLE stranger LOGIN")
    (own.postgres.data / "pg_hba.conf").write_text("local all all trust\n")
    own.restart_postgres()
    assert let_in(url.replace("coreplexml@", "stranger@"))
    own.postgres.prepare()
    own.restart_postgres()
    assert let_in(url)
    assert not let_in(url.replace("coreplexml@", "stranger@"))


def test_the_queue_asks_for_a_password_that_no_list_of_processes_shows(own: servers.Servers) -> None:
    valkey = own.valkey
    once = Retry(NoBackoff(), 0)
    with (
        redis.Redis(unix_socket_path=str(valkey.sockets / "valkey.sock"), retry=once) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert valkey.child is not None
    assert valkey.password not in " ".join(psutil.Process(valkey.child.pid).cmdline()) + repr(valkey)
    with redis.Redis.from_url(valkey.url()) as client:
        assert client.ping()


@pytest.mark.parametrize("length", [10, 120])
def test_sockets_have_a_private_folder_wherever_the_data_is(tmp_path: Path, length: int) -> None:
    data = Path(tempfile.mkdtemp()) / ("d" * length)
    data.mkdir()
    try:
        made = make_folder(data, None)
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert (made == data / "run") is (length == 10)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(made / ".s.PGSQL.5432"))
        again = make_folder(data, None)
        assert again.is_dir()
        assert (data / "run").resolve() == again
        forget_folder(data)
        assert not made.exists()
        assert not again.exists()
        assert not os.path.lexists(data / "run")
    finally:
        shutil.rmtree(data.parent)


def test_a_pid_that_belongs_to_another_program_is_forgotten(own: servers.Servers) -> None:
    """As after the restart of a container: the file names a live process that is no PostgreSQL."""
    own.postgres.stop()
    (own.postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{own.postgres.data}\n")
    own.postgres.start()
    own.postgres.wait()


def test_postgres_and_valkey_survive_a_kill(own: servers.Servers) -> None:
    for one in (own.postgres, own.valkey):
        assert one.child is not None
        one.child.kill()
        one.child.wait()
        while True:  # PostgreSQL refuses while back-ends of the old one are leaving; the keeper tries again as well
            try:
                one.start()
                one.wait()
                break
            except Trouble:
                time.sleep(0.1)


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    account = unprivileged()
    copies = Path(servers._folder(servers._roomy(), account))  # the account may have no way into this checkout
    try:
        programs, _ = usable(postgres_folder(), None, account, copies)
        assert programs is not None
        made = Postgres(programs, tmp_path / "nothing", tmp_path, tmp_path / "postgres.log", account)
        made.start()
        with pytest.raises(Trouble, match="could not access"):
            made.wait()
    finally:
        shutil.rmtree(copies)


def test_the_newest_revision_is_known_without_alembic(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    assert revision.head() == migrate.head()
    assert revision.at_head(database_url)
    assert not revision.at_head(empty_database_url)
    assert not revision.at_head("postgresql://nobody@/nothing?host=/nowhere")
    (tmp_path / "0001_a.py").write_text('revision = "0001"\ndown_revision = None\n')
    (tmp_path / "0002_b.py").write_text('revision: str = "0002"\ndown_revision: str | None = "0001"\n')
    assert revision.head(tmp_path) == "0002"
    (tmp_path / "0003_c.py").write_text('revision = "0003"\ndown_revision = "0001"\n')
    assert revision.head(tmp_path) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another account")
def test_programs_out_of_reach_are_copied(tmp_path: Path) -> None:
    account = unprivileged()
    assert account is not None
    closed, target = tmp_path / "closed", Path(servers._folder(servers._roomy(), account))
    closed.mkdir(mode=0o700)
    hidden = closed / "valkey-server"
    hidden.write_bytes(valkey_server().read_bytes())
    hidden.chmod(0o755)
    try:
        assert not runs(hidden, account)
        programs, program = usable(postgres_folder(), hidden, account, target)
        assert program is not None
        assert program != hidden
        assert runs(program, account)
        assert programs == postgres_folder() or runs(Path(str(programs)) / "postgres", account)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        subprocess.run(["rm", "-rf", str(target)], check=True)


def test_the_description_holds_what_the_commands_need(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make(None)
    folder.publish(RUNNING)
    assert set(json.loads((tmp_path / "run.json").read_text())) == {"url", "pid", "database_url", "redis_url"}
