"""Deployments and predictions at the GraphQL door."""

from uuid import UUID

from coreplex.deployment import inputs, service
from coreplex.deployment.table import Deployment
from coreplex.membership.access import open_project, open_row
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.serving import service as serving
from coreplex.serving.inputs import Predict, PredictModel
from coreplex.serving.log.listing import listing
from coreplex.serving.service import Predicted
from resolvers.guard import Info, allow
from resolvers.once import act, asked, once


async def one(info: Info, id: str) -> Deployment:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Deployment, id, "Deployment")


async def many(info: Info, page: Page, filter: inputs.DeploymentFilter | None, project_id: str) -> Slice[Deployment]:
    """Deployments of a project; that the caller sees it is asked only when the page is empty, its rows are proof enough."""
    grant = allow(info)
    found = await info.context.slice(service.listing(grant, project_id, filter), page)
    if not found.nodes:
        async with info.context.read() as session:
            await open_project(session, grant, project_id)
    return found


def of_projects(info: Info, page: Page, filter: inputs.DeploymentFilter | None) -> tuple[Listing, Page]:
    return service.listing(allow(info), wanted=filter), page


def logs(_info: Info, page: Page) -> tuple[Listing, Page]:
    return listing(), page


@once
async def create(info: Info, input: inputs.CreateDeployment) -> Deployment:
    grant = allow(info)
    return await act(info, lambda session: service.create(session, grant, input, info.context.services.settings))


@once
async def update(info: Info, input: inputs.UpdateDeployment) -> Deployment:
    grant = allow(info)
    return await act(info, lambda session: service.update(session, grant, input))


@once
async def promote(info: Info, input: inputs.PromoteDeployment) -> Deployment:
    grant = allow(info)
    return await act(info, lambda session: service.promote(session, grant, input))


@once
async def rollback(info: Info, input: inputs.RollbackDeployment) -> Deployment:
    grant = allow(info)
    return await act(info, lambda session: service.rollback(session, grant, input))


@once
async def deactivate(info: Info, id: str) -> Deployment:
    grant = allow(info)
    return await act(info, lambda session: service.deactivate(session, grant, id))


@once
async def delete(info: Info, id: str) -> UUID:
    grant = allow(info)
    return await act(info, lambda session: service.delete(session, grant, id))


async def predict(info: Info, input: Predict) -> Predicted:
    """Answer rows through a deployment and write each to its inference log."""
    return await serving.predict(info.context.services, allow(info), input, asked(info))


async def predict_model(info: Info, input: PredictModel) -> Predicted:
    """Answer rows with a model itself; nothing is logged."""
    return await serving.predict_model(info.context.services, allow(info), input, asked(info))
