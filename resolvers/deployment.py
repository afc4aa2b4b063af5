"""Deployments and predictions at the GraphQL door."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coreplex.deployment import inputs, service
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Busy, CallerLeft, Conflict, DomainError
from coreplex.membership.access import open_project, open_row
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.serving import prediction
from coreplex.serving.heavy import HeavyScoring
from coreplex.serving.inputs import Predict, PredictModel
from coreplex.serving.log.listing import listing
from coreplex.serving.log.writer import InferenceWriter
from coreplex.serving.route import Serving
from resolvers.guard import Info, allow
from resolvers.once import act, answered, noted, once


@dataclass(slots=True)
class Predicted:
    """What a predict call answers."""

    predictions: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    model_id: UUID
    deployment_id: UUID | None
    request_id: str
    latency_ms: float

    @property
    def count(self) -> int:
        return len(self.predictions)


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
    grant = allow(info)
    serving, writer = info.context.part(Serving), info.context.part(InferenceWriter)
    route = await serving.deployment(grant, input.deployment_id)
    answered(info, route.project_id)
    if not route.active:
        raise Conflict(f"The deployment is {route.status}; only an active one predicts.")
    assert route.deployment_id is not None
    scorer, heavy = await serving.scorer(route), HeavyScoring.of(info.context.services)
    mark = await noted(info)
    request_id = mark.request_id if mark else info.context.request.id
    again = (mark.name, mark.moment) if mark else None
    ids = {"deployment_id": route.deployment_id, "model_id": route.model_id, "request_id": request_id, "again": again}
    try:
        answer = await prediction.predict(scorer, route, heavy, input.inputs, input.options)
    except (Busy, CallerLeft):
        raise  # says nothing of the deployment
    except DomainError as error:
        await writer.record(**ids, rows=[{}], outputs=[None], latency_ms=0.0, error=error.message)  # type: ignore[arg-type]
        raise
    answer.warnings += await writer.record(**ids, rows=answer.rows, outputs=answer.predictions, latency_ms=answer.latency_ms)  # type: ignore[arg-type]
    return _predicted(answer, route.model_id, route.deployment_id, request_id)


async def predict_model(info: Info, input: PredictModel) -> Predicted:
    """Answer rows with a model itself; nothing is logged."""
    grant = allow(info)
    serving = info.context.part(Serving)
    route = await serving.model(grant, input.model_id)
    answered(info, route.project_id)
    scorer, heavy = await serving.scorer(route), HeavyScoring.of(info.context.services)
    answer = await prediction.predict(scorer, route, heavy, input.inputs, input.options)
    return _predicted(answer, route.model_id, None, info.context.request.id)


def _predicted(answer: prediction.Answer, model_id: UUID, deployment_id: UUID | None, request_id: str) -> Predicted:
    return Predicted(answer.predictions, answer.warnings, model_id, deployment_id, request_id, answer.latency_ms)
