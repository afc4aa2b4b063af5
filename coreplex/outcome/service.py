"""Takes in what was true in the end, beside what had been answered.

An outcome stands in the row's entry of the inference log, and goes with it. Said again it replaces the former one, so that a
sender may repeat itself; what running canaries and A/B tests know of their outcomes changes in the same transaction. What a test
counts that is no outcome of the model, its worth, stands beside it and never in its place.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import TextClause, func, or_, select, text, update
from sqlmodel import col

from coreplex.deployment.rollouts import SPLITTING
from coreplex.deployment.table import Arm, Deployment, Loss, Rollout, RolloutKind, RolloutStatus
from coreplex.errors.tree import Message
from coreplex.membership.access import open_row
from coreplex.outcome.inputs import Outcome, RecordOutcomes
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import Grant
from coreplex.serving.table import InferenceLog

EARLY = timedelta(minutes=5)
"""How far clocks may differ: what came out later than that has not come out yet."""
LONGEST = 300
UNKNOWN = Message(
    "no_such_entry",
    "There is no such row in the log of this deployment: the ids are others, retention was quicker, or it was answered a "
    "moment ago.",
)
FAILED = Message("row_not_answered", "The row was not answered: there is nothing to hold the outcome against.")
TWICE = Message("outcome_twice", "The same row is there before, in this very call.")
NO_NUMBER = Message("outcome_no_number", "This model predicts numbers: the outcome must be one.")
TOO_LONG = Message("outcome_too_long", "A class has at most 300 characters.")
NOT_YET = Message("outcome_not_yet", "It lies in the future.")
NOT_IN_TEST = Message("not_in_test", "This row was not answered in the test.")
NO_WORTH = Message("worth_no_number", "The test counts a number, or true or false.")
STORE = text(
    """
    UPDATE inference_logs l SET outcome = r.outcome, outcome_at = r.at
    FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS r(id uuid, week int, outcome jsonb, at timestamptz)
    WHERE l.id = r.id AND l.retention_week = r.week
    """
)
STORE_WORTH = text(
    """
    UPDATE inference_logs l SET worth = r.outcome
    FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS r(id uuid, week int, outcome jsonb)
    WHERE l.id = r.id AND l.retention_week = r.week
    """
)
Place = tuple[str, int]
"""A row: the id of its request, and where it is in it."""


Taken = tuple[int, int, list[tuple[int, Message]]]
"""How many outcomes are new or others than before, and how many were there already; and the places of those that were refused
among what was sent, with why."""


class Entry(NamedTuple):
    """What outcomes need of a row of the log."""

    request_id: str
    row_index: int
    id: UUID
    retention_week: int
    created_at: datetime
    deployment_id: UUID
    arm: Arm | None
    output: Any
    outcome: Any
    """What was said before: of the model, or of a test."""
    fell_back: bool = False
    """The baseline has answered in the place of a candidate that failed."""


@dataclass
class _Change:
    """What becomes of the sums of one side of a rollout."""

    outcomes: int = 0
    loss: float = 0.0
    loss_squares: float = 0.0

    def add(self, loss: float, sign: int) -> None:
        self.outcomes += sign
        self.loss += sign * loss
        self.loss_squares += sign * loss * loss


async def record(session: WriteSession, grant: Grant, wanted: RecordOutcomes) -> tuple[Deployment, *Taken]:
    """Take in outcomes; those that cannot be taken are refused one by one, the others go on. Raises NotFound, Forbidden."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    return deployment, *await take_in(session, deployment, wanted.items)


async def take_in(session: WriteSession, deployment: Deployment, items: Sequence[Outcome]) -> Taken:
    """Take in outcomes of rows of a deployment, whoever answered them."""
    rollouts = await _rollouts(session, deployment)
    entries = await _entries(session, _sides(rollouts) | {deployment.id}, items, col(InferenceLog.outcome))
    judged = [one for one in rollouts if one.loss is not Loss.outcome]
    return await _take_in(session, judged, entries, items, _refusal, STORE)


async def take_in_worth(session: WriteSession, test: Rollout, items: Sequence[Outcome]) -> Taken:
    """Take in what a running test counts of its rows: numbers, or true or false. The model's own outcomes stay as they are."""
    entries = await _entries(session, _sides([test]), items, col(InferenceLog.worth))

    def refusal(entry: Entry | None, item: Outcome) -> Message | None:
        return _refusal_of_worth(test, entry, item)

    return await _take_in(session, [test], entries, items, refusal, STORE_WORTH)


async def _take_in(
    session: WriteSession,
    rollouts: Sequence[Rollout],
    entries: dict[Place, Entry],
    items: Sequence[Outcome],
    refusal: Callable[[Entry | None, Outcome], Message | None],
    store: TextClause,
) -> Taken:
    rows, changes, seen = [], dict[tuple[UUID, Arm], _Change](), set[Place]()
    unchanged, refused = 0, list[tuple[int, Message]]()
    for index, item in enumerate(items):
        place = item.request_id.lower(), item.row_index
        entry = entries.get(place)
        reason = TWICE if place in seen else refusal(entry, item)
        seen.add(place)
        if reason is not None or entry is None:
            refused.append((index, reason or UNKNOWN))
        elif entry.outcome is not None and _same(entry.outcome, item.outcome):
            unchanged += 1
        else:
            rows.append({"id": entry.id, "week": entry.retention_week, "outcome": item.outcome, "at": item.at or now()})
            _count(changes, rollouts, entry, item.outcome)
    if rows:
        await session.execute(store, {"outcomes": orjson.dumps(rows, default=str).decode()})
        await _apply(session, changes)
    return len(rows), unchanged, refused


