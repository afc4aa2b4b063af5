"""What the sub-commands know of the world: the settings, and the server that runs beside them."""

from pydantic import ValidationError

from coreplex.platform.settings import Settings
from coreplex.supervisor.folder import DataFolder
from coreplex.supervisor.trouble import Trouble


def read_settings() -> Settings:
    """The settings; Trouble names each variable that is wrong, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False)
        lines = [f"  {_variable(item['loc'])}{item['msg'].removeprefix('Value error, ')}" for item in items]
        raise Trouble("the settings in the environment are wrong:", "\n".join(lines)) from None


def beside(settings: Settings) -> Settings:
    """The settings with the stores of the server running on DATA_DIR, where the environment names none.

    Raises Trouble when there is no database to talk to.
    """
    if settings.database_url:
        return settings
    folder = DataFolder(settings.data_dir)
    running = folder.running()
    if running is None:
        held = " by another account, or it is just starting" if folder.taken else ""
        raise Trouble(
            f"DATABASE_URL is not set and no server runs on {folder.path}{held}.",
            "Start it (./scripts/start), or set DATABASE_URL, or set DATA_DIR to the running server's.",
        )
    stores = {"database_url": running.database_url, "redis_url": settings.redis_url or running.redis_url}
    return settings.model_copy(update=stores)


def require_stores(settings: Settings) -> None:
    """Single processes start no database of their own."""
    missing = [name for name in ("database_url", "redis_url") if getattr(settings, name) is None]
    if missing:
        raise Trouble(
            f"{' and '.join(name.upper() for name in missing)} must be set for a single process.",
            "`coreplexml-server up` starts everything, with an embedded database and queue.",
        )


def _variable(location: tuple[int | str, ...]) -> str:
    return f"{str(location[0]).upper()}: " if location else ""
