"""Which replays open the gate: of the model that serves in production, answered as the candidate will."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from coreplex.deployment.replay_gate import Requirement, unproven
from coreplex.deployment.table import Arm, Deployment
from coreplex.engines.replay.verdict import RequiredVerdict
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.replay.table import Replay
from coreplex.replay.work import take_look
from tests.factories.served import Served, serve

SERVES_SINCE = now() - timedelta(hours=2)
WANTED = Requirement(RequiredVerdict.better, None, 7)


async def replayed(database: Database, served: Served, hours: int, **more: Any) -> Replay:
    """A replay of so many hours ago that found the candidate better."""
    moment = now() - timedelta(hours=hours)
    ids: dict[str, Any] = {"project_id": uuid4(), "deployment_id": served.deployment_id, "model_id": served.model_id}
    told = {"status": JobStatus.succeeded, "finished_at": moment, "gain": 0.2, "gain_lower": 0.1, "gain_upper": 0.3, "look": 1}
    asked = {"model_name": "m", "since": SERVES_SINCE, "max_row_count": 100, "created_at": moment}
    replay = Replay(**{**ids, **told, **asked, **more})
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        session.add(replay)
        (await session.get_one(Deployment, served.deployment_id)).deployed_at = SERVES_SINCE
    return replay


@pytest.mark.parametrize(
    ("hours", "more", "opens"),
    [(1, {}, True), (3, {}, False), (1, {"threshold": 0.3}, False), (1, {"arm": Arm.baseline}, False)],
)
async def test_what_opens_the_gate(database: Database, hours: int, more: dict[str, Any], opens: bool) -> None:
    served = await serve(database)
    await replayed(database, served, hours, **more)
    async with database.transaction() as session:
        found = await unproven(session, served.deployment_id, await session.get_one(Model, served.model_id), WANTED)
    assert (None if found is None else found.reason) == (None if opens else "gate_without_replay")


async def test_too_few_rows_are_said_by_their_number_and_not_by_that_of_outcomes(database: Database) -> None:
    served = await serve(database)
    nothing = {"gain": None, "gain_lower": None, "gain_upper": None}
    await replayed(database, served, 1, outcome_count=5676, unit_count=398, **nothing)
    async with database.transaction() as session:
        found = await unproven(session, served.deployment_id, await session.get_one(Model, served.model_id), WANTED)
    assert found is not None
    assert "the 5,676 outcomes it knows are of 398 different rows, and of numbers nothing is said below 500" in found


@pytest.mark.parametrize(("hours", "look"), [(1, 1), (3, 2)])
async def test_rows_of_another_model_are_another_look(database: Database, hours: int, look: int) -> None:
    served = await serve(database)
    before = await replayed(database, served, hours)
    again = await replayed(database, served, 0, look=None, since=before.since)
    async with database.transaction() as session:
        assert await take_look(session, again, is_sampled=False) == look