async def _rollouts(session: WriteSession, deployment: Deployment) -> Sequence[Rollout]:
    """Those in which it took part: rows sent to it were answered by either side, and outcomes may come late."""
    query = select(Rollout).where(
        col(Rollout.kind).in_(SPLITTING),
        or_(col(Rollout.baseline_id) == deployment.id, col(Rollout.candidate_id) == deployment.id),
    )
    return (await session.scalars(query)).all()


def _sides(rollouts: Sequence[Rollout]) -> set[UUID]:
    return {side for one in rollouts for side in (one.baseline_id, one.candidate_id)}


async def _entries(session: WriteSession, sides: Collection[UUID], items: Sequence[Outcome], outcome: Any) -> dict[Place, Entry]:
    """The rows of the log, held until the end of the transaction, always in the same order; `outcome`: its column."""
    own = [getattr(InferenceLog, name) for name in Entry._fields[:-2]]
    query = select(*own, outcome).where(
        col(InferenceLog.deployment_id).in_(sides),
        func.lower(col(InferenceLog.request_id)).in_({item.request_id.lower() for item in items}),
        col(InferenceLog.arm).is_distinct_from(Arm.shadow),
    )
    found = await session.execute(query.order_by(col(InferenceLog.id)).with_for_update())
    # Of a row in which the candidate failed there are two entries: the one with an answer is the one that was given.
    entries = sorted(map(Entry._make, ([*row, False] for row in found)), key=lambda entry: entry.output is not None)
    places: dict[Place, Entry] = {}
    for entry in entries:
        place = entry.request_id.lower(), entry.row_index
        failed = places.get(place)
        fell_back = failed is not None and failed.output is None and (failed.arm, entry.arm) == (Arm.candidate, Arm.baseline)
        places[place] = entry._replace(fell_back=fell_back)
    return places


def _refusal_of_worth(test: Rollout, entry: Entry | None, item: Outcome) -> Message | None:
    if entry is None:
        return UNKNOWN
    if entry.output is None:
        return FAILED
    if not _is_of(test, entry):
        return NOT_IN_TEST
    return None if isinstance(item.outcome, int | float) and math.isfinite(item.outcome) else NO_WORTH


def _refusal(entry: Entry | None, item: Outcome) -> Message | None:
    if entry is None:
        return UNKNOWN
    if entry.output is None:
        return FAILED
    if item.at is not None and item.at > now() + EARLY:
        return NOT_YET
    if _is_class(entry):
        return TOO_LONG if len(str(item.outcome)) > LONGEST else None
    number = isinstance(item.outcome, int | float) and not isinstance(item.outcome, bool) and math.isfinite(item.outcome)
    return None if number else NO_NUMBER


def _is_class(entry: Entry) -> bool:
    return "probabilities" in entry.output


def _same(first: Any, second: Any) -> bool:
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def _spelled(label: Any) -> str:
    """A class as one and the same text, however its sender's JSON has it: true is the `True` of a file, too."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    said = str(label)
    return said.lower() if said.lower() in {"true", "false"} else said


def loss(entry: Entry, outcome: Any) -> float:
    """What an outcome costs the answer of an entry: 0 or 1 of a class, the absolute error of a number."""
    answer = entry.output["prediction"]
    return float(_spelled(answer) != _spelled(outcome)) if _is_class(entry) else abs(float(answer) - float(outcome))


def _is_of(rollout: Rollout, entry: Entry) -> bool:
    """Whether a running rollout split the row."""
    side = {Arm.baseline: rollout.baseline_id, Arm.candidate: rollout.candidate_id}.get(entry.arm) if entry.arm else None
    running = rollout.status is RolloutStatus.running and rollout.created_at <= entry.created_at
    return running and side == entry.deployment_id


def _count(changes: dict[tuple[UUID, Arm], _Change], rollouts: Sequence[Rollout], entry: Entry, outcome: Any) -> None:
    """Add the outcome of a row that a running rollout split, in the place of the former one."""
    for one in rollouts:
        if entry.arm is None or not _is_of(one, entry):
            continue
        value = (lambda _, said: float(said)) if one.loss is Loss.outcome else loss
        # A row that fell to the candidate of a test stays its row: the hardest would go to the other side, else.
        arm = Arm.candidate if entry.fell_back and one.kind is RolloutKind.ab_test else entry.arm
        change = changes.setdefault((one.id, arm), _Change())
        if entry.outcome is not None:
            change.add(value(entry, entry.outcome), -1)
        change.add(value(entry, outcome), 1)


async def _apply(session: WriteSession, changes: dict[tuple[UUID, Arm], _Change]) -> None:
    for (rollout, arm), change in sorted(changes.items()):
        names = {f"{arm}_{name}": by for name, by in vars(change).items()}
        grown = {name: getattr(Rollout, name) + by for name, by in names.items()}
        # One that has ended meanwhile is judged: it stays as it was then.
        going_on = (col(Rollout.id) == rollout, col(Rollout.status) == RolloutStatus.running)
        await session.execute(update(Rollout).where(*going_on).values(grown))
