"""The embedded PostgreSQL and Valkey: whom they let in, where their sockets are, how they come back."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from coreplex.migrations import migrate
from coreplex.platform import revision
from coreplex.supervisor.binaries import postgres_folder, valkey_server
from coreplex.supervisor.identity import Account, unprivileged
from coreplex.supervisor.postgres import Postgres
from coreplex.supervisor.runtime import runs, usable
from coreplex.supervisor.sockets import forget_folder, make_folder
from coreplex.supervisor.trouble import Trouble
from tests import servers


@pytest.fixture(scope="module")
def own() -> Iterator[servers.Servers]:
    with servers.running() as started:
        yield started


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
