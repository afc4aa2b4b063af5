"""Loaded models of one process, the least used of them forgotten when they become too many bytes."""

import asyncio
from collections import OrderedDict

from coreplex.engines.scoring.scorer import Scorer
from coreplex.platform.services import Part, Services
from coreplex.serving.route import Route

MAX_BYTES = 512 << 20
"""Of the files of the models that are kept loaded."""


class Scorers(Part):
    """Scorers by the SHA-256 of their model's file."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._scorers: OrderedDict[str, Scorer] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Scorer]] = {}
        self._sizes: dict[str, int] = {}

    async def scorer(self, route: Route) -> Scorer:
        """The loaded model of a route, its bytes checked against the hash in the database. Loaded once however many ask.

        Raises Damaged for a file that is gone or has changed.
        """
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
        self._sizes[route.sha256] = path.stat().st_size
        while len(self._scorers) > 1 and sum(self._sizes.values()) > MAX_BYTES:
            gone, _ = self._scorers.popitem(last=False)
            del self._sizes[gone]
        return scorer
