"""What outcomes change in the sums of the rollouts that split their rows: canaries, and A/B tests with their units."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text, update
from sqlmodel import col

from coreplex.deployment.table import Arm, Loss, Rollout, RolloutKind, RolloutStatus
from coreplex.engines.performance.spelling import spelled
from coreplex.outcome.entries import Entry
from coreplex.platform.database import WriteSession

UNITS = text(
    """
    WITH grown AS (
        UPDATE rollout_units u SET outcomes = u.outcomes + s.outcomes, loss = u.loss + s.loss
        FROM jsonb_to_recordset(CAST(:units AS jsonb)) AS s(unit int8, arm text, outcomes int, loss numeric)
        WHERE u.rollout_id = :rollout AND u.unit = s.unit
        RETURNING s.arm, u.outcomes AS n, u.loss AS s, u.outcomes - s.outcomes AS n_before, u.loss - s.loss AS s_before
    ), by_arm AS (
        SELECT arm, count(*) FILTER (WHERE n > 0 AND n_before = 0) AS judged,
            sum(n::numeric * n - n_before::numeric * n_before) AS n_n, sum(n * s - n_before * s_before) AS n_s,
            sum(s * s - s_before * s_before) AS s_s
        FROM grown GROUP BY arm
    )
    UPDATE rollouts o SET
        baseline_judged_units = o.baseline_judged_units + coalesce(a.judged, 0),
        baseline_unit_outcome_squares = o.baseline_unit_outcome_squares + coalesce(a.n_n, 0),
        baseline_unit_products = o.baseline_unit_products + coalesce(a.n_s, 0),
        baseline_unit_loss_squares = o.baseline_unit_loss_squares + coalesce(a.s_s, 0),
        candidate_judged_units = o.candidate_judged_units + coalesce(b.judged, 0),
        candidate_unit_outcome_squares = o.candidate_unit_outcome_squares + coalesce(b.n_n, 0),
        candidate_unit_products = o.candidate_unit_products + coalesce(b.n_s, 0),
        candidate_unit_loss_squares = o.candidate_unit_loss_squares + coalesce(b.s_s, 0)
    FROM (SELECT 1) AS one LEFT JOIN by_arm a ON a.arm = 'baseline' LEFT JOIN by_arm b ON b.arm = 'candidate'
    WHERE o.id = :rollout AND o.status = 'running'
    """
)


EXACT = Context(prec=10_000)
"""Digits enough for squares of numbers from 5e-324 to 1e308: nothing is rounded, so what is taken back leaves nothing behind."""


@dataclass
class Change:
    """What becomes of the sums of one side of a rollout."""

    outcomes: int = 0
    loss: Decimal = Decimal()
    loss_squares: Decimal = Decimal()

    def add(self, loss: float, sign: int) -> None:
        exact = Decimal(repr(loss))
        self.plus(Change(sign, sign * exact, EXACT.multiply(sign * exact, exact)))

    def plus(self, other: "Change") -> None:
        self.outcomes += other.outcomes
        self.loss = EXACT.add(self.loss, other.loss)
        self.loss_squares = EXACT.add(self.loss_squares, other.loss_squares)


SUMS = tuple(field.name for field in fields(Change))
Side = tuple[UUID, Arm, int | None]
"""One side of a rollout; of an A/B test a unit of it."""


def loss(entry: Entry, outcome: Any) -> float:
    """What an outcome costs the answer of an entry: 0 or 1 of a class, the absolute error of a number."""
    answer = entry.output["prediction"]
    return float(spelled(answer) != spelled(outcome)) if entry.is_class else abs(float(answer) - float(outcome))


def is_of(rollout: Rollout, entry: Entry) -> bool:
    """Whether a running rollout split the row."""
    side = {Arm.baseline: rollout.baseline_id, Arm.candidate: rollout.candidate_id}.get(entry.arm) if entry.arm else None
    running = rollout.status is RolloutStatus.running and rollout.created_at <= entry.created_at
    return running and side == entry.deployment_id


def count(changes: dict[Side, Change], rollouts: Sequence[Rollout], entry: Entry, outcome: Any) -> None:
    """Add the outcome of a row that a running rollout split, in the place of the former one."""
    for one in rollouts:
        if entry.arm is None or not is_of(one, entry):
            continue
        value = (lambda _, said: float(said)) if one.loss is Loss.outcome else loss
        # A row that fell to the candidate of a test stays its row: the hardest would go to the other side, else.
        arm = Arm.candidate if entry.fell_back and one.kind is RolloutKind.ab_test else entry.arm
        change = changes.setdefault((one.id, arm, entry.unit if one.kind is RolloutKind.ab_test else None), Change())
        if entry.outcome is not None:
            change.add(value(entry, entry.outcome), -1)
        change.add(value(entry, outcome), 1)


async def apply(session: WriteSession, changes: dict[Side, Change]) -> None:
    """Change the sums of each rollout, which is held from then on, and those of its units."""
    for rollout in sorted({rollout for rollout, *_ in changes}):
        own = [(arm, unit, change) for (of, arm, unit), change in changes.items() if of == rollout]
        sides = defaultdict[Arm, Change](Change)
        for arm, _, change in own:
            sides[arm].plus(change)
        grown = {
            f"{arm}_{name}": getattr(Rollout, f"{arm}_{name}") + getattr(change, name)
            for arm, change in sides.items()
            for name in SUMS
        }
        # One that has ended meanwhile is judged: it stays as it was then.
        going_on = (col(Rollout.id) == rollout, col(Rollout.status) == RolloutStatus.running)
        changed = update(Rollout).where(*going_on).values(grown)
        await session.execute(changed, execution_options={"synchronize_session": False})  # what it read are floats
        units = [
            {"unit": unit, "arm": arm, "outcomes": change.outcomes, "loss": str(change.loss)}
            for arm, unit, change in own
            if unit is not None
        ]
        if units:
            await session.execute(UNITS, {"rollout": rollout, "units": orjson.dumps(units).decode()})
