"""Predicting outside the web process: a worker calls the same function, and its rows come into the same log."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

from coreplex.account import authenticate
from coreplex.errors.tree import Conflict, Invalid, NotFound, Unavailable
from coreplex.platform.document import JSON, JSONObject
from coreplex.platform.fenced_cache import FencedCache
from coreplex.platform.permissions import Grant
from coreplex.runtime.build import build
from coreplex.serving import service
from coreplex.serving.inputs import Predict, PredictOptions
from coreplex.serving.log.writer import InferenceWriter
from coreplex.serving.options import idle_options
from coreplex.serving.prediction import rows_of
from coreplex.serving.route import Routes
from coreplex.serving.service import Asked
from coreplex.serving.table import InferenceLog
from tests.factories.asking import Asker
from tests.factories.world import ROW

BACK = "mutation($input: RollbackDeploymentInput!) { rollbackDeployment(input: $input) { deployment { modelId } } }"
STOP = "mutation($input: DeactivateDeploymentInput!) { deactivateDeployment(input: $input) { deployment { status } } }"


async def test_a_worker_predicts_and_logs_as_the_web_process_does(asker: Asker) -> None:
    web = asker.world.services
    identity = asker.world.ids["deployment"]
    wanted = Predict(deployment_id=identity, inputs=JSON([ROW, ROW]), options=JSONObject({}))
    grant = Grant(await authenticate.by_key(web, asker.world.keys["owner"]))
    here = await service.predict(web, grant, wanted, Asked("from-web"))
    worker = build(web.settings)
    await worker.start()
    there = await service.predict(worker, grant, wanted, Asked("from-worker"))
    assert there.predictions == here.predictions
    stranger = Grant(replace(grant.principal, user_id=UUID(int=0)))
    with pytest.raises(NotFound):
        await service.predict(worker, stranger, wanted, Asked("from-nobody"))
    await asker.data(STOP, input={"deploymentId": identity})
    route = Routes.of(worker)
    async with asyncio.timeout(5):
        while (await route.deployment(grant, identity)).status == "active":  # noqa: ASYNC110 word of the change comes by NOTIFY
            await asyncio.sleep(0.01)
    with pytest.raises(Conflict, match="only an active one predicts"):
        await service.predict(worker, grant, wanted, Asked("from-too-late"))
    assert InferenceWriter in worker.parts
    await worker.stop()
    await asker.world.settled()
    async with web.database.read() as session:
        query = select(col(InferenceLog.request_id), col(InferenceLog.row_index)).where(
            col(InferenceLog.request_id).like("from-%")
        )
        found = sorted(tuple(row) for row in await session.execute(query))
    assert found == [("from-web", 0), ("from-web", 1), ("from-worker", 0), ("from-worker", 1)]


@pytest.mark.parametrize("deaf", [False, True])
async def test_no_process_answers_as_before_once_a_change_has_returned(asker: Asker, deaf: bool) -> None:
    """Not even one that every notification is lost for: it looks for itself, and knows when it has not."""
    web, identity = asker.world.services, asker.world.ids["deployment"]
    grant = Grant(await authenticate.by_key(web, asker.world.keys["owner"]))
    other = build(web.settings)
    if deaf:
        other.listener._on_notification = lambda *_heard: None  # type: ignore[method-assign]
    await other.start()
    routes = Routes.of(other)
    assert (await routes.deployment(grant, identity)).status == "active"
    assert routes.get(("d", grant.principal.user_id, grant.principal.project_id, identity)), "it is remembered"
    for number in range(3):
        target = asker.world.ids["model" if number % 2 else "spare_model"]
        await asker.data(BACK, input={"deploymentId": identity, "toModelId": target})
        assert str((await routes.deployment(grant, identity)).model_id) == target
    await other.stop()


async def test_what_is_known_goes_on_while_the_database_is_away(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    web, identity = asker.world.services, asker.world.ids["deployment"]
    grant = Grant(await authenticate.by_key(web, asker.world.keys["owner"]))
    worker = build(web.settings)
    await worker.start()
    wanted = Predict(deployment_id=identity, inputs=JSON(ROW), options=JSONObject({}))
    before = await service.predict(worker, grant, wanted, Asked("before"))
    await authenticate.by_key(worker, asker.world.keys["owner"])
    await worker.listener.stop()
    worker.database.watch.silent.set()
    again = await service.predict(worker, grant, wanted, Asked("meanwhile"))
    assert again.predictions == before.predictions
    assert (await authenticate.by_key(worker, asker.world.keys["owner"])).user_id == grant.user_id
    with pytest.raises(Unavailable):
        await authenticate.by_key(worker, asker.world.keys["editor"])
    monkeypatch.setattr("coreplex.platform.fenced_cache.time.monotonic", lambda: time.monotonic_ns() / 1e9 + 100)
    with pytest.raises(Unavailable):
        await service.predict(worker, grant, wanted, Asked("too late"))
    worker.database.watch.silent.clear()
    await worker.stop()


async def test_what_was_read_before_a_change_is_not_kept_after_it(asker: Asker) -> None:
    cache: FencedCache[str, int] = FencedCache(asker.world.services.listener, "coreplex_test", secs=60, most=2)
    before = cache.generation
    cache.heard("")
    cache.put("a", 1, before)
    assert cache.get("a") is None
    for number, key in enumerate("abc"):
        cache.put(key, number, cache.generation)
    assert [cache.get(key) for key in "abc"] == [None, None, 2]
    cache.put("d", 3, cache.generation, secs=0)
    assert cache.get("d") is None
    cache.put("e", 4, cache.generation)
    cache.discard(lambda value: value == 2)
    assert [cache.get(key) for key in "ce"] == [None, 4]


def test_an_option_that_changes_nothing_is_said() -> None:
    wanted = PredictOptions(threshold=0.4)
    assert idle_options(wanted, "binary") == []
    (warning,) = idle_options(wanted, "multiclass")
    assert warning["message"] == "threshold is for models of two classes; this one is multiclass."
    with pytest.raises(Invalid):
        idle_options(PredictOptions(threshold=0.4, strict=True), "regression")


@pytest.mark.parametrize("wrong", [[], None, "row", {}, [1], [None], [[]], [{}, "x"]])
def test_only_a_list_of_objects_is_accepted(wrong: Any) -> None:
    with pytest.raises(Invalid):
        rows_of(wrong)
