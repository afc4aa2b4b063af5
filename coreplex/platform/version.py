"""Which version of the server this is."""

import tomllib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "coreplexml-server"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
UNKNOWN = "unknown"


@lru_cache(maxsize=1)
def server_version() -> str:
    """The version of the installed distribution; of a checkout that was never installed, what its pyproject.toml says."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return _of_checkout()


def _of_checkout() -> str:
    if not PROJECT.is_file():
        return UNKNOWN
    project = tomllib.loads(PROJECT.read_text()).get("project", {})
    return str(project["version"]) if project.get("name") == NAME else UNKNOWN
