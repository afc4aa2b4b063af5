"""A person with a key and a project, in front of the whole application; tables, and their uploads."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from httpx import AsyncClient, Response
from starlette.applications import Starlette

from coreplex.account.table import User
from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.account import bearer, browser, make_key, make_user, serving

PEOPLE = (
    "name,age,city,late,signed_on,amount\n"
    "Ada,36,London,yes,1835-05-01,12.5\n"
    "Grace,85,New York,no,1952-11-20,7\n"
    "Emmy,53,Göttingen,yes,1915-04-02,\n"
    "Sofja,41,Stockholm,no,1884-01-01,3.25\n"
).encode()


@dataclass
class Person:
    """A registered person, an HTTP client with their key, and the project they own."""

    user: User
    client: AsyncClient
    key: str
    project_id: str

    async def upload(self, content: bytes, filename: str = "people.csv", **fields: str) -> Response:
        form = {"project_id": self.project_id, "name": "People", "description": "", **fields}
        return await self.client.post("/api/datasets/upload", data=form, files={"file": (filename, content)})

    async def dataset(self, content: bytes = PEOPLE, filename: str = "people.csv", **fields: str) -> dict[str, Any]:
        """The answer to an upload that must succeed."""
        answer = await self.upload(content, filename, **fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The body of a GraphQL answer."""
        return (await self.client.post("/graphql", json={"query": query, "variables": variables})).json()

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer that must have no errors."""
        body = await self.ask(query, **variables)
        assert "errors" not in body, body
        found: dict[str, Any] = body["data"]
        return found


@asynccontextmanager
async def person(app: Starlette, database: Database, scopes: Iterable[Scope] = tuple(Scope)) -> AsyncIterator[Person]:
    user = await make_user(database)
    _, key = await make_key(database, user, scopes)
    async with browser(app) as client:
        client.headers.update(bearer(key))
        client.timeout = 60  # type: ignore[assignment]
        project_id = ""
        if Scope.write in scopes:
            answer = await client.post("/api/projects", json={"name": "Tables"})
            assert answer.status_code == 201, answer.text
            project_id = answer.json()["project_id"]
        yield Person(user, client, key, project_id)


@asynccontextmanager
async def laboratory(settings: Settings, database: Database) -> AsyncIterator[tuple[Starlette, Person]]:
    """The application and a person in it."""
    async with serving(settings) as app, person(app, database) as someone:
        yield app, someone


def table(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows, the first of them the names, as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def stored_files(services: Services) -> list[str]:
    """Everything in storage, by key."""
    root = services.settings.storage_dir
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def staged_files(services: Services) -> list[str]:
    """Everything on its way in or out."""
    return sorted(path.name for path in services.staging.root.iterdir())
