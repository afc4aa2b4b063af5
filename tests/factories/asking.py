"""GraphQL asked by an actor of the world, and the statements it costs."""

from contextlib import AbstractContextManager
from typing import Any

from httpx import AsyncClient

from tests.counting import counted
from tests.factories.world import World


class Asker:
    """A client whose `data` must succeed and whose `refused` must not."""

    def __init__(self, made: World, client: AsyncClient) -> None:
        self.world, self.client = made, client

    async def ask(self, query: str, actor: str = "owner", **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        found: dict[str, Any] = (await self.client.post("/graphql", json=body, headers=self.world.headers(actor))).json()
        return found

    async def data(self, query: str, actor: str = "owner", **variables: Any) -> dict[str, Any]:
        body = await self.ask(query, actor, **variables)
        assert "errors" not in body, body
        return dict(body["data"])

    async def refused(self, query: str, actor: str = "owner", **variables: Any) -> dict[str, Any]:
        """The `extensions` of the first error, with its message."""
        error = (await self.ask(query, actor, **variables))["errors"][0]
        return {**error["extensions"], "message": error["message"]}

    def counted(self) -> AbstractContextManager[list[str]]:
        """The statements the application sends for what is asked meanwhile."""
        return counted(self.world.services.database)
