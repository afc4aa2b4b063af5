"""Runs the operations that a page of documentation prints, in their order, and follows its subscriptions."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import websockets
from httpx_sse import connect_sse

from tests.stack import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT, Stack


def complete(deployment: dict[str, Any]) -> bool:
    return len(deployment["logs"]["nodes"]) == 2 and deployment["requestCount"] == 1


class Explorer:
    """Runs the operations of docs/graphql.md in order, keeping what their comments say."""

    def __init__(self, stack: Stack, transport: str) -> None:
        self.stack, self.transport = stack, transport
        self.kept: dict[str, str] = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        self.client = httpx.Client(base_url=stack.base_url, timeout=60)

    def run(self, page: str) -> None:
        steps = re.compile(r"```sh\n(?P<sh>.*?)```|```graphql\n(?P<query>.*?)```\s+```json\n(?P<variables>.*?)```", re.S)
        for step in steps.finditer(page):
            if step["sh"]:
                self.kept["upload"] = self.upload(step["sh"])
            else:
                self.step(step["query"], orjson.loads(self.filled(step["variables"])))

    def filled(self, text: str) -> str:
        return re.sub(r"{(\w+)}", lambda match: self.kept.get(match[1], match[0]), text)

    @property
    def headers(self) -> dict[str, str]:
        if "key" in self.kept:
            return {"Authorization": f"Bearer {self.kept['key']}"}
        return {"X-CSRF-Token": self.kept["csrf"]} if "csrf" in self.kept else {}

    def upload(self, command: str) -> str:
        assert 'curl -s -H "Authorization: Bearer $KEY" "$BASE_URL/api/uploads" -F file=@docs/samples/iris.csv' in command
        with (ROOT / "docs/samples/iris.csv").open("rb") as file:
            answer = self.client.post("/api/uploads", files={"file": file}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def step(self, query: str, variables: dict[str, Any]) -> None:
        if until := re.match(r"# follows until type = (\S+)", query):
            self.follow(query, variables, until[1])
            return
        body = self.ask(query, variables)
        if keeps := re.match(r"# keeps (\w+) = (\S+)", query):
            found: Any = body["data"]
            for part in keeps[2].split("."):
                found = found[int(part)] if part.isdigit() else found[part]
            self.kept[keeps[1]] = str(found)
        self.see(body["data"], lambda: self.ask(query, variables)["data"])

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post("/graphql", json={"query": query, "variables": variables}, headers=self.headers)
        body: dict[str, Any] = answer.json()
        assert answer.status_code == 200, body
        assert "errors" not in body, body
        return body

    def see(self, data: dict[str, Any], again: Callable[[], dict[str, Any]]) -> None:
        """Answers whose content the page promises, the log's a moment later."""
        if "predict" in data:
            assert data["predict"]["predictions"][0]["prediction"] == "setosa"
            self.kept["request"] = data["predict"]["requestId"]
        if "logs" in data.get("deployment", {}):
            deadline = time.monotonic() + 20
            # The count is read before the list: an answer may stand with one foot on either side of the store.
            while not complete(data["deployment"]) and time.monotonic() < deadline:
                time.sleep(0.1)
                data = again()
            assert data["deployment"]["requestCount"] == 1
            assert [node["requestId"] for node in data["deployment"]["logs"]["nodes"]] == [self.kept["request"]] * 2

    def follow(self, query: str, variables: dict[str, Any], until: str) -> None:
        body = {"query": query, "variables": variables}
        told = self.over_sse(body, until) if self.transport == "sse" else asyncio.run(self.over_websocket(body, until))
        types = [event["type"] for event in told]
        assert types[-1] == until
        assert "model.trained" in types or "jobEvents" in query
        numbers = [event["seq"] for event in told]
        assert numbers == sorted(set(numbers))

    def over_sse(self, body: dict[str, Any], until: str) -> list[dict[str, Any]]:
        headers = {**self.headers, "Accept": "text/event-stream"}
        told = []
        with connect_sse(self.client, "POST", "/graphql", json=body, headers=headers) as source:
            for event in source.iter_sse():
                told += list(event.json()["data"].values())
                if told[-1]["type"] in {until, "job.failed"}:
                    break
        return told

    async def over_websocket(self, body: dict[str, Any], until: str) -> list[dict[str, Any]]:
        address = self.stack.base_url.replace("http", "ws", 1) + "/graphql"
        told: list[dict[str, Any]] = []
        async with websockets.connect(
            address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")], additional_headers=self.headers
        ) as line:
            await line.send(orjson.dumps({"type": "connection_init"}).decode())
            assert orjson.loads(await line.recv())["type"] == "connection_ack"
            await line.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": body}).decode())
            while not told or told[-1]["type"] not in {until, "job.failed"}:
                message = orjson.loads(await line.recv())
                if message["type"] == "ping":
                    await line.send('{"type": "pong"}')
                else:
                    assert message["type"] == "next", message
                    told += list(message["payload"]["data"].values())
        return told
