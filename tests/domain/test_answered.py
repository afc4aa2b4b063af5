"""What is drawn from the inference log: uniformly, the same rows again, of one model and one arm, and counted exactly."""

from datetime import timedelta

import orjson
import pytest

from coreplex.deployment.table import Arm, Deployment
from coreplex.monitoring import answered
from coreplex.monitoring.period import Period
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from tests.factories.served import serve

ROWS = 4_000


async def asked_of(database: Database, arm: Arm | None = None) -> answered.Asked:
    """4,000 answers of the last 40 minutes: each 4th with an outcome, each 10th of a shadow, each 20th of another model, and each
    40th without an answer."""
    served = await serve(database)
    await served.run(
        f"""
        INSERT INTO inference_logs (id, project_id, deployment_id, model_id, request_id, row_index, inputs, output, outcome,
            latency_ms, arm, created_at, retention_week)
        SELECT gen_random_uuid(), gen_random_uuid(), '{served.deployment_id}',
            CASE WHEN i % 20 = 1 THEN gen_random_uuid() ELSE '{served.model_id}' END, 'r' || i, 0, jsonb_build_object('x', i),
            CASE WHEN i % 40 <> 3 THEN jsonb_build_object('prediction', i) END, CASE WHEN i % 4 = 2 THEN to_jsonb(i) END, 1.0,
            CASE WHEN i % 10 = 0 THEN 'shadow' END, now() - i * interval '0.6 seconds', 0
        FROM generate_series(1, {ROWS}) i
        """
    )
    async with database.read() as session:
        deployment = await session.get_one(Deployment, served.deployment_id)
    moment = now()
    return answered.Asked(
        deployment, Period(moment - timedelta(hours=1), moment + timedelta(minutes=1)), timedelta(minutes=1), arm
    )


async def test_what_is_counted_is_what_the_log_has(database: Database) -> None:
    asked = await asked_of(database)
    async with database.read() as session:
        counts, outcomes = await answered.counts(session, asked, None), await answered.outcomes(session, asked)
        everything = await answered.sampled(session, asked, ROWS, ROWS, inputs=True)
        known = await answered.judged(session, asked, ROWS, ROWS, inputs=False)
    wanted = {i for i in range(1, ROWS + 1) if i % 20 != 1 and i % 40 != 3 and i % 10}
    assert sum(counts.values()) == len(everything) == len(wanted)
    assert {orjson.loads(one or "")["x"] for one in everything.inputs} == wanted
    assert sum(outcomes.values()) == len(known) == sum(i % 4 == 2 for i in wanted)
    assert set(known.inputs) == {None}
    assert 38 <= len(counts) <= 42
    for bucket, count in counts.items():
        assert (everything.buckets == bucket).sum() == count
        assert (known.buckets == bucket).sum() == outcomes[bucket]


@pytest.mark.parametrize("most", [0, 400])
async def test_of_many_rows_some_are_drawn_the_same_again(database: Database, most: int) -> None:
    asked = await asked_of(database)
    async with database.read() as session:
        rows = sum((await answered.counts(session, asked, None)).values())
        first, again = [await answered.sampled(session, asked, rows, most, inputs=True) for _ in range(2)]
    assert first.inputs == again.inputs
    assert 0.85 * most <= len(first) <= most
    if most:
        middle = sum(orjson.loads(one or "")["x"] for one in first.inputs) / len(first)
        assert abs(middle - ROWS / 2) < 4.5 * ROWS / (12 * len(first)) ** 0.5


async def test_of_one_arm(database: Database) -> None:
    asked = await asked_of(database, Arm.shadow)
    async with database.read() as session:
        assert sum((await answered.counts(session, asked, None)).values()) == ROWS // 10
        assert len(await answered.sampled(session, asked, ROWS, ROWS, inputs=False)) == ROWS // 10


async def test_of_wide_rows_fewer_are_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are below the bound, the first by their hash; what is read without inputs has none."""
    asked = await asked_of(database)
    async with database.read() as session:
        whole = await answered.sampled(session, asked, ROWS, 400, inputs=True)
        monkeypatch.setattr(answered, "MOST_BYTES", 2_000)
        some = await answered.sampled(session, asked, ROWS, 400, inputs=True)
        bare = await answered.sampled(session, asked, ROWS, 400, inputs=False)
    assert 20 < len(some) < 200
    assert list(some.inputs) == list(whole.inputs)[: len(some)]
    assert len(bare) == len(whole)


async def test_where_more_was_counted_than_the_log_has_all_of_it_is_read(database: Database) -> None:
    asked = await asked_of(database)
    async with database.read() as session:
        found = await answered.sampled(session, asked, 1_000 * ROWS, 400, inputs=False)
    assert len(found) == 400
