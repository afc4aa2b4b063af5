"""Which version of the server this is."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

UNKNOWN = "unknown"


@lru_cache(maxsize=1)
def server_version() -> str:
    """The version of the installed distribution; of a checkout that was never installed it is not known."""
    try:
        return version("coreplexml-server")
    except PackageNotFoundError:
        return UNKNOWN
