"""Models: waiting for the first one, evaluations, and the documents kept beside a model."""

import asyncio
import time
from typing import Any
from uuid import UUID

import orjson
import strawberry

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.deployment import listing as deployment
from coreplex.errors.tree import NotFound
from coreplex.model import download, evaluation, inputs, service
from coreplex.model.input_schema import InputSchemas
from coreplex.model.table import Evaluation, Model
from coreplex.platform.page import Page, Slice
from coreplex.platform.staging import StagedFile
from resolvers.artifact import artifacts
from resolvers.context import Info, act, once
from resolvers.filtered_list import filtered_list
from resolvers.loading import Read, Rows

MAX_WAIT_SECS = 25
POLL_SECS = 0.5

models = Rows(Model)
model_counts = Read(service.counts, missing=0)
"""How many models are finished, by experiment id."""


async def list_models(info: Info, page: Page, wanted: Any, wait_secs: int) -> Slice[Model]:
    """Models; `wait_secs` holds an empty answer back while an experiment that would fill it still trains."""
    place = {name: getattr(wanted, name, None) for name in ("project_id", "experiment_id")}
    deadline = time.monotonic() + min(max(wait_secs, 0), MAX_WAIT_SECS)
    while time.monotonic() < deadline:
        async with info.context.read() as session:
            if not await service.first_model_pending(session, info.grant, **place):
                break
        await asyncio.sleep(POLL_SECS)
    return await filtered_list(info, deployment.MODELS.asked(info.grant, wanted), page, wanted)


@once
async def evaluate(info: Info, input: inputs.EvaluateModel) -> Evaluation:
    """Rows are scored before the transaction that stores what was found."""
    services = info.context.services
    found = await evaluation.evaluate(services, info.grant, input)
    return await act(info, lambda session: evaluation.store(session, info.grant, found, services.settings))


async def explanation(root: strawberry.Parent[Model], info: Info) -> Any:
    """What it goes by, as its file says. Raises NotFound where there is no such file."""
    return await _document(info, root.explanation_artifact_id, "Explanation")


async def curves(root: strawberry.Parent[Model], info: Info) -> Any:
    """Its curves, as its file says. Raises NotFound where there is no such file."""
    return await _document(info, root.curves_artifact_id, "Curves")


async def input_schema(root: strawberry.Parent[Model], info: Info) -> Any:
    """What it wants to be given, as its files say. Raises NotFound where there is no such file."""
    return (await _described(root, info))[1]


async def file(root: strawberry.Parent[Model], info: Info) -> StagedFile:
    """The model with what it wants to be given, as a ZIP."""
    bundle, described = await _described(root, info)
    return await download.offer(info.context.services, info.grant, root, bundle, described)


async def _described(root: Model, info: Info) -> tuple[Artifact, Any]:
    bundle: Artifact | None = await info.context.loaders[artifacts].load(root.artifact_id)
    if bundle is None:
        raise NotFound.of("Model file")
    explained = root.explanation_artifact_id
    explanation = await info.context.loaders[artifacts].load(explained) if explained else None
    return bundle, await InputSchemas.of(info.context.services).described(bundle, explanation)


async def _document(info: Info, artifact_id: UUID | None, noun: str) -> Any:
    """A model's JSON file: its curves or its explanation."""
    artifact: Artifact | None = await info.context.loaders[artifacts].load(artifact_id) if artifact_id else None
    if artifact is None:
        raise NotFound.of(noun)
    path = await whole(info.context.services.storage, artifact)
    info.context.size.read(artifact.size_bytes)
    return orjson.loads(await asyncio.to_thread(path.read_bytes))
