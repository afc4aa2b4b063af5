"""The part of the gate that asks for a replay: has the newcomer answered what production was asked lately, and well enough?"""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from coreplex.engines.replay.verdict import RequiredVerdict
from coreplex.errors.tree import Message
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession

# Replays belong to what reads the log, which stands above deployments.
LATEST = text(
    "SELECT id, finished_at, margin, gain, gain_lower, gain_upper, outcome_count, agreement FROM replays "
    "WHERE deployment_id = :deployment AND model_id = :model AND status = 'succeeded' ORDER BY created_at DESC, id DESC LIMIT 1"
)


class Requirement(NamedTuple):
    """What is asked of the latest replay. `margin`: in the unit of the loss; None: as the replay was asked with."""

    verdict: RequiredVerdict
    margin: float | None
    max_age_days: int


async def unproven(session: WriteSession, present_id: UUID, model: Model, wanted: Requirement) -> Message | None:
    """Why a model is kept out by what its latest replay of the production deployment's rows came to, or by having none.

    The interval holds at all looks together, so that the gate may have another margin than the replay had."""
    found = (await session.execute(LATEST, {"deployment": present_id, "model": model.id})).one_or_none()
    if found is None:
        return Message(
            "gate_without_replay",
            "It takes a replay of what production was asked that says {verdict}, and none of this model has succeeded. Replay "
            "it, or say an `override_reason` to do it anyway.",
            verdict=wanted.verdict,
        )
    if now() - found.finished_at > timedelta(days=wanted.max_age_days):
        return Message(
            "gate_replay_too_old",
            "The latest replay of this model ended on {moment}, more than {days} days ago. Replay it again, or say an "
            "`override_reason` to do it anyway.",
            moment=f"{found.finished_at:%Y-%m-%d}",
            days=wanted.max_age_days,
        )
    return None if _is_proof(found, wanted) else _said(found, wanted)


def _least(found: Any, wanted: Requirement) -> float:
    """What the lower end of the gain must lie above."""
    if wanted.verdict is RequiredVerdict.better:
        return 0.0
    return -float(found.margin or 0.0) if wanted.margin is None else -wanted.margin


def _is_proof(found: Any, wanted: Requirement) -> bool:
    return found.gain_lower is not None and found.gain_lower > _least(found, wanted)


def _said(found: Any, wanted: Requirement) -> Message:
    if found.gain_lower is None:
        return Message(
            "gate_replay_says_nothing",
            "The latest replay of this model ({id}) knows {outcomes:,} outcomes, too few to say that it is {verdict}: it answers "
            "{agreement:.1%} of the rows alike. Replay it with more outcomes, or say an `override_reason` to do it anyway.",
            id=str(found.id),
            outcomes=found.outcome_count or 0,
            verdict=wanted.verdict,
            agreement=found.agreement or 0.0,
        )
    return Message(
        "gate_replay_no_proof",
        "The latest replay of this model ({id}) does not say that it is {verdict}: over {outcomes:,} outcomes its gain lies "
        "between {lower:.4g} and {upper:.4g}, and had to lie above {least:.4g}. Replay it with more outcomes, or say an "
        "`override_reason` to do it anyway.",
        id=str(found.id),
        verdict=wanted.verdict,
        outcomes=found.outcome_count or 0,
        lower=found.gain_lower,
        upper=found.gain_upper,
        least=_least(found, wanted),
    )
