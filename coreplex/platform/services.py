"""The long-lived parts of one process, made once by the composition root and handed down."""

from dataclasses import dataclass, field
from typing import Self

from coreplex.platform.database import Database
from coreplex.platform.listener import Listener
from coreplex.platform.rate import RateLimiter
from coreplex.platform.resumable import Resumable
from coreplex.platform.settings import Settings
from coreplex.platform.staging import Staging
from coreplex.platform.storage import Storage


@dataclass
class Services:
    settings: Settings
    database: Database
    storage: Storage
    staging: Staging
    resumable: Resumable
    limiter: RateLimiter
    listener: Listener
    parts: dict[type, object] = field(default_factory=dict)
    """Things a concept keeps for the life of the process (a cache of scorers, a log writer), by their class."""

    async def start(self) -> None:
        await self.listener.start()

    async def stop(self) -> None:
        await self.listener.stop()
        await self.limiter.close()
        await self.database.close()


class Part:
    """Something of which a process has one, made when first asked for."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def of(cls, services: Services) -> Self:
        """The process's one."""
        found = services.parts.get(cls) or services.parts.setdefault(cls, cls(services))
        assert isinstance(found, cls)
        return found
