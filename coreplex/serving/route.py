"""Who may ask which model, and the loaded models themselves: remembered per process so that a prediction needs no query.

What is remembered is forgotten as soon as any process changes a deployment, a membership or a model (NOTIFY), after a few
seconds in any case, and altogether while the line for such word is down.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coreplex.artifact.table import Artifact
from coreplex.deployment.table import Deployment
from coreplex.engines.scoring.scorer import Scorer
from coreplex.membership.access import SERVING, open_row
from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.listener import Listener
from coreplex.platform.permissions import Grant
from coreplex.platform.storage import Storage

ROUTE_SECS = 10.0
MAX_ROUTES = 10_000
MAX_SCORER_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Route:
    """A caller's way to a model, as it was when it was looked up."""

    project_id: UUID
    model_id: UUID
    sha256: str
    storage_key: str
    deployment_id: UUID | None = None
    active: bool = True
    status: str = ""


class Serving:
    """The process's memory of routes and scorers."""

    def __init__(self, database: Database, storage: Storage, listener: Listener) -> None:
        self._database = database
        self._storage = storage
        self._listener = listener
        self._generation = 0
        self._routes: dict[Hashable, tuple[float, Route]] = {}
        self._scorers: OrderedDict[str, Scorer] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Scorer]] = {}
        self._weights: dict[str, int] = {}
        listener.on(SERVING, self._forget)

    def _forget(self, _payload: str) -> None:
        self._generation += 1
        self._routes.clear()

    async def deployment(self, grant: Grant, deployment_id: str) -> Route:
        """The way to a deployment's model. Raises NotFound or Forbidden."""
        return await self._route(("d", grant.user_id, grant.principal.project_id, deployment_id), self._find_deployment, grant)

    async def model(self, grant: Grant, model_id: str) -> Route:
        """The way to a model itself. Raises NotFound or Forbidden."""
        return await self._route(("m", grant.user_id, grant.principal.project_id, model_id), self._find_model, grant)

    async def _route(self, key: tuple[Any, ...], find: Callable[[Grant, str], Awaitable[Route]], grant: Grant) -> Route:
        known = self._routes.get(key)
        if known is not None and known[0] > time.monotonic() and self._listener.connected:
            return known[1]
        generation = self._generation
        route = await find(grant, key[-1])
        if generation == self._generation:  # else something changed while we looked
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = (time.monotonic() + ROUTE_SECS, route)
        return route

    async def _find_deployment(self, grant: Grant, deployment_id: str) -> Route:
        async with self._database.read() as session:
            deployment = await open_row(session, grant, Deployment, deployment_id, "Deployment")
            model = await session.get_one(Model, deployment.model_id)
            artifact = await session.get_one(Artifact, model.artifact_id)
        return Route(
            deployment.project_id,
            model.id,
            artifact.sha256,
            artifact.storage_key,
            deployment.id,
            deployment.status == "active",
            deployment.status,
        )

    async def _find_model(self, grant: Grant, model_id: str) -> Route:
        async with self._database.read() as session:
            model = await open_row(session, grant, Model, model_id, "Model")
            artifact = await session.get_one(Artifact, model.artifact_id)
        return Route(model.project_id, model.id, artifact.sha256, artifact.storage_key)

    async def scorer(self, route: Route) -> Scorer:
        """The loaded model, its bytes checked against the hash in the database. Loaded once however many ask."""
        found = self._scorers.get(route.sha256)
        if found is not None:
            self._scorers.move_to_end(route.sha256)
            return found
        task = self._loading.get(route.sha256)
        if task is None:
            task = self._loading[route.sha256] = asyncio.create_task(self._load(route))
            task.add_done_callback(lambda _: self._loading.pop(route.sha256, None))
        return await asyncio.shield(task)

    async def _load(self, route: Route) -> Scorer:
        path = await self._storage.path(route.storage_key)
        scorer = await asyncio.to_thread(Scorer.load, path, route.sha256)
        self._scorers[route.sha256] = scorer
        self._weights[route.sha256] = path.stat().st_size
        while len(self._scorers) > 1 and sum(self._weights.values()) > MAX_SCORER_BYTES:
            gone, _ = self._scorers.popitem(last=False)
            del self._weights[gone]
        return scorer
