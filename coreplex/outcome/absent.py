"""Why a row that an outcome is of is not in the log: by when it was asked, which its request's id says."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Message
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import moment_of
from coreplex.platform.settings import Settings

UNKNOWN = Message("no_such_entry", "There is no such row in the log of this deployment.")
PAST_RETENTION = Message("past_retention", "It was answered longer ago than the log of this deployment is kept.")
NOT_LOGGED_YET = Message("not_logged_yet", "The row is not in the log yet: send its outcome again in a moment.")
LOGGED_WITHIN = timedelta(minutes=1)
"""An answer is in the log within a second; longer where the database was away, or the process was killed."""


async def kept_days(session: WriteSession, deployment_ids: Collection[UUID], settings: Settings) -> int | None:
    """How long the deployments' logs are kept, the longest of them; None: for ever."""
    own = await session.scalars(select(col(Deployment.log_days)).where(col(Deployment.id).in_(deployment_ids)))
    days = [one or settings.inference_log_days for one in own]
    return max(days) if days and all(days) else None


def why(request_id: str, days: int | None) -> Message:
    """What to say of a row that is not in a log that is kept so long."""
    asked, moment = moment_of(request_id), now()
    if asked is None:
        return UNKNOWN
    if abs(moment - asked) < LOGGED_WITHIN:
        return NOT_LOGGED_YET
    return UNKNOWN if days is None or asked > moment - timedelta(days=days) else PAST_RETENTION


def is_past_retention(reason: Message) -> bool:
    """Whether a row is gone with time."""
    return reason.reason == PAST_RETENTION.reason
