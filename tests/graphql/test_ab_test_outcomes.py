"""The sums of a running A/B test are those of its rows, whatever was said before and taken back, and by how many at once."""

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from coreplex.deployment.table import Rollout
from tests.factories.asking import Asker
from tests.graphql.test_ab_test import PREDICT, RECORD, ROWS, judged, started

MISTAKES = (1.79e18, 1e100, -1.79e12, 5e-324, 0.1)
RECOUNT = text(
    """
    WITH rows AS (
        SELECT arm, unit, (CASE worth WHEN 'true' THEN '1' ELSE worth #>> '{}' END)::numeric AS x FROM inference_logs
        WHERE worth IS NOT NULL
    ), units AS (
        SELECT arm, unit, count(*) AS n, sum(x) AS s, sum(x * x) AS q FROM rows GROUP BY arm, unit
    )
    SELECT arm, sum(n), sum(s), sum(q), count(*), sum(n * n), sum(n * s), sum(s * s) FROM units GROUP BY arm
    """
)
SUMS = ("outcomes", "loss", "loss_squares", "judged_units", "unit_outcome_squares", "unit_products", "unit_loss_squares")


async def asked(asker: Asker, method: str = "frequentist") -> tuple[UUID, list[dict[str, Any]]]:
    """A running test of any outcome, and the places of rows that it split: of 90 keys, and of rows without one."""
    rollout = UUID(await started(asker))
    async with asker.world.database.transaction() as session:
        await session.execute(
            text("UPDATE ab_tests SET metric = 'outcome', min_samples = 50, method = :method"), {"method": method}
        )
        await session.execute(text("UPDATE rollouts SET loss = 'outcome'"))
    items = []
    for number in range(4):
        keys = {"keys": [f"customer {(number * len(ROWS) + place) % 90}" for place in range(len(ROWS))]}
        wanted = {"abTestId": asker.world.ids["ab_test"], "inputs": ROWS, **({"options": keys} if number else {})}
        said = (await asker.data(PREDICT, input=wanted))["predictAbTest"]
        items += [{"requestId": said["requestId"], "rowIndex": place} for place in range(len(ROWS))]
    await asker.world.settled()
    return rollout, items


async def say(asker: Asker, items: list[dict[str, Any]]) -> None:
    done = await asker.data(RECORD, "editor", input={"abTestId": asker.world.ids["ab_test"], "items": items})
    assert done["recordAbTestOutcomes"]["refused"] == []


async def kept_and_recounted(asker: Asker, rollout: UUID) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    async with asker.world.database.read() as session:
        row = await session.get_one(Rollout, rollout)
        found = (await session.execute(RECOUNT)).all()
    kept = {arm: [getattr(row, f"{arm}_{name}") for name in SUMS] for arm in ("baseline", "candidate")}
    return kept, {arm: list(map(float, numbers)) for arm, *numbers in found}


@pytest.mark.parametrize("seed", range(2))
async def test_the_sums_are_those_of_a_recount_whatever_was_corrected(asker: Asker, seed: int) -> None:
    rollout, items = await asked(asker)
    draw = random.Random(seed)

    async def one_sender() -> None:
        for _ in range(6):
            some = draw.sample(items, 40)
            said = [draw.choice((0, 1, True, round(draw.gauss(3, 50), 2), draw.choice(MISTAKES))) for _ in some]
            await say(asker, [{**item, "outcome": outcome} for item, outcome in zip(some, said, strict=True)])

    await asyncio.gather(*(one_sender() for _ in range(3)))
    for _ in range(2):
        kept, recounted = await kept_and_recounted(asker, rollout)
        assert kept == recounted, "to the last digit"
        await say(asker, [{**item, "outcome": draw.choice((0, 1, 0.1, 7.25))} for item in items])


@pytest.mark.parametrize(("mistake", "method"), [(1.79e18, "frequentist"), (1e100, "frequentist"), (1.79e12, "bayesian")])
async def test_a_mistake_that_is_corrected_makes_no_winner(asker: Asker, mistake: float, method: str) -> None:
    rollout, items = await asked(asker, method)
    draw = random.Random(4)
    right = [{**item, "outcome": int(draw.random() < 0.5)} for item in items]
    await say(asker, right)
    before, _ = await kept_and_recounted(asker, rollout)
    await say(asker, [{**right[0], "outcome": mistake}])
    await say(asker, [right[0]])
    assert (await kept_and_recounted(asker, rollout))[0] == before
    assert (await judged(asker))["status"] == "RUNNING"
