"""Projects at the GraphQL door: allow, open, call."""

from typing import Any
from uuid import UUID

from coreplex.account.table import User
from coreplex.paging import Page, Slice
from coreplex.project import access, inputs, service
from coreplex.project.table import Membership, Project, ProjectStatus, Role
from resolvers.guard import Info, allow


async def one(info: Info, id: str) -> Project:
    grant = allow(info)
    async with info.context.read() as session:
        return await access.open_project(session, grant, id)


async def many(info: Info, page: Page, status: ProjectStatus | None) -> Slice[Project]:
    return await info.context.slice(service.listing(allow(info), status), page)


async def create(info: Info, input: inputs.CreateProject) -> Project:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.create(session, grant, input)


async def update(info: Info, input: inputs.UpdateProject) -> Project:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.update(session, grant, input)


async def delete(info: Info, id: str) -> UUID:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.delete(session, grant, id)


async def members(info: Info, project: Project, page: Page) -> Slice[Any]:
    return await info.context.slice(service.member_listing(project.id), page)


async def add_member(info: Info, input: inputs.AddMember) -> tuple[Membership, User]:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.add_member(session, grant, input)


async def remove_member(info: Info, project_id: str, member_id: str) -> None:
    grant = allow(info)
    async with info.context.transaction() as session:
        await service.remove_member(session, grant, project_id, member_id)


async def role(info: Info, project: Project) -> Role | None:
    return await info.context.loaders.role.load((project.id, info.principal.user_id))


async def count(info: Info, project: Project, name: str) -> int:
    return (await info.context.loaders.project_counts.load(project.id))[name]
