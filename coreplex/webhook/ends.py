"""The end of what ran in the background: in the timeline of its project, and told to the webhooks that want to know."""

from typing import Any
from uuid import UUID

from coreplex.event import service as event
from coreplex.job.lifecycle import JobStatus
from coreplex.platform.database import WriteSession
from coreplex.webhook import outbox
from coreplex.webhook.event_types import declare


def declare_ends(noun: str, of: str) -> None:
    """Make the two types of event known that `tell_end` sends of rows of this noun; `of` is what people call one of them."""
    declare(f"{noun}.succeeded", f"{of} is done.")
    declare(f"{noun}.failed", f"{of} has failed.")


async def tell_end(session: WriteSession, row: Any, noun: str, message: str, data: dict[str, Any]) -> None:
    """Tell that a row whose life is that of a job has succeeded or failed; of one that was cancelled nobody is told."""
    if row.status is JobStatus.cancelled:
        return
    kind, data = f"{noun}.{row.status}", {name: str(value) if isinstance(value, UUID) else value for name, value in data.items()}
    await event.audit(session, None, row, kind, message, data)
    about = {"message": message, f"{noun}_id": str(row.id), "status": row.status, **data}
    await outbox.send(session, row.project_id, kind, about, subject=f"{noun}/{row.id}")
