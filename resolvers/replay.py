"""What is loaded of replays."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.platform.database import ReadSession
from coreplex.replay.table import Replay
from resolvers.loading import batch


async def _reports(session: ReadSession, ids: list[UUID]) -> Mapping[UUID, Any]:
    found = await session.execute(select(col(Replay.id), col(Replay.report)).where(col(Replay.id).in_(ids)))
    return {identity: report or None for identity, report in found}


reports = batch(_reports)
"""What replays have found in detail, by their ids; nothing of those that have not succeeded."""
