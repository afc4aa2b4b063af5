"""Takes in what was true in the end, beside what had been answered.

An outcome stands in the row's entry of the inference log, and goes with it. Said again it replaces the former one, so that a
sender may repeat itself; what running canaries and A/B tests know of their outcomes changes in the same transaction. What a test
counts that is no outcome of the model, its worth, stands beside it and never in its place.
"""

import math
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause, or_, select, text
from sqlmodel import col

from coreplex.deployment.rollouts import SPLITTING
from coreplex.deployment.table import Deployment, Loss, Rollout
from coreplex.engines.performance.spelling import spelled
from coreplex.errors.tree import Message
from coreplex.membership.access import open_row
from coreplex.model.table import Model
from coreplex.outcome.absent import is_past_retention, kept_days, why
from coreplex.outcome.counting import Change, Side, apply, count, is_of
from coreplex.outcome.entries import Entry, Place, entries_of
from coreplex.outcome.inputs import Outcome, RecordOutcomes
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings
from coreplex.serving.table import InferenceLog

EARLY = timedelta(minutes=5)
"""How far clocks may differ: what came out later than that has not come out yet."""
LONGEST = 300
FAILED = Message("row_not_answered", "The row was not answered: there is nothing to hold the outcome against.")
TWICE = Message("outcome_twice", "The same row is there before, in this very call.")
NO_NUMBER = Message("outcome_no_number", "This model predicts numbers: the outcome must be one.")
EMPTY = Message("outcome_empty", "An empty text says nothing: leave the row out until its outcome is known.")
TOO_LONG = Message("outcome_too_long", "A class has at most 300 characters.")
NOT_YET = Message("outcome_not_yet", "`at` lies in the future.")
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

Taken = tuple[int, int, int, int, list[tuple[int, Message]]]
"""How many outcomes are new or others than before, how many were there already, of both how many are no class that the model
knows, and how many of rows that went with time; and the places of those that were refused among what was sent, with why."""


async def record(session: WriteSession, grant: Grant, wanted: RecordOutcomes, settings: Settings) -> tuple[Deployment, *Taken]:
    """Take in outcomes; those that cannot be taken are refused one by one, the others go on. Raises NotFound, Forbidden."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    return deployment, *await take_in(session, deployment, wanted.items, settings)


async def take_in(session: WriteSession, deployment: Deployment, items: Sequence[Outcome], settings: Settings) -> Taken:
    """Take in outcomes of rows of a deployment, whoever answered them."""
    rollouts = await _rollouts(session, deployment)
    sides = _sides(rollouts) | {deployment.id}
    entries = await entries_of(session, sides, items, col(InferenceLog.outcome))
    days = await kept_days(session, sides, settings)
    judged = [one for one in rollouts if one.loss is not Loss.outcome]
    known = await _classes(session, sides)
    return await _take_in(session, judged, entries, items, days, _refusal, STORE, known)


async def _classes(session: ReadSession, deployment_ids: Collection[UUID]) -> set[str]:
    """How the classes of the models they serve are spelled; none of numbers."""
    query = select(col(Model.classes)).join(Deployment, col(Deployment.model_id) == col(Model.id))
    found = (await session.scalars(query.where(col(Deployment.id).in_(deployment_ids)))).all()
    return {spelled(label) for classes in found for label in classes}


async def take_in_worth(session: WriteSession, test: Rollout, items: Sequence[Outcome], settings: Settings) -> Taken:
    """Take in what a running test counts of its rows: numbers, or true or false. The model's own outcomes stay as they are."""
    entries = await entries_of(session, _sides([test]), items, col(InferenceLog.worth))
    days = await kept_days(session, _sides([test]), settings)

    def refusal(entry: Entry, item: Outcome) -> Message | None:
        return _refusal_of_worth(test, entry, item)

    return await _take_in(session, [test], entries, items, days, refusal, STORE_WORTH)


async def _take_in(
    session: WriteSession,
    rollouts: Sequence[Rollout],
    entries: dict[Place, Entry],
    items: Sequence[Outcome],
    days: int | None,
    refusal: Callable[[Entry, Outcome], Message | None],
    store: TextClause,
    classes: Collection[str] = (),
) -> Taken:
    rows, changes, seen = [], dict[Side, Change](), set[Place]()
    unchanged, refused = 0, list[tuple[int, Message]]()
    for index, item in enumerate(items):
        place = item.request_id.lower(), item.row_index
        entry = entries.get(place)
        if place in seen:
            refused.append((index, TWICE))
        elif entry is None:
            refused.append((index, why(item.request_id, days)))
        elif (reason := refusal(entry, item)) is not None:
            refused.append((index, reason))
        elif entry.outcome is not None and _same(entry.outcome, item.outcome):
            unchanged += 1
        else:
            rows.append({"id": entry.id, "week": entry.retention_week, "outcome": item.outcome, "at": item.at or now()})
            count(changes, rollouts, entry, item.outcome)
        seen.add(place)
    if rows:
        await session.execute(store, {"outcomes": orjson.dumps(rows, default=str).decode()})
        await apply(session, changes)
    past_retention = sum(is_past_retention(reason) for _, reason in refused)
    return len(rows), unchanged, _unknown(items, refused, classes), past_retention, refused


def _unknown(items: Sequence[Outcome], refused: Sequence[tuple[int, Message]], classes: Collection[str]) -> int:
    """How many of those that were taken are none of the classes."""
    left_out = {index for index, _ in refused}
    taken = (item.outcome for index, item in enumerate(items) if index not in left_out)
    return sum(spelled(outcome) not in classes for outcome in taken) if classes else 0


async def _rollouts(session: WriteSession, deployment: Deployment) -> Sequence[Rollout]:
    """Those in which it took part: rows sent to it were answered by either side, and outcomes may come late."""
    query = select(Rollout).where(
        col(Rollout.kind).in_(SPLITTING),
        or_(col(Rollout.baseline_id) == deployment.id, col(Rollout.candidate_id) == deployment.id),
    )
    return (await session.scalars(query)).all()


def _sides(rollouts: Sequence[Rollout]) -> set[UUID]:
    return {side for one in rollouts for side in (one.baseline_id, one.candidate_id)}


def _refusal_of_worth(test: Rollout, entry: Entry, item: Outcome) -> Message | None:
    if entry.output is None:
        return FAILED
    if not is_of(test, entry):
        return NOT_IN_TEST
    return None if isinstance(item.outcome, int | float) and math.isfinite(item.outcome) else NO_WORTH


def _refusal(entry: Entry, item: Outcome) -> Message | None:
    if entry.output is None:
        return FAILED
    if item.at is not None and item.at > now() + EARLY:
        return NOT_YET
    if entry.is_class:
        said = str(item.outcome)
        return EMPTY if not said.strip() else TOO_LONG if len(said) > LONGEST else None
    number = isinstance(item.outcome, int | float) and not isinstance(item.outcome, bool) and math.isfinite(item.outcome)
    return None if number else NO_NUMBER


def _same(first: Any, second: Any) -> bool:
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)
