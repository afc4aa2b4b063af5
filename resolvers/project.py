"""Projects at the GraphQL door: allow, open, call."""

from uuid import UUID

from coreplex.event.table import Event
from coreplex.paging import Page, Slice
from coreplex.project import access, inputs, service
from coreplex.project.table import Membership, Project
from resolvers.guard import Info, allow


async def one(info: Info, id: str) -> Project:
    grant = allow(info)
    async with info.context.read() as session:
        return await access.open_project(session, grant, id)


async def many(info: Info, page: Page, filter: inputs.ProjectFilter | None) -> Slice[Project]:
    return await info.context.slice(service.listing(allow(info), filter), page)


async def create(info: Info, input: inputs.CreateProject) -> Project:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.create(session, grant, input)


async def update(info: Info, input: inputs.UpdateProject) -> Project:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.update(session, grant, input)


async def delete(info: Info, id: str, *, force: bool) -> UUID:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.delete(session, grant, id, force=force)


async def members(info: Info, project: Project, page: Page) -> Slice[Membership]:
    return await info.context.slice(service.member_listing(project.id), page)


async def timeline(info: Info, project: Project, page: Page) -> Slice[Event]:
    return await info.context.slice(service.timeline_listing(project.id), page)


async def add_member(info: Info, input: inputs.AddMember) -> Membership:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.add_member(session, grant, input)


async def remove_member(info: Info, project_id: str, member_id: str) -> None:
    grant = allow(info)
    async with info.context.transaction() as session:
        await service.remove_member(session, grant, project_id, member_id)
