"""The part of the gate that asks for a replay: has the newcomer answered what production was asked lately, and well enough?"""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from coreplex.engines.replay.verdict import RequiredVerdict, usual_margin
from coreplex.engines.sequential.sample import LEAST_NUMBERS
from coreplex.errors.tree import Message
from coreplex.experiment.table import ProblemType
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession

# Replays belong to what reads the log, which stands above deployments. Not those of before the deployment served the model it
# has: they compare with another one. Nor those of one side of a split, or at a threshold that will not serve.
LATEST = text(
    """SELECT id, finished_at, served_loss, gain_lower, gain_upper, outcome_count, unit_count, agreement FROM replays
    WHERE deployment_id = :deployment AND model_id = :model AND status = 'succeeded' AND confidence_level >= :least
        AND threshold IS NULL AND arm IS NULL
        AND created_at >= coalesce((SELECT deployed_at FROM deployments WHERE id = :deployment), '-infinity')
    ORDER BY created_at DESC, id DESC LIMIT 1"""
)


LEAST_CONFIDENCE = 0.95
"""Of a replay that is looked at: whoever asks for one must not choose how certain it is to be."""


class Requirement(NamedTuple):
    """What is asked of the latest replay. `margin`: in the unit of the loss; None: the usual one, whatever it was asked with."""

    verdict: RequiredVerdict
    margin: float | None
    max_age_days: int


async def unproven(session: WriteSession, present_id: UUID, model: Model, wanted: Requirement) -> Message | None:
    """Why a model is kept out by what its latest replay of the production deployment's rows came to, or by having none.

    The interval holds at all looks together, so that the gate may have another margin than the replay was asked with."""
    about = {"deployment": present_id, "model": model.id, "least": LEAST_CONFIDENCE}
    found = (await session.execute(LATEST, about)).one_or_none()
    if found is None:
        return Message(
            "gate_without_replay",
            "It takes a replay of what production was asked that says {verdict}, at a confidence of 95 % or more, without a "
            "threshold or a side of its own, and begun since the model in production began to serve; none of this model has "
            "succeeded. Replay it, or say an `override_reason` to do it anyway.",
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
    least = 0.0
    if wanted.verdict is RequiredVerdict.not_worse:
        usual = usual_margin(model.problem_type is ProblemType.classification, found.served_loss)
        least = -usual if wanted.margin is None else -wanted.margin
    return None if found.gain_lower is not None and found.gain_lower > least else _said(found, wanted, least)


def _said(found: Any, wanted: Requirement, least: float) -> Message:
    """`least`: what the lower end of the gain had to lie above."""
    if found.gain_lower is None and found.outcome_count:
        return Message(
            "gate_replay_of_few_units",
            "The latest replay of this model ({id}) cannot say that it is {verdict}: the {outcomes:,} outcomes it knows are of "
            "{units:,} different rows, and of numbers nothing is said below {least}. Replay it when more different rows have "
            "been asked, or say an `override_reason` to do it anyway.",
            id=str(found.id),
            verdict=wanted.verdict,
            outcomes=found.outcome_count,
            units=found.unit_count or 0,
            least=LEAST_NUMBERS,
        )
    if found.gain_lower is None:
        return Message(
            "gate_replay_says_nothing",
            "The latest replay of this model ({id}) knows no outcomes, so nothing says that it is {verdict}: it answers "
            "{agreement:.1%} of the rows alike. Replay it with outcomes, or say an `override_reason` to do it anyway.",
            id=str(found.id),
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
        least=least,
    )
