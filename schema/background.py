"""What runs in the background, as one interface of the contract: how far it is, and how it ended."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.job.lifecycle import JobStatus
from schema.node import Node
from schema.notice import Notice


@strawberry.interface(description="What runs in the background: how far it is, and how it ended.")
class BackgroundWork(Node):
    status: JobStatus = strawberry.field(description="State.")
    progress: float = strawberry.field(description="Share done, 0 to 100.")
    message: str = strawberry.field(description="What is going on.")
    error: Notice | None = strawberry.field(description="Why it failed.")
    created_at: datetime = strawberry.field(description="When it was created.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


def background_work(kind: Any) -> Any:
    """A type that is background work: it declares the fields itself, in its own words, and the schema checks that it does."""
    kind.__strawberry_definition__.interfaces.append(BackgroundWork.__strawberry_definition__)  # type: ignore[attr-defined]
    return kind
