"""Many rows and their explanations: in turn, in a child where it takes long, and for nobody who has left."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import orjson
import psutil
import pytest
from starlette.requests import Request

from coreplex.engines.scoring.contributions import Contributions, contributions
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.tree import CallerLeft, Invalid, Message
from coreplex.platform.client_disconnect import CONNECTION
from coreplex.platform.fair_places import working_for
from coreplex.platform.identifier import new_id
from coreplex.platform.storage import LocalStorage
from coreplex.serving import prediction
from coreplex.serving.address import Route
from coreplex.serving.prediction import HeavyScoring
from coreplex.serving.row_cost import RowCost
from edge.body import read_body
from rest_compat import adapter
from schema.door import http
from tests.benchmarks.seed import train
from tests.factories.dataset import Person


class Model:
    """A stored model and the queues before it."""

    def __init__(self, folder: Path) -> None:
        trained = train()
        self.row: Mapping[str, Any] = trained.row
        self.scorer = Scorer.load(trained.bundle)
        (folder / "storage").mkdir()
        (folder / "storage" / "model.zip").write_bytes(trained.bundle)
        services: Any = SimpleNamespace(
            settings=SimpleNamespace(data_dir=folder), storage=LocalStorage(folder / "storage"), parts={}
        )
        self.heavy = HeavyScoring.of(services)
        self.route = Route(new_id(), new_id(), self.scorer.sha256, "model.zip")

    async def predict(self, rows: int, **options: Any) -> prediction.Answer:
        return await prediction.predict(self.scorer, self.route, self.heavy, [self.row] * rows, options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(tmp_path_factory.mktemp("model"))


async def test_a_child_explains_as_the_server_does(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "IN_THREAD_SECS", 0.0)
    few, many = await model.predict(20, contributions=3), await model.predict(21, contributions=3)
    assert many.predictions == [few.predictions[0]] * 21
    assert len(few.predictions[0]["contributions"]) == 3
    (single,) = (await model.predict(1, contributions=3)).predictions
    said = {part["feature"]: part["contribution"] for part in few.predictions[0]["contributions"]}
    assert {part["feature"]: part["contribution"] for part in single["contributions"]} == pytest.approx(said)


async def test_too_many_rows_to_explain_are_refused(model: Model) -> None:
    with pytest.raises(Invalid, match="501 rows; with contributions send at most 500 in a call"):
        await model.predict(501, contributions=True)
    assert len((await model.predict(501)).predictions) == 501


async def test_explanations_run_where_their_time_allows(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is not known that they are quick, and once they are not, nobody else waits for them."""
    threads: list[str] = []
    least = 0.0

    def explaining(*arguments: Any) -> list[Contributions]:
        threads.append(threading.current_thread().name)
        end = time.thread_time() + least
        while time.thread_time() < end:
            pass
        return contributions(*arguments)

    monkeypatch.setattr(prediction, "contributions", explaining)
    contributions(model.scorer, [model.row])  # makes the tables
    model.heavy.explaining = RowCost(math.inf)
    monkeypatch.setattr(prediction, "EXPLAINED_INLINE_SECS", 0.02)
    for _ in range(2):
        await model.predict(1, explain={"top_k": 2})
    least = 0.05
    for rows in (1, 1, 20):
        await model.predict(rows, explain={"top_k": 2})
    main = threading.main_thread().name
    assert [name == main for name in threads] == [False, True, True, False, False]
    least = 0.0
    for rows in (20, 200):
        assert len((await model.predict(rows, contributions=True)).predictions) == rows
    assert [name == main for name in threads[5:]] == [False, False], "not in a child"


async def test_an_explanation_ends_with_its_client(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "IN_THREAD_SECS", 0.0)
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    token = CONNECTION.set(receive)
    try:
        asked = asyncio.create_task(model.predict(500, contributions=True))
        children = await asyncio.to_thread(_children)
        left.set()
        with pytest.raises(CallerLeft):
            await asked
    finally:
        CONNECTION.reset(token)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert len((await model.predict(21, contributions=True)).predictions) == 21, "the place was given back"


def _children() -> list[psutil.Process]:
    """The explaining child, as soon as it is there."""
    while True:
        found = [child for child in psutil.Process().children() if "scoring.contributions:run" in " ".join(child.cmdline())]
        if found:
            return found
        time.sleep(0.01)


async def test_threads_take_turns_and_a_place_is_held_until_its_thread_ends(model: Model) -> None:
    order: list[str] = []
    gate = threading.Event()

    async def ask(who: str) -> None:
        with working_for(who):
            await model.heavy.in_thread(lambda: (gate.wait(30), order.append(who)))

    greedy = [asyncio.create_task(ask("greedy")) for _ in range(5)]
    await asyncio.sleep(0.05)
    other = asyncio.create_task(ask("other"))
    await asyncio.sleep(0.05)
    greedy[0].cancel()  # its thread runs on
    await asyncio.sleep(0.05)
    assert order == []
    gate.set()
    async with asyncio.timeout(10):
        await asyncio.gather(other, *greedy[1:])
    assert sorted(order) == ["greedy"] * 5 + ["other"]
    assert order.index("other") == 1, "it waited for one call of the other's"


@pytest.mark.parametrize("door", [adapter, http])
async def test_large_bodies_are_taken_one_by_one(door: ModuleType, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for its turn has not been read: a hundred large bodies at once are not a hundred in memory."""
    reading: list[int] = []
    most = 0

    async def read(request: Request, limit: int, advice: Message | None = None) -> bytes:
        nonlocal most
        raw = await read_body(request, limit, advice)
        reading.append(len(raw))
        most = max(most, len(reading))
        await asyncio.sleep(0.01)
        reading.pop()
        return raw

    async def ask(times: int, inputs: Any, *, announced: bool = True) -> set[int]:
        model = str(new_id())
        document = "mutation($input: PredictModelInput!) { predictModel(input: $input) { requestId } }"
        message = {"query": document, "variables": {"input": {"modelId": model, "inputs": inputs}}}
        path, body = ("/graphql", message) if door is http else (f"/api/models/{model}/predict", {"inputs": inputs})
        raw, typed = orjson.dumps(body), {"Content-Type": "application/json"}
        contents = [raw if announced else in_parts(raw) for _ in range(times)]
        answers = await asyncio.gather(*(ada.client.post(path, content=content, headers=typed) for content in contents))
        return {answer.json()["errors"][0]["extensions"]["status"] if door is http else answer.status_code for answer in answers}

    monkeypatch.setattr(door, "read_body", read)
    for announced in (True, False):
        most = 0
        assert await ask(10, [{"a": "x" * 100}] * 2_000, announced=announced) == {404}
        assert most == 1
        assert await ask(5, {"a": 1}, announced=announced) == {404}
        assert most > 1, "small ones do not wait for each other"


async def in_parts(raw: bytes) -> AsyncIterator[bytes]:
    """The body as a client sends it that does not say how long it is."""
    for start in range(0, len(raw), 64 << 10):
        yield raw[start : start + (64 << 10)]
