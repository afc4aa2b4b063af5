"""Copies the embedded servers' programs to where the account that runs them can reach them.

As root the environment may stand below a folder that is closed to others (`/root`). Then the programs are copied once to a place
that is not, instead of opening the folder.
"""

import shutil
import subprocess
from pathlib import Path

from coreplex.supervisor.identity import Account
from coreplex.supervisor.trouble import Trouble

NEEDLESS = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc", "man")


def usable(programs: Path | None, valkey: Path | None, account: Account | None, folder: Path) -> tuple[Path | None, Path | None]:
    """PostgreSQL's folder of programs and Valkey's program, or copies in `folder / runtime` if `account` cannot run them."""
    if account is None:
        return programs, valkey
    if programs and not _runs_all(programs, account):
        programs = _copy_postgres(programs, folder / "runtime")
    if valkey and not runs(valkey, account):
        valkey = _copy_valkey(valkey, folder / "runtime")
    if (programs and not _runs_all(programs, account)) or (valkey and not runs(valkey, account)):
        raise Trouble(
            f"the account {account.name} cannot run the embedded servers, nor a copy of them in {folder}.",
            "Put the server's environment or DATA_DIR where that account may read and execute.",
        )
    return programs, valkey


def _runs_all(programs: Path, account: Account) -> bool:
    return all(runs(programs / name, account) for name in ("postgres", "initdb"))


def runs(program: Path, account: Account) -> bool:
    """Try it: `--version` as the account."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, cwd="/", timeout=20, check=False, **account.as_popen()
        )
    except OSError:
        return False
    return answer.returncode == 0


def _copy_postgres(programs: Path, runtime: Path) -> Path:
    """`<package>/<install>/bin` and `<package>.libs`, which its programs find relative to themselves."""
    install, package = programs.parent, programs.parent.parent
    target = runtime / package.name / install.name
    _copy(install, target)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        _copy(libraries, runtime / libraries.name)
    return target / programs.name


def _copy_valkey(program: Path, runtime: Path) -> Path:
    target = runtime / "valkey" / program.name
    if not target.exists() or target.stat().st_size != program.stat().st_size:
        _open(target.parent)
        aside = target.with_suffix(".new")
        shutil.copy2(program, aside)
        aside.chmod(0o755)
        aside.rename(target)
    return target


def _copy(source: Path, target: Path) -> None:
    """A copy made aside and renamed; an older one is kept when it is of the same build."""
    stamp = target.with_name(f"{target.name}.from")
    mark = f"{source} {source.stat().st_mtime_ns}"
    if target.is_dir() and stamp.is_file() and stamp.read_text() == mark:
        return
    _open(target.parent)
    aside = target.with_name(f"{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside, symlinks=True, ignore=NEEDLESS)
    aside.chmod(0o755)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    stamp.write_text(mark)


def _open(folder: Path) -> None:
    """Make our own folders below the data folder, readable for the account."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o755)
