"""Retraining by what came true: a metric begins it, and outcomes are learned from, each once."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from sqlalchemy import select
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion, VersionSource
from coreplex.deployment.table import Arm
from coreplex.monitoring.current_metric import CurrentMetric
from coreplex.monitoring.table import Basis
from coreplex.platform.clock import now
from coreplex.platform.identifier import new_id
from coreplex.retraining import begin, tending
from coreplex.retraining.table import RetrainPolicy, RetrainRun
from coreplex.runtime import monitor
from coreplex.runtime.retention import purge
from coreplex.serving.table import InferenceLog
from tests.factories.retrained import RETRAIN, Retrained, retrained
from tests.factories.world import ROW

__all__ = ["retrained"]


async def test_a_metric_begins_one_when_it_is_surely_worse_than_it_may_be(
    retrained: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    await retrained.policy(metric="auc", metricThreshold=0.8, metricWindow="7d", metricBasis="REALISED", cooldownHours=0)
    await retrained.version()
    windows = []

    async def look(value: float | None, error: float | None = 0.01) -> list[tuple[str, str]]:
        async def current(_session: Any, _deployment: Any, name: str, window: timedelta, basis: str) -> CurrentMetric | None:
            windows.append((window, basis))
            return None if value is None else CurrentMetric(name, value, Basis.realised, 500, error, 0.9)

        monkeypatch.setattr(tending, "current_metric", current)
        await retrained.do("UPDATE retrain_policies SET next_look_at = now() WHERE next_look_at IS NOT NULL")
        await retrained.tick()
        return [(one["trigger"], one["status"]) for one in await retrained.runs()]

    assert await look(None) == await look(0.85) == await look(0.79) == await look(0.5, None) == []
    assert await look(0.75) == [("METRIC", "RUNNING")]
    assert set(windows) == {(timedelta(days=7), "realised")}
    await retrained.trained((await retrained.runs())[0])
    await retrained.version()
    assert len(await look(0.7)) == 1, "as it was"
    assert len(await look(0.81)) == 1, "within again"
    assert (await look(0.7))[0] == ("METRIC", "RUNNING")


async def test_the_metric_is_looked_at_as_the_monitor_does(retrained: Retrained) -> None:
    """Of the log of the world, in which hardly anything is: nothing can be said, and nothing is begun."""
    await retrained.policy(metric="auc", metricThreshold=0.99)
    assert await monitor.look(retrained.database)
    async with retrained.database.read() as session:
        policy = await session.get_one(RetrainPolicy, UUID(retrained.id))
    assert policy.next_look_at is not None
    assert policy.next_look_at > now()
    assert await retrained.runs() == []


async def logged(retrained: Retrained, *outcomes: str | None, **more: Any) -> None:
    """Rows that the deployment was asked, and what came out."""
    ids = {"project_id": UUID(retrained.world.ids["project"]), "model_id": UUID(retrained.world.ids["model"])}
    said = {"deployment_id": UUID(retrained.id), "output": {"prediction": "no"}, "request_id": str(new_id()), **ids, **more}
    async with retrained.database.transaction() as session:
        for number, outcome in enumerate(outcomes):
            inputs = {**ROW, "amount": 1000.5 + number, "Plan": "basic", "odd": 1}
            del inputs["plan"]
            session.add(InferenceLog(**said, row_index=number, inputs=inputs, outcome=outcome))


async def test_outcomes_that_say_how_bad_it_is_begin_one(retrained: Retrained) -> None:
    """Of 600 rows answered with no, half were yes."""
    await retrained.version()
    output = {"prediction": "no", "probabilities": {"no": 0.8, "yes": 0.2}}
    await logged(retrained, *["yes", "no"] * 300, output=output)
    for threshold, wanted in ((0.48, []), (0.9, [("METRIC", "RUNNING")])):
        await retrained.policy(metric="accuracy", metricThreshold=threshold, metricBasis="REALISED")
        await retrained.tick()
        assert [(one["trigger"], one["status"]) for one in await retrained.runs()] == wanted


async def learned_from(retrained: Retrained) -> tuple[DatasetVersion, pl.DataFrame]:
    """The version of the newest retraining, and its table."""
    async with retrained.database.read() as session:
        newest = select(RetrainRun).where(col(RetrainRun.dataset_version_id).is_not(None))
        run = (await session.scalars(newest.order_by(col(RetrainRun.created_at).desc()))).first()
        assert run is not None
        version = await session.get_one(DatasetVersion, run.dataset_version_id)
        artifact = await session.get_one(Artifact, version.artifact_id)
    return version, pl.read_parquet(await retrained.world.services.storage.path(artifact.storage_key))


async def test_outcomes_are_learned_from_each_once(retrained: Retrained) -> None:
    await retrained.policy(schedule="0 3 * * *", includeOutcomes=True)
    assert (await retrained.due())[0]["status"] == "SKIPPED"
    await logged(retrained, "yes", "no", None, "yes", "neither nor")
    await logged(retrained, "yes", arm=Arm.shadow)
    await logged(retrained, "yes", deployment_id=UUID(retrained.world.ids["production"]))
    (run, _) = await retrained.due()
    assert (run["status"], run["newRowCount"], run["outcomeRowCount"]) == ("RUNNING", 3, 3)
    version, table = await learned_from(retrained)
    base = UUID(retrained.world.ids["version"])
    assert (version.source, version.parent_version_id, version.row_count) == (VersionSource.outcomes, base, 123)
    more = table.tail(3)
    assert sorted(more["left"].to_list()) == [False, True, True], "what is no value of the column is left out"
    assert (more["amount"] > 1000).all()
    assert set(more["plan"]) == {"basic"}
    assert more["age"].to_list() == [ROW["age"]] * 3
    assert more["since"].dtype == table["since"].dtype
    await retrained.trained(run)
    assert (await retrained.due())[0]["reason"]["reason"] == "nothing_new"
    await retrained.do("UPDATE inference_logs SET outcome = '\"no\"' WHERE outcome = '\"neither nor\"'")
    await logged(retrained, "no")
    (run, *_) = await retrained.due()
    assert (run["status"], run["newRowCount"], run["outcomeRowCount"]) == ("RUNNING", 1, 5)
    version, table = await learned_from(retrained)
    assert (version.parent_version_id, version.row_count) == (base, 125)
    assert sorted(table.tail(5)["left"].to_list()) == [False] * 3 + [True] * 2
    timeline = "query($id: ID!) { project(id: $id) { timeline(first: 20) { nodes { message } } } }"
    told = await retrained.asker.data(timeline, id=retrained.world.ids["project"])
    said = [one["message"] for one in told["project"]["timeline"]["nodes"]]
    assert any("got version 3 with outcomes: 125 rows" in one for one in said), said


async def test_rows_come_once_though_retention_was_there(retrained: Retrained) -> None:
    await retrained.policy(schedule="0 3 * * *", includeOutcomes=True)
    await logged(retrained, "yes", "no")
    (run,) = await retrained.due()
    await retrained.trained(run)
    await retrained.do("UPDATE retrain_runs SET finished_at = now() - interval '401 days' WHERE finished_at IS NOT NULL")
    await purge(retrained.database, retrained.world.services.settings)
    await logged(retrained, "no")
    await retrained.due()
    assert (await learned_from(retrained))[0].row_count == 123


async def test_an_attempt_that_dies_has_made_its_version_once(retrained: Retrained, monkeypatch: pytest.MonkeyPatch) -> None:
    await retrained.policy(onDrift=True, includeOutcomes=True)
    await logged(retrained, "yes", "no")
    await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id})
    whole = begin._begin

    async def away(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(begin, "_begin", away)
    await retrained.work()
    monkeypatch.setattr(begin, "_begin", whole)
    version, _ = await learned_from(retrained)
    await retrained.do("UPDATE jobs SET status = 'queued', not_before = NULL WHERE type = 'model_retrain'")
    await retrained.work()
    (run,) = await retrained.runs()
    assert (run["status"], run["newRowCount"]) == ("RUNNING", 2)
    again, _ = await learned_from(retrained)
    assert (again.id, again.version) == (version.id, 2)


async def test_outcomes_go_below_a_further_version(retrained: Retrained) -> None:
    await retrained.policy(schedule="0 3 * * *", includeOutcomes=True, minNewRowCount=3)
    await logged(retrained, "yes", "no")
    assert (await retrained.due())[0]["reason"]["reason"] == "too_little_new"
    uploaded = await retrained.version(row_count=121)
    (run, _) = await retrained.due()
    assert (run["status"], run["newRowCount"], run["outcomeRowCount"]) == ("RUNNING", 3, 2)
    assert str((await learned_from(retrained))[0].parent_version_id) == uploaded


async def test_the_challenger_answers_what_was_asked(retrained: Retrained) -> None:
    await retrained.policy(schedule="0 3 * * *", replayWindow="7d")
    await retrained.version()
    (run,) = await retrained.due()
    await retrained.trained(run)
    await retrained.work()
    (ended,) = await retrained.runs()
    assert ended["replay"]["model"] == {"id": ended["model"]["id"]}
    begun, until = (datetime.fromisoformat(ended["replay"][name]) for name in ("since", "until"))
    assert timedelta(days=6, hours=23) < until - begun < timedelta(days=7, hours=1)


async def test_no_replay_in_the_name_of_who_may_not(retrained: Retrained) -> None:
    await retrained.policy("editor", schedule="0 3 * * *", replayWindow="7d")
    await retrained.version()
    (run,) = await retrained.due()
    await retrained.do("UPDATE memberships SET role = 'viewer' WHERE user_id = :who", who=retrained.world.people["editor"].id)
    await retrained.trained(run)
    await retrained.work()
    (ended,) = await retrained.runs()
    assert (ended["status"], ended["replay"]) == ("SUCCEEDED", None)
    timeline = "query($id: ID!) { project(id: $id) { timeline(first: 20) { nodes { type } } } }"
    told = await retrained.asker.data(timeline, id=retrained.world.ids["project"])
    assert "deployment.retraining_not_replayed" in [one["type"] for one in told["project"]["timeline"]["nodes"]]
