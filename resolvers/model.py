"""Models at the GraphQL door."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.deployment import service as deployment
from coreplex.deployment.inputs import ServedModelFilter
from coreplex.errors.tree import NotFound
from coreplex.membership.access import open_row
from coreplex.model import evaluation, inputs, service
from coreplex.model.table import Evaluation, Model
from coreplex.platform.clock import now
from coreplex.platform.paging import Listing, Page, Slice, SortDirection
from resolvers.filtered_list import narrowed
from resolvers.guard import Info, allow
from resolvers.once import act, once

MAX_WAIT_SECS = 25
POLL_SECS = 0.5


async def one(info: Info, id: str) -> Model:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Model, id, "Model")


async def many(info: Info, page: Page, filter: ServedModelFilter | None, wait_secs: int) -> Slice[Model]:
    """Models; `wait_secs` holds an empty answer back while an experiment that would fill it still trains."""
    grant = allow(info)
    wanted = filter or ServedModelFilter()
    deadline = now().timestamp() + min(max(wait_secs, 0), MAX_WAIT_SECS)
    while now().timestamp() < deadline:
        async with info.context.read() as session:
            if not await service.first_model_pending(session, grant, wanted):
                break
        await asyncio.sleep(POLL_SECS)
    return await narrowed(info, grant, deployment.models(grant, wanted), page, wanted)


def of_experiments(info: Info, page: Page) -> tuple[Listing, Page]:
    """The leaderboards: best first unless the caller sorts."""
    if page.sort_field is None:
        page = replace(page, sort_field="rank", sort_direction=SortDirection.asc)
    return replace(service.listing(allow(info)), parent=col(Model.experiment_id)), page


def of_projects(info: Info, page: Page) -> tuple[Listing, Page]:
    return replace(service.listing(allow(info)), parent=col(Model.project_id)), page


def evaluations(_info: Info, page: Page) -> tuple[Listing, Page]:
    return evaluation.listing(), page


@once
async def evaluate(info: Info, input: inputs.EvaluateModel) -> Evaluation:
    grant = allow(info)
    found = await evaluation.evaluate(info.context.services, grant, input)
    return await act(info, lambda session: evaluation.store(session, grant, found, info.context.services.settings))


@once
async def delete(info: Info, id: str) -> UUID:
    grant = allow(info)
    return await act(info, lambda session: service.delete_one(session, grant, id))


async def document(info: Info, artifact_id: UUID | None, noun: str) -> Any:
    """A model's JSON file: its curves or its explanation."""
    artifact: Artifact | None = await info.context.loaders.artifact.load(artifact_id) if artifact_id else None
    if artifact is None:
        raise NotFound.of(noun)
    path = await whole(info.context.services.storage, artifact)
    with info.context.size.reading() as counted:
        counted.add(artifact.size_bytes)
        return orjson.loads(await asyncio.to_thread(path.read_bytes))
