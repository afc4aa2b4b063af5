"""Models change under load on two web processes: no request fails, and none is answered as before once a change has returned."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from coreplex.supervisor.process import python, spawn
from tests.factories.account import bearer
from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import deploy, one, project
from tests.stack import ROOT, Stack

__all__ = ["project"]
CALLERS = 3
"""On each process."""
REST_SECS = 0.3
"""Between two changes."""


@contextmanager
def another(stack: Stack) -> Iterator[str]:
    """A second web process of the same server; its address."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    environment = {**stack.environment, "PORT": str(port)}
    with (stack.folder / "web2.log").open("ab") as output:
        child = spawn(python(*stack.web), death_signal=signal.SIGKILL, output=output, environment=environment, folder=ROOT)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(15)


@dataclass
class Answer:
    began: float
    status: int
    model_id: str = ""


@dataclass
class Callers:
    """Who asks the same deployment again and again, at every process."""

    addresses: list[str]
    key: str
    path: str
    answers: list[Answer] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await asyncio.gather(*(self._call(address) for address in self.addresses * CALLERS))

    async def _call(self, address: str) -> None:
        async with httpx.AsyncClient(base_url=address, headers=bearer(self.key), timeout=30) as client:
            while not self.ended.is_set():
                began = time.monotonic()
                answer = await client.post(self.path, json={"inputs": ROW})
                found = answer.json()
                self.answers.append(Answer(began, answer.status_code, found.get("model_id", "")))
                await asyncio.sleep(0.002)


@dataclass
class Changes:
    """What was changed, through the first process, and since when what must be true."""

    client: httpx.AsyncClient
    expected: list[tuple[float, int, str]] = field(default_factory=list)

    async def make(self, path: str, status: int, model_id: str, **body: Any) -> None:
        """A change, after which each request is answered with the status, by the model."""
        began = time.monotonic()
        answer = await self.client.post(path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        self.expected.append((began, 0, ""))  # until it has returned both are right
        self.expected.append((time.monotonic(), status, model_id))
        await asyncio.sleep(REST_SECS)

    def wrong(self, answers: list[Answer]) -> list[Any]:
        """Answers to requests that began when something else was true already."""
        found = []
        for (begin, status, model), (end, _, _) in zip(self.expected, [*self.expected[1:], (1e18, 0, "")], strict=True):
            if status:
                meant = (status, model if status == 200 else "")
                found += [(one, meant) for one in answers if begin <= one.began < end and (one.status, one.model_id) != meant]
        return found


async def hammered(
    lab: Lab, deployment: str, steps: list[tuple[str, int, str, dict[str, Any]]]
) -> tuple[list[Answer], list[Any]]:
    """The answers while changes are made: of each a path, and the status and the model it leaves; and those that were wrong."""
    with another(lab.stack) as address:
        callers = Callers([lab.stack.base_url, address], lab.key, f"{one(deployment)}/predict")
        asking = asyncio.create_task(callers.run())
        await asyncio.sleep(1)
        async with httpx.AsyncClient(base_url=lab.stack.base_url, headers=bearer(lab.key), timeout=30) as client:
            changes = Changes(client)
            for path, status, model, body in steps:
                await changes.make(path, status, model, **body)
        callers.ended.set()
        await asking
    return callers.answers, changes.wrong(callers.answers)


@pytest.mark.slow
async def test_a_swap_costs_no_request_and_leaves_no_old_answer(project: Lab) -> None:
    models = [model["id"] for model in project.models[:2]]
    champion = await asyncio.to_thread(deploy, project, "champion")
    challenger = await asyncio.to_thread(deploy, project, "challenger", "staging", 1)
    here = one(champion)
    steps: list[tuple[str, int, str, dict[str, Any]]] = []
    for number in range(6):
        steps.append((f"{here}/rollback", 200, models[(number + 1) % 2], {"to_model_id": models[(number + 1) % 2]}))
    steps.append((f"{here}/canary", 0, "", {"candidate_deployment_id": challenger, "steps": [50]}))
    steps.append((f"{here}/canary/advance", 200, models[1], {}))
    steps.append((f"{one(challenger)}/rollback", 200, models[0], {}))
    steps.append((f"{here}/deactivate", 409, "", {}))
    answers, wrong = await hammered(project, champion, steps)
    assert wrong == []
    statuses = [answer.status for answer in sorted(answers, key=lambda answer: answer.began)]
    assert set(statuses) == {200, 409}
    assert statuses.index(409) > 100, "nothing was refused before it was deactivated"


@pytest.mark.slow
async def test_a_promotion_costs_no_request(project: Lab) -> None:
    await asyncio.to_thread(deploy, project, "champion")
    challenger = await asyncio.to_thread(deploy, project, "challenger", "staging", 1)
    step = (f"{one(challenger)}/promote", 200, project.models[1]["id"], {"to_stage": "production"})
    answers, wrong = await hammered(project, challenger, [step])
    assert ({answer.status for answer in answers}, wrong) == ({200}, [])
