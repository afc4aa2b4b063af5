"""The part of the gate that looks at traffic: is what production is asked now like what the newcomer has learned from?"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.rollout_inputs import LATELY, LEAST_ROWS, MOST_ROWS
from coreplex.engines.drift.stability import reference
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Message
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession

# The log belongs to what serves deployments, which stands above them.
ASKED = text(
    "SELECT inputs FROM inference_logs WHERE deployment_id = :id AND created_at > :since AND arm IS DISTINCT FROM 'shadow' "
    "ORDER BY created_at DESC, id DESC LIMIT :most"
)


async def drifted(session: WriteSession, present_id: UUID, model: Model, most: float) -> Message | None:
    """Why a model is kept out whose columns have a PSI above `most` in what production was asked lately.

    None where they have not, or too few rows were asked."""
    asked = {"id": present_id, "since": now() - LATELY, "most": MOST_ROWS}
    rows = list(await session.scalars(ASKED, asked))
    if len(rows) < LEAST_ROWS:
        return None
    version = await session.get_one(DatasetVersion, model.dataset_version_id)
    found = await asyncio.to_thread(_indices, version, [feature["name"] for feature in model.features], rows)
    if not found or found[0][0] <= most:
        return None
    index, column = found[0]
    return Message(
        "gate_drifted",
        "The last {rows:,} rows that production was asked are not like those that this model has learned from: column {column!r} "
        "has a PSI of {index} beyond chance, and {columns} of its columns one above the {most:g} that the project's gate allows. "
        "Train it on newer rows, or say an `override_reason` to do it anyway.",
        rows=len(rows),
        column=column,
        index=f"{index:.3g}",
        columns=sum(one > most for one, _ in found),
        most=most,
    )


def _indices(version: DatasetVersion, features: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """PSI and name of each column that can be judged, the largest first."""
    schema = TableSchema.from_json(version.table_schema)
    known = {facts["name"]: facts for facts in version.profile["columns"]}
    found = []
    for name in features:
        column, facts = schema.get(name), known.get(name)
        expected = None if column is None or facts is None else reference(column, facts, version.row_count)
        if expected is not None:
            found.append((expected.psi([row.get(name) for row in rows]), name))
    return sorted(found, reverse=True)
