"""A deployment as far as the inference log needs one, and the writers that log for it: no model, no web process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import text

from coreplex.deployment.table import Deployment, Stage
from coreplex.experiment.table import ProblemType
from coreplex.membership.table import Project
from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.account import make_user


@dataclass(frozen=True)
class Served:
    """`url`: of the database it is in."""

    url: str
    deployment_id: UUID
    model_id: UUID

    async def record(self, writer: InferenceWriter, *rows: Any, request_id: str = "", **more: Any) -> Any:
        """Log rows, each with itself as the answer."""
        values: dict[str, Any] = {"rows": rows, "outputs": [{"prediction": row} for row in rows], "latency_ms": 1.0, **more}
        ids = {"deployment_id": self.deployment_id, "model_id": self.model_id, "request_id": request_id or str(new_id())}
        return await writer.record(**ids, **values)

    async def logged(self, fields: str = "inputs") -> list[asyncpg.Record]:
        """What is in the log, the oldest first."""
        return await self.run(f"SELECT {fields} FROM inference_logs ORDER BY created_at, row_index")

    async def run(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()


async def serve(database: Database) -> Served:
    """Rows of a project, a model and its deployment; what a model needs beside is left out."""
    owner = await make_user(database)
    project = Project(owner_id=owner.id, name="Logged")
    ids = dict.fromkeys(("experiment_id", "engine_run_id", "dataset_version_id", "artifact_id"), new_id())
    model = Model(
        project_id=project.id,
        name="m",
        algo="GBM",
        engine="native",
        problem_type=ProblemType.regression,
        target_column="y",
        score=0.5,
        **ids,
    )
    deployment = Deployment(project_id=project.id, model_id=model.id, name="d", stage=Stage.staging)
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        session.add_all([project, model, deployment])
    return Served(database.url, deployment.id, model.id)


def stored(value: Any) -> Any:
    """What the log is to hold of a value: text without NUL and lone surrogates, integers beyond 64 bits as floats,
    and those as the decimal number they are written as."""
    if isinstance(value, str):
        return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, Mapping):
        return {stored(key): stored(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [stored(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = float(value)
    return orjson.loads(f"{Decimal(repr(value)):f}") if isinstance(value, float) else value
