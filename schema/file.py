"""Files in the public contract: named here, fetched and sent over plain HTTP."""

from datetime import datetime

import strawberry

from coreplex.artifact.table import Artifact as Row
from coreplex.artifact.table import ArtifactKind
from coreplex.platform.permissions import READ
from coreplex.platform.staging import StagedFile
from resolvers import dataset as resolve
from resolvers.guard import Info
from schema.common import Id, enum
from schema.field import guarded
from schema.scalars import Long

enum(ArtifactKind, "What a stored file is.")


def _url(root: strawberry.Parent[StagedFile]) -> str:
    return f"/api/files/{root.id}"


@strawberry.type(description="A file that waits to be fetched, by the caller who asked for it, for an hour.")
class File:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    url: str = strawberry.field(resolver=_url, description="Where to GET it, with the same credential.")
    filename: str = strawberry.field(description="Its name.")
    content_type: str = strawberry.field(description="Its media type.")
    size_bytes: Long = strawberry.field(description="Its size in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, hexadecimal.")


async def _file(root: strawberry.Parent[Row], info: Info) -> File:
    return await resolve.artifact_file(info, root)  # type: ignore[return-value]


@strawberry.type(description="A stored file: an upload, a table, a model, or what belongs to one.")
class Artifact:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project it belongs to.")
    kind: ArtifactKind = strawberry.field(description="What it is.")
    filename: str = strawberry.field(description="Its name.")
    content_type: str = strawberry.field(description="Its media type.")
    size_bytes: Long = strawberry.field(description="Its size in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, hexadecimal.")
    file: File = guarded(_file, READ, "The file itself, offered for download.")
    created_at: datetime = strawberry.field(description="When it was stored.")


async def _artifact(info: Info, id: Id) -> Artifact:
    return await resolve.artifact(info, id)  # type: ignore[return-value]


async def _staged(info: Info, id: Id) -> File:
    return await resolve.staged(info, id)  # type: ignore[return-value]


@strawberry.type
class FileQuery:
    artifact: Artifact = guarded(_artifact, READ, "One stored file.")
    file: File = guarded(_staged, READ, "A file the caller asked for earlier and may still fetch.")
