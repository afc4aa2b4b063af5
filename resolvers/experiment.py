"""Experiments at the GraphQL door."""

from dataclasses import replace
from uuid import UUID

from coreplex.dataset.diagnosis import Diagnoses
from coreplex.experiment import capabilities, inputs, service
from coreplex.experiment.table import Experiment
from coreplex.membership.access import open_row
from coreplex.platform.paging import Listing, Page, Slice, SortDirection
from resolvers.filtered_list import narrowed
from resolvers.guard import Info, allow
from resolvers.once import act, once


async def one(info: Info, id: str) -> Experiment:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Experiment, id, "Experiment")


async def many(info: Info, page: Page, filter: inputs.ExperimentFilter | None) -> Slice[Experiment]:
    grant = allow(info)
    return await narrowed(info, grant, service.listing(grant, filter), page, filter)


def of_projects(info: Info, page: Page) -> tuple[Listing, Page]:
    return service.listing(allow(info)), page


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


def logs(_info: Info, page: Page) -> tuple[Listing, Page]:
    """Oldest first."""
    return service.logs(), replace(page, search=None, sort_direction=SortDirection.asc)
