"""Batches of predictions: files are stored, and results written, before or without a transaction."""

from typing import Annotated

import strawberry

from coreplex.batch import create as creation
from coreplex.batch import inputs, result
from coreplex.batch.table import PredictionBatch
from coreplex.dataset import versions
from coreplex.dataset.inputs import TableFormat
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.platform.database import WriteSession
from coreplex.platform.staging import StagedFile
from coreplex.serving.address import Route
from resolvers.context import Info, act, once


async def target(
    info: Info,
    model_id: Annotated[strawberry.ID | None, strawberry.argument(description="The model that is to predict.")] = None,
    deployment_id: Annotated[strawberry.ID | None, strawberry.argument(description="Or the deployment.")] = None,
) -> Route:
    return await creation.target(info.context.services, info.grant, model_id, deployment_id)


@once
async def create(info: Info, input: inputs.CreateBatch) -> PredictionBatch:
    services = info.context.services
    async with creation.asked(services, info.grant, input) as new:
        return await act(info, lambda session: creation.store(session, info.grant, new, services.settings))


@once
async def save(info: Info, input: inputs.SaveBatch) -> tuple[Dataset, DatasetVersion]:
    """The result is read and profiled before the transaction that makes the version."""
    services = info.context.services

    async with result.as_version(services, info.grant, input) as new:

        async def add(session: WriteSession) -> tuple[Dataset, DatasetVersion]:
            return await versions.add_version(session, info.grant, new, services.settings), new.version

        return await act(info, add)


async def file(
    root: strawberry.Parent[PredictionBatch],
    info: Info,
    format: Annotated[TableFormat, strawberry.argument(description="Wanted format.")] = TableFormat.csv,
) -> StagedFile:
    """The result, to be fetched within the hour."""
    return await result.offer(info.context.services, info.grant, str(root.id), format)
