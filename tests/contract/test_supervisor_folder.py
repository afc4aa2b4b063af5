"""The data folder, the address, the logs and the banner of the supervisor."""

import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from coreplex.platform.settings import Settings
from coreplex.supervisor import report
from coreplex.supervisor.folder import ALREADY_RUNNING, DataFolder, Running
from coreplex.supervisor.identity import unprivileged
from coreplex.supervisor.logs import rotate
from coreplex.supervisor.port import listen
from coreplex.supervisor.trouble import Trouble

RUNNING = Running("http://localhost:1", 1, "postgresql://u:secret@/d", "unix:///s")


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


def test_the_description_holds_what_the_commands_need(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make(None)
    folder.publish(RUNNING)
    assert set(json.loads((tmp_path / "run.json").read_text())) == {"url", "pid", "database_url", "redis_url"}
