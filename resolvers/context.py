"""What one request carries to its resolvers: its caller, with sessions of the database and loaders."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import proxy

from sqlalchemy import Select

from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.paging import Listing, Page, Slice
from edge.caller import Caller
from resolvers.loading import Asking, Loaders


@dataclass
class Context(Caller):
    size: AnswerSize = field(default_factory=AnswerSize)
    """Of the answer that is being built; whoever executes an operation sets its limit."""

    @cached_property
    def loaders(self) -> Loaders:
        this = proxy(self)  # that both end with the request, and do not wait for the garbage collector with all they hold
        return Loaders(self.services.database, Asking(self.principal, lambda: this.size))

    def read(self) -> AbstractAsyncContextManager[ReadSession]:
        return self.services.database.read()

    def transaction(self) -> AbstractAsyncContextManager[WriteSession]:
        """The one transaction of a mutation field."""
        return self.services.database.transaction()

    async def slice(self, listing: Listing, page: Page) -> Slice[Any]:
        """One page of a list, in a short read session of its own."""
        async with self.read() as session:
            return await listing.slice(session, page, self._count)

    async def _count(self, query: Select[Any]) -> int:
        async with self.read() as session:
            return int(await session.scalar(query) or 0)
