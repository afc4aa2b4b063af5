"""Experiments at the GraphQL door."""

from uuid import UUID

from coreplex.dataset.diagnosis import Diagnoses
from coreplex.event.table import Event
from coreplex.experiment import capabilities, inputs, service
from coreplex.experiment.table import Experiment
from coreplex.paging import Page, Slice, SortDirection
from coreplex.project.access import open_row
from coreplex.project.table import Project
from resolvers.guard import Info, allow
from resolvers.narrowed import narrowed
from resolvers.once import act, once


async def one(info: Info, id: str) -> Experiment:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Experiment, id, "Experiment")


async def many(info: Info, page: Page, filter: inputs.ExperimentFilter | None) -> Slice[Experiment]:
    grant = allow(info)
    return await narrowed(info, grant, service.listing(grant, filter), page, filter)


async def of_project(info: Info, project: Project, page: Page) -> Slice[Experiment]:
    return await info.context.slice(service.listing(allow(info), inputs.ExperimentFilter(project_id=str(project.id))), page)


@once
async def create(info: Info, input: inputs.CreateExperiment) -> Experiment:
    """Checked, then diagnosed outside any transaction, then checked again and queued in one."""
    grant = allow(info)
    services = info.context.services
    async with info.context.read() as session:
        checked = await service.check(session, grant, input, services.settings)
    found = await Diagnoses.of(services).soon(checked.version.id, checked.question(input))
    made = await act(info, lambda session: service.create(session, grant, input, services.settings, found))
    info.context.unspent.pop(info.permission.category, None)
    return made


@once
async def cancel(info: Info, id: str) -> Experiment:
    grant = allow(info)
    return await act(info, lambda session: service.cancel(session, grant, id))


@once
async def stop(info: Info, id: str) -> Experiment:
    grant = allow(info)
    return await act(info, lambda session: service.stop(session, grant, id))


@once
async def delete(info: Info, id: str, *, force: bool) -> UUID:
    grant = allow(info)
    return await act(info, lambda session: service.delete(session, grant, id, force=force))


async def able(info: Info) -> capabilities.Capabilities:
    return capabilities.capabilities(allow(info).principal.plan)


async def logs(info: Info, experiment: Experiment, page: Page) -> Slice[Event]:
    oldest_first = Page(page.first, page.after, page.offset, None, "seq", SortDirection.asc)
    return await info.context.slice(service.logs(experiment), oldest_first)
