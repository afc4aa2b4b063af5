"""The journey with `gql`, the client for Python. It keeps no cache; subscriptions outlive a restart of the server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportConnectionFailed
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from graphql import parse, separate_operations

BASE = os.environ["BASE_URL"]
DOCUMENTS = separate_operations(parse((Path(__file__).parent / "journey.graphql").read_text()))
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { csrfToken } }"
MAKE_KEY = "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


async def sign_in(email: str, password: str) -> str:
    """A key: `Authorization: Bearer <key>`. Signing in sets cookies, a write with which carries the CSRF token."""
    async with Client(transport=HTTPXAsyncTransport(url=f"{BASE}/graphql")) as browser:
        entered = await browser.execute(GraphQLRequest(LOGIN, variable_values={"input": {"email": email, "password": password}}))
        wanted = {"input": {"name": "journey", "scopes": ["READ", "WRITE", "PREDICT"]}}
        csrf = {"headers": {"X-CSRF-Token": entered["login"]["csrfToken"]}}
        made = await browser.execute(GraphQLRequest(MAKE_KEY, variable_values=wanted), extra_args=csrf)
    return str(made["createApiKey"]["key"])


async def upload(key: str, table: Path) -> str:
    """Files do not go through GraphQL: send one, and get the id that `uploadDataset` takes."""
    content = await asyncio.to_thread(table.read_bytes)
    async with httpx.AsyncClient(base_url=BASE, headers={"Authorization": f"Bearer {key}"}) as client:
        answer = await client.post("/api/uploads", files={"file": (table.name, content)})
    return str(answer.raise_for_status().json()["id"])


async def follow(key: str, name: str, thing: str) -> AsyncIterator[dict[str, Any]]:
    """Events of a thing; after an absence of the server from behind the last one that was seen."""
    seen: set[int] = set()  # a project's events of the last seconds may come again
    while True:
        socket = WebsocketsTransport(
            url=f"{BASE}/graphql".replace("http", "ws", 1), init_payload={"Authorization": f"Bearer {key}"}
        )
        try:
            async with Client(transport=socket) as session:
                wanted = GraphQLRequest(DOCUMENTS[name], variable_values={"id": thing, "after": max(seen, default=0)})
                async for data in session.subscribe(wanted):
                    (event,) = data.values()
                    if event["seq"] not in seen:
                        seen.add(event["seq"])
                        yield event
        except (TransportConnectionFailed, OSError):
            await asyncio.sleep(0.2)


class Heard:
    """What is heard of a thing."""

    def __init__(self, key: str, name: str, thing: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.task = asyncio.create_task(self._listen(follow(key, name, thing)))

    async def _listen(self, events: AsyncIterator[dict[str, Any]]) -> None:
        async for event in events:
            async with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    async def until(self, **wanted: Any) -> list[int]:
        """The numbers of all events once one of them is so."""
        async with self.changed:
            await self.changed.wait_for(lambda: any(wanted.items() <= event.items() for event in self.events))
        return [event["seq"] for event in self.events]


async def train(session: AsyncClientSession, key: str, project: str, version: str) -> str:
    """Train, and follow both experiment and project over a restart of the server: each event is heard once."""
    wanted = {
        "projectId": project,
        "datasetVersionId": version,
        "name": "First try",
        "targetColumn": "species",
        "problemType": "CLASSIFICATION",
        "config": {"include_algos": ["GLM"], "max_models": 1, "nfolds": 2},
    }
    experiment = str((await change(session, "CreateExperiment", wanted))["experiment"]["id"])
    followed = {"ExperimentEvents": experiment, "ProjectEvents": project}
    heard = {name: Heard(key, name, thing) for name, thing in followed.items()}
    for one in heard.values():
        await one.until()
    print("restart", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for name, one in heard.items():
        numbers = await one.until(type="job.succeeded")
        replay = Heard(key, name, followed[name])
        assert sorted(numbers) == sorted(await replay.until(seq=max(numbers))), name
        assert name == "ProjectEvents" or numbers == sorted(numbers)
        one.task.cancel()
        replay.task.cancel()
    return experiment


async def ask(session: AsyncClientSession, name: str, **variables: Any) -> Any:
    (found,) = (await session.execute(GraphQLRequest(DOCUMENTS[name], variable_values=variables))).values()
    return found


async def change(session: AsyncClientSession, name: str, wanted: dict[str, Any]) -> Any:
    """A mutation; what a person can mend is in its `userErrors`, anything else is raised."""
    done = await ask(session, name, input=wanted)
    assert done["userErrors"] == [], done
    return done


async def main(table: Path, email: str, password: str) -> None:
    key = await sign_in(email, password)
    transport = HTTPXAsyncTransport(url=f"{BASE}/graphql", headers={"Authorization": f"Bearer {key}"}, timeout=60)
    async with Client(transport=transport, execute_timeout=60) as session:
        project = (await change(session, "CreateProject", {"name": "Flowers"}))["project"]["id"]
        uploaded = {"projectId": project, "name": "Iris", "uploadId": await upload(key, table)}
        version = (await change(session, "UploadDataset", uploaded))["version"]["id"]
        experiment = await train(session, key, project, version)
        best, second = (await ask(session, "Leaderboard", id=experiment))["models"]["nodes"]
        why = (await ask(session, "Why", id=best["id"]))["explanation"]["importance"]
        assert "petal" in why[0]["feature"]
        wanted = {"projectId": project, "modelId": best["id"], "name": "flowers", "stage": "PRODUCTION"}
        deployment = (await change(session, "CreateDeployment", wanted))["deployment"]["id"]
        answer = await change(session, "Predict", {"deploymentId": deployment, "inputs": [ROW]})
        assert answer["predictions"][0]["prediction"] == "setosa"
        await change(session, "DeactivateDeployment", {"deploymentId": deployment})
        await change(session, "DeleteDeployment", {"deploymentId": deployment})
        left = (await change(session, "DeleteModel", {"modelId": second["id"]}))["experiment"]["models"]["nodes"]
        assert [model["id"] for model in left] == [best["id"]]
        await change(session, "DeleteExperiment", {"experimentId": experiment})
        await change(session, "DeleteProject", {"projectId": project})
        assert (await ask(session, "Projects"))["nodes"] == []
    print("done")


asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
