"""Projects at the GraphQL door: allow, open, call."""

from uuid import UUID

from coreplex.membership import access
from coreplex.membership.table import Membership, Project
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.project import inputs, service
from resolvers.guard import Info, allow
from resolvers.once import act, once


async def one(info: Info, id: str) -> Project:
    grant = allow(info)
    async with info.context.read() as session:
        return await access.open_project(session, grant, id)


async def many(info: Info, page: Page, filter: inputs.ProjectFilter | None) -> Slice[Project]:
    return await info.context.slice(service.listing(allow(info), filter), page)


@once
async def create(info: Info, input: inputs.CreateProject) -> Project:
    grant = allow(info)
    return await act(info, lambda session: service.create(session, grant, input, info.context.services.settings))


@once
async def update(info: Info, input: inputs.UpdateProject) -> Project:
    grant = allow(info)
    return await act(info, lambda session: service.update(session, grant, input))


@once
async def delete(info: Info, id: str, *, force: bool) -> UUID:
    grant = allow(info)
    return await act(info, lambda session: service.delete(session, grant, id, force=force))


def members(_info: Info, page: Page) -> tuple[Listing, Page]:
    return service.member_listing(), page


def timeline(_info: Info, page: Page) -> tuple[Listing, Page]:
    return service.timeline_listing(), page


@once
async def add_member(info: Info, input: inputs.AddMember) -> Membership:
    grant = allow(info)
    return await act(info, lambda session: service.add_member(session, grant, input, info.context.services.settings))


@once
async def remove_member(info: Info, project_id: str, member_id: str) -> None:
    grant = allow(info)
    await act(info, lambda session: service.remove_member(session, grant, project_id, member_id))
