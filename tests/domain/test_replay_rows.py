"""The rows of the log that a replay is of: those that were answered, in the order of the log, and of many a uniform sample."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import text

from coreplex.deployment.table import Arm
from coreplex.engines.replay.pairs import read
from coreplex.errors.tree import Invalid
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.replay import logged_rows
from coreplex.replay.table import Replay
from tests.factories.served import serve

ROWS = 4_000


async def logged(database: Database, rows: int = ROWS) -> Replay:
    """A replay of answers of the last 40 minutes: each 4th with an outcome, each 10th of a shadow, each 20th of a candidate, each
    40th without an answer; each third asks the same."""
    served = await serve(database)
    await served.run(
        f"""
        INSERT INTO inference_logs (id, project_id, deployment_id, model_id, request_id, row_index, inputs, output, error,
            outcome, latency_ms, arm, created_at, retention_week)
        SELECT gen_random_uuid(), gen_random_uuid(), '{served.deployment_id}', '{served.model_id}', 'r' || i, i % 7,
            jsonb_build_object('x', CASE WHEN i % 3 = 0 THEN 0 ELSE i END),
            CASE WHEN i % 40 <> 3 THEN jsonb_build_object('prediction', i) END,
            CASE WHEN i % 40 = 3 THEN '{{"reason": "broke", "message": "It broke", "parameters": {{}}}}'::jsonb END,
            CASE WHEN i % 4 = 2 THEN to_jsonb(i) END, 1.0,
            CASE WHEN i % 10 = 0 THEN 'shadow' WHEN i % 20 = 1 THEN 'candidate' END,
            now() - i * interval '0.6 seconds' * {ROWS} / {rows}, 0
        FROM generate_series(1, {rows}) i
        """
    )
    moment = now()
    span = {"since": moment - timedelta(hours=1), "until": moment + timedelta(minutes=1)}
    ids: dict[str, Any] = {"project_id": uuid4(), "deployment_id": served.deployment_id, "model_id": served.model_id}
    return Replay(**ids, **span, model_name="m", max_row_count=200_000)


def wanted(i: int) -> bool:
    return bool(i % 10 and i % 40 != 3)


async def test_rows_that_were_answered_come_in_order(database: Database, tmp_path: Path) -> None:
    replay, path = await logged(database), tmp_path / "rows"
    expected = [i for i in range(ROWS, 0, -1) if wanted(i)]
    early = now() - timedelta(minutes=20)
    assert await logged_rows.count(database, replay) == len(expected)
    assert await logged_rows.write(database, replay, [], path, early) == len(expected)
    rows = list(read(path))
    assert [row.prediction for row in rows] == expected
    assert [(row.request_id, row.row_index, row.outcome) for row in rows] == [
        (f"r{i}", i % 7, i if i % 4 == 2 else None) for i in expected
    ]
    assert len({row.unit for row in rows}) == sum(i % 3 > 0 for i in expected) + 1, "what was asked alike is alike"
    marked = [row.prediction for row in rows if row.is_early]
    assert marked == expected[: len(marked)]
    assert abs(len(marked) / len(rows) - 0.5) < 0.05
    replay.arm = Arm.candidate
    theirs = [i for i in expected if i % 20 == 1]
    assert await logged_rows.count(database, replay) == len(theirs)
    await logged_rows.write(database, replay, [], path, early)
    assert [row.prediction for row in read(path)] == theirs


async def test_rows_of_a_model_that_serves_no_more_are_left_out(database: Database, tmp_path: Path) -> None:
    """Who is better than the model of before need not be better than the one that took its place."""
    replay, path = await logged(database, 400), tmp_path / "rows"
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        other = text("UPDATE deployments SET model_id = gen_random_uuid() WHERE id = :id RETURNING model_id")
        model = await session.scalar(other, {"id": replay.deployment_id})
        now_its = text("UPDATE inference_logs SET model_id = :model WHERE output->'prediction' < '100'")
        await session.execute(now_its, {"model": model})
    expected = [i for i in range(99, 0, -1) if wanted(i)]
    assert await logged_rows.count(database, replay) == len(expected)
    assert await logged_rows.write(database, replay, [], path, now()) == len(expected)
    assert [row.prediction for row in read(path)] == expected


async def test_of_many_rows_some_are_taken_the_same_ones_again(database: Database, tmp_path: Path) -> None:
    replay, early = await logged(database), now()
    there = await logged_rows.count(database, replay)
    replay.max_row_count = 1_000
    chosen = logged_rows.sampled(there, replay.max_row_count)
    found: list[list[int]] = []
    for name in ("first", "second"):
        path = tmp_path / name
        assert 700 < await logged_rows.write(database, replay, chosen, path, early) <= 1_000
        found.append([row.prediction for row in read(path)])
    assert found[0] == found[1]
    assert abs(sum(found[0]) / len(found[0]) / (ROWS / 2) - 1) < 0.12, "from all of the time"
    assert logged_rows.sampled(there, there) == []


async def test_a_file_that_grows_too_large_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = await logged(database)
    monkeypatch.setattr(logged_rows, "MOST_BYTES", 10_000)
    with pytest.raises(Invalid, match="ask for fewer"):
        await logged_rows.write(database, replay, [], tmp_path / "rows", now())
    lines = (tmp_path / "rows").read_bytes().splitlines()
    assert len(lines) <= 1_000
    assert all(orjson.loads(line) for line in lines)
