"""Files in the public contract: named here, fetched and sent over plain HTTP."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.artifact.table import Artifact as Row
from coreplex.artifact.table import ArtifactKind
from coreplex.platform.permissions import READ
from coreplex.platform.staging import StagedFile
from resolvers import artifact as resolve
from schema.enums import enum
from schema.field import guarded, row
from schema.links import owner
from schema.node import node, node_elsewhere
from schema.scalars import Long

enum(
    ArtifactKind,
    "What a stored file is.",
    {
        "upload": "A file as it was uploaded.",
        "table": "The table of a dataset version, as Parquet.",
        "model": "A trained model.",
        "curves": "Curves of a model, or of an evaluation.",
        "explanation": "What a model goes by.",
        "predictions": "The result of a batch of predictions, as Parquet.",
    },
)


def _url(root: strawberry.Parent[StagedFile]) -> str:
    return f"/api/files/{root.id}"


@node_elsewhere(StagedFile, resolve.found)
@strawberry.type(description="A file that waits to be fetched, by the caller who asked for it, for an hour.")
class File:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    url: str = strawberry.field(resolver=_url, description="Where to GET it, with the same credential.")
    filename: str = strawberry.field(description="Its name.")
    content_type: str = strawberry.field(description="Its media type.")
    size_bytes: Long = strawberry.field(description="Its size in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, hexadecimal.")


@node(Row)
@strawberry.type(description="A stored file: an upload, a table, a model, or what belongs to one.")
class Artifact:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project it belongs to.")
    project: Any = owner("Project", "project_id", "The project it belongs to.")
    kind: ArtifactKind = strawberry.field(description="What it is.")
    filename: str = strawberry.field(description="Its name.")
    content_type: str = strawberry.field(description="Its media type.")
    size_bytes: Long = strawberry.field(description="Its size in bytes.")
    sha256: str = strawberry.field(description="SHA-256 of its bytes, hexadecimal.")
    file: File | None = guarded(resolve.file, READ, "The file itself, offered for download.", graphql_type=File | None)
    created_at: datetime = strawberry.field(description="When it was stored.")


@strawberry.type
class FileQuery:
    artifact: Artifact | None = row(Row, READ, "One stored file.")
    file: File | None = guarded(resolve.staged, READ, "A file the caller asked for earlier and may still fetch.")
