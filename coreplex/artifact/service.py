"""Stored files as a person may fetch them: found by id through the project, offered for download."""

import asyncio
from pathlib import Path

from coreplex.artifact.table import Artifact
from coreplex.errors.tree import Damaged, Message
from coreplex.membership.access import open_row
from coreplex.platform.database import ReadSession
from coreplex.platform.fair_places import FairPlaces, Limits
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from coreplex.platform.storage import Storage, sha256_of

_reading = FairPlaces(Limits(total=2, each=1, patience=60.0, retry_after=5), "a stored file")
"""Reading large files whole takes a thread for seconds, and the process has few."""


async def open_artifact(session: ReadSession, grant: Grant, artifact_id: str) -> Artifact:
    """The artefact, if it belongs to a project of the caller."""
    return await open_row(session, grant, Artifact, artifact_id, "Artifact")


async def whole(storage: Storage, artifact: Artifact) -> Path:
    """Where the file is, its bytes checked against the hash they were stored with. Raises Damaged."""
    path = await storage.path(artifact.storage_key)
    async with _reading.place():
        found = await asyncio.to_thread(sha256_of, path)
    if found != artifact.sha256:
        raise Damaged(
            Message(
                "stored_file_changed",
                "The stored file was changed since it was written; the server's administrator may have a backup.",
            )
        )
    return path


async def offer(services: Services, grant: Grant, artifact: Artifact) -> StagedFile:
    """The stored file, offered to the caller for an hour without copying it."""
    return await asyncio.to_thread(
        services.staging.offer_copy,
        await whole(services.storage, artifact),
        owner_id=grant.user_id,
        filename=artifact.filename or str(artifact.id),
        content_type=artifact.content_type,
        sha256=artifact.sha256,
    )
