"""What training saw: kept when an experiment begins and when a model is finished, read by whatever counts or compares."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.engines.drift.layout import Feature, Layout
from coreplex.model.table import Model
from coreplex.monitoring.table import AnswerBaseline, EstimationBaseline, FeatureBaseline
from coreplex.platform.database import ReadSession, WriteSession

Documents = Sequence[Mapping[str, Any]]


async def keep_features(session: WriteSession, experiment_id: UUID, features: Documents) -> None:
    """Of an experiment; what is there already stays, for models are counted by it."""
    made = insert(FeatureBaseline).values(experiment_id=experiment_id, features=list(features))
    await session.execute(made.on_conflict_do_nothing())


async def keep_answers(session: WriteSession, model_id: UUID, features: Documents) -> None:
    """Of a model that was just stored."""
    session.add(AnswerBaseline(model_id=model_id, features=[dict(one) for one in features]))


async def keep_estimation(session: WriteSession, model_id: UUID, archive: bytes) -> None:
    """Of a model that was just stored: by what its metrics are estimated once it serves."""
    session.add(EstimationBaseline(model_id=model_id, archive=archive))


async def estimation(session: ReadSession, model_id: UUID) -> bytes | None:
    """What was kept; None of a model from before that was done."""
    found: bytes | None = await session.scalar(
        select(col(EstimationBaseline.archive)).where(col(EstimationBaseline.model_id) == model_id)
    )
    return found


async def layouts(session: ReadSession, model_ids: Iterable[UUID]) -> dict[UUID, Layout]:
    """By model; a model from before there were baselines has none."""
    query = (
        select(col(Model.id), col(FeatureBaseline.features), col(AnswerBaseline.features))
        .join(FeatureBaseline, col(FeatureBaseline.experiment_id) == col(Model.experiment_id))
        .outerjoin(AnswerBaseline, col(AnswerBaseline.model_id) == col(Model.id))
        .where(col(Model.id).in_(list(model_ids)))
    )
    found = (await session.execute(query)).all()
    return await asyncio.to_thread(lambda: {model_id: _layout(inputs, answers or ()) for model_id, inputs, answers in found})


def _layout(inputs: Documents, answers: Documents) -> Layout:
    return Layout(tuple(map(Feature.from_json, inputs)), tuple(map(Feature.from_json, answers)))
