"""The long-lived parts of one process, made once by the composition root and handed down."""

from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from coreplex.errors.tree import NotFound
from coreplex.platform.database import Database
from coreplex.platform.listener import Listener
from coreplex.platform.rate import RateLimiter
from coreplex.platform.resumable import Resumable
from coreplex.platform.settings import Settings
from coreplex.platform.staging import StagedFile, Staging
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
    parts: dict[type["Part"], "Part"] = field(default_factory=dict)
    """What concepts keep for the life of the process (a cache of scorers, a log writer), each made when first asked for."""

    def upload(self, upload_id: str, owner_id: UUID) -> StagedFile:
        """The whole file of an upload, however it came. Raises NotFound, and Conflict while bytes of it are missing."""
        try:
            return self.staging.open(upload_id, owner_id, "Upload")
        except NotFound:
            self.resumable.refuse_unfinished(upload_id, owner_id)
            raise

    async def start(self) -> None:
        await self.listener.start()

    async def stop(self) -> None:
        for part in reversed(self.parts.values()):
            await part.stop()
        await self.listener.stop()
        await self.limiter.close()
        await self.database.close()


class Part:
    """Something of which a process has one, found by its class: `Scorers.of(services)`."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def make(cls, services: Services) -> Self:
        """A new one; subclasses whose constructor takes other things say which."""
        return cls(services)

    @classmethod
    def of(cls, services: Services) -> Self:
        """The process's one, made when first asked for."""
        try:
            return services.parts[cls]  # type: ignore[return-value]  # `cls` made it
        except KeyError:
            made = services.parts[cls] = cls.make(services)
            return made

    async def stop(self) -> None:
        """End in order with the process."""
