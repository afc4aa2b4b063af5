"""Payloads of mutations that remove something: its identifier, and what is left that knew of it, for caches."""

from typing import Any

import strawberry

from schema.links import link


@strawberry.type(description="What was removed.")
class DeletedPayload:
    deleted_id: strawberry.ID = strawberry.field(description="Identifier of what is gone.")


@strawberry.type(description="What was removed, and the project that counts it no more.")
class DeletedFromProjectPayload(DeletedPayload):
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project it was in.")
    project: Any = link("Project", "project_id", "The project as it is now; null for a caller who does not see it any more.")
