"""What is shipped is whole and names no machine: locks, the wheel, the command, the scripts."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-test.lock")
SCRIPTS = ("scripts/start", "scripts/test", "scripts/check", "scripts/readme", "scripts/launcher", ".ci/run")
PACKAGES = ("schema", "resolvers", "rest_compat", "edge", "workers", "coreplex")
SHIPPED = {".py", ".graphql", ".csv", ".mako"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> dict[str, str]:
    """Each locked distribution and everything the lock says of it, hashes included."""
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text().replace("\\\n", " "))
    return {re.split(r"[=\[ ]", entry)[0]: entry for entry in entries if not entry.startswith("#")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_have_hashes_and_name_no_host(lock: str) -> None:
    entries = locked(lock)
    assert len(entries) > 40
    for name, entry in entries.items():
        assert "==" in entry, name
        assert "--hash=sha256:" in entry, name
    assert not re.search(r"https?://|file://|--index-url|--find-links|@ ", (ROOT / lock).read_text())


def test_locks_hold_every_dependency() -> None:
    extras = PROJECT["optional-dependencies"]
    runtime = PROJECT["dependencies"] + extras["embedded"]
    for lock, wanted in zip(LOCKS, (runtime, runtime + extras["test"]), strict=True):
        entries = locked(lock)
        for line in wanted:
            requirement = Requirement(line)
            entry = entries.get(normal(requirement.name), "")
            version = re.search(r"==([^\s;]+)", entry)
            assert version, f"{lock} lacks {requirement.name}; make the locks anew"
            assert requirement.specifier.contains(version[1], prereleases=True), f"{lock}: {line}"


def test_the_lock_of_the_clients_names_no_registry() -> None:
    """npm's, made with `omit-lockfile-registry-resolved`."""
    packages = json.loads((ROOT / "tests/clients/package-lock.json").read_text())["packages"]
    assert len(packages) >= 20
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_no_foreign_package_called_schema() -> None:
    with pytest.raises(PackageNotFoundError):
        distribution("schema")
    for lock in LOCKS:
        assert "schema" not in locked(lock)


def test_wheel_is_whole(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert "asgi.py" in names
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix in SHIPPED]
    assert not [path for path in sources if str(path.relative_to(ROOT)) not in names]
    assert not [name for name in names if name.startswith(("tests", "scripts", "docs", ".ci"))]


def test_help_is_instant() -> None:
    """It imports no database, no settings, no numbers: nothing but the parser."""
    probe = (
        "import sys; from coreplex.command.main import main; sys.argv = ['x', '--help']\ntry: main()\nexcept SystemExit: pass\n"
    )
    probe += "print([n for n in ('sqlalchemy', 'pydantic', 'numpy', 'redis', 'asyncpg') if n in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.rstrip().endswith("[]")
    for command in ("up", "web", "worker", "migrate", "create-admin", "outbox", "doctor", "settings"):
        assert command in answer.stdout


@pytest.mark.parametrize("command", ["up", "web", "worker", "migrate", "create-admin", "outbox", "doctor", "settings"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from coreplex.command.main import main

    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert command in capsys.readouterr().out


def test_console_script_names_the_command() -> None:
    from coreplex.command import main

    assert PROJECT["scripts"]["coreplexml-server"] == f"{main.__name__}:{main.main.__name__}"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_run(name: str) -> None:
    script = ROOT / name
    assert os.access(script, os.X_OK)
    shell = script.read_text().split("\n")[0].rsplit(None, 1)[-1].rsplit("/", 1)[-1]
    subprocess.run([shell, "-n", script], check=True, timeout=20)


def test_package_markers_are_empty() -> None:
    markers = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    assert [str(path) for path in markers if path.stat().st_size] == []


def test_readme_has_the_table_of_settings() -> None:
    from coreplex.command.settings import table

    assert table() in (ROOT / "README.md").read_text(), "run scripts/readme"


def test_every_setting_says_what_it_means() -> None:
    from coreplex.platform.settings import Settings

    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith((".", "`"))] == []
