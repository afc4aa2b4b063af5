"""Makes the long-lived parts of a process from its settings."""

from coreplex.account.cache import AccessCache
from coreplex.platform.database import Database
from coreplex.platform.listener import Listener
from coreplex.platform.rate import RateLimiter
from coreplex.platform.resumable import Resumable
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.platform.staging import Staging, StagingQuota
from coreplex.platform.storage import LocalStorage
from coreplex.runtime import concepts, jobs  # noqa: F401  the jobs of what composes
from coreplex.serving.route import Routes

concepts.load("dependents", "jobs")  # every process knows every concept


def build(settings: Settings) -> Services:
    """Everything a process needs, nothing of it connected yet."""
    if settings.database_url is None:
        raise ValueError("DATABASE_URL is not set; `coreplexml-server up` starts an embedded database by itself")
    quota = StagingQuota(settings.data_dir / "staging", settings.data_dir / "uploads", settings.max_staged_bytes)
    staging = Staging(quota, settings.staged_file_hours * 3600)
    services = Services(
        settings=settings,
        database=Database(settings.database_url, pool_size=settings.database_pool_size),
        storage=LocalStorage(settings.storage_dir),
        staging=staging,
        resumable=Resumable(staging, settings.max_dataset_upload_bytes, settings.unfinished_upload_hours * 3600),
        limiter=RateLimiter(settings),
        listener=Listener(settings.database_url),
    )
    services.database.agreed = services.listener.agreed
    for cache in (AccessCache, Routes):
        cache.of(services)  # before the listener starts
    return services
