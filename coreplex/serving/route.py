"""Which caller may ask which model, remembered per process so that a prediction needs no query.

What is remembered is forgotten as soon as any process changes a deployment, a membership or a model, after a few seconds in any
case, and not relied on while it is not certain that such word is heard. While the database is away it is what there is.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from sqlalchemy.exc import NoResultFound

from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Unavailable
from coreplex.membership.access import SERVING, open_row
from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.fenced_cache import FencedCache
from coreplex.platform.listener import Listener
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Part, Services
from coreplex.serving.address import Route, model_route, route_of

ROUTE_SECS = 10.0
MAX_ROUTES = 10_000
Key = tuple[Any, ...]


class Routes(FencedCache[Key, Route], Part):
    """Routes by caller and deployment, or caller and model."""

    def __init__(self, database: Database, listener: Listener) -> None:
        super().__init__(listener, SERVING, secs=ROUTE_SECS, most=MAX_ROUTES)
        self._database = database

    @classmethod
    def make(cls, services: Services) -> Self:
        return cls(services.database, services.listener)

    async def deployment(self, grant: Grant, deployment_id: str) -> Route:
        """The way to a deployment's model. Raises NotFound or Forbidden."""
        key = ("d", grant.principal.user_id, grant.principal.project_id, deployment_id)
        return self.get(key) or await self._find(key, grant, self._of_deployment)

    async def model(self, grant: Grant, model_id: str) -> Route:
        """The way to a model itself. Raises NotFound or Forbidden."""
        key = ("m", grant.principal.user_id, grant.principal.project_id, model_id)
        return self.get(key) or await self._find(key, grant, self._of_model)

    async def other(self, kind: str, grant: Grant, identity: str, find: Callable[[Grant, str], Awaitable[Route]]) -> Route:
        """The way to something else that answers rows, which `find` finds in its own way."""
        key = (kind, grant.principal.user_id, grant.principal.project_id, identity)
        return self.get(key) or await self._find(key, grant, find)

    async def _find(self, key: Key, grant: Grant, find: Callable[[Grant, str], Awaitable[Route]]) -> Route:
        generation = self.generation
        try:
            try:
                route = await find(grant, key[-1])
            except NoResultFound:  # deleted between two statements, each of which sees the database as it is by then
                route = await find(grant, key[-1])
        except Unavailable:
            known = self.last_known(key)
            if known is None:
                raise
            return known
        self.put(key, route, generation)
        return route

    async def _of_deployment(self, grant: Grant, deployment_id: str) -> Route:
        async with self._database.read() as session:
            asked = await open_row(session, grant, Deployment, deployment_id, "Deployment")
            return await route_of(session, asked)

    async def _of_model(self, grant: Grant, model_id: str) -> Route:
        async with self._database.read() as session:
            return await model_route(session, await open_row(session, grant, Model, model_id, "Model"))
