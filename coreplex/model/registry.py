"""Numbers models as a registry does: `major.minor.patch`, per project and target (Semantic Versioning 2.0.0).

Who calls a model depends on the columns it may be sent and on what it answers: where these change, the first number does. An
experiment that keeps them counts the second, and its models, in the order they are finished, the third.
"""

from typing import Any

from sqlalchemy import desc, select, text
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from coreplex.platform.database import WriteSession

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('registry:' || :of, 0))")
_NUMBERS = (col(Model.version_major), col(Model.version_minor), col(Model.version_patch))


async def number(session: WriteSession, model: Model) -> None:
    """Give a model that is about to be stored its version; nobody else gets one of that target until the transaction ends."""
    await session.execute(_ALONE, {"of": f"{model.project_id}:{model.target_column}"})
    newest = select(Model).where(col(Model.project_id) == model.project_id, col(Model.target_column) == model.target_column)
    newest = newest.order_by(*map(desc, _NUMBERS)).limit(1)
    sibling = await session.scalar(newest.where(col(Model.experiment_id) == model.experiment_id))
    before = await session.scalar(newest)
    major, minor, patch = 1, 0, 0
    if sibling is not None:
        major, minor, patch = sibling.version_major, sibling.version_minor, sibling.version_patch + 1
    elif before is not None and await _relied_on(session, before) == await _relied_on(session, model):
        major, minor = before.version_major, before.version_minor + 1
    elif before is not None:
        major = before.version_major + 1
    model.version_major, model.version_minor, model.version_patch = major, minor, patch


async def _relied_on(session: WriteSession, model: Model) -> Any:
    """The columns its experiment offered, with their types, and what it answers. Which of them it reads is its own affair."""
    experiment = await session.get_one(Experiment, model.experiment_id)
    version = await session.get_one(DatasetVersion, model.dataset_version_id)
    left_out = {model.target_column, *experiment.config.get("ignored_columns", ())}
    columns = sorted((one["name"], one["type"]) for one in version.table_schema["columns"] if one["name"] not in left_out)
    return model.problem_type, sorted(map(repr, model.classes)), columns
