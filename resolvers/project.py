"""Projects at the GraphQL door: allow, open, call."""

from uuid import UUID

from coreplex.account.table import User
from coreplex.event.table import Event
from coreplex.paging import Page, Slice
from coreplex.project import access, inputs, service
from coreplex.project.table import Membership, Project, Role
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


async def delete(info: Info, id: str) -> UUID:
    grant = allow(info)
    async with info.context.transaction() as session:
        return await service.delete(session, grant, id)


async def members(info: Info, project: Project, page: Page) -> Slice[Membership]:
    return await info.context.slice(service.member_listing(project.id), page)


async def timeline(info: Info, project: Project, page: Page) -> Slice[Event]:
    return await info.context.slice(service.timeline_listing(project.id), page)


async def actor_of(info: Info, event: Event) -> User | None:
    return await info.context.loaders.user.load(event.actor_id) if event.actor_id else None


async def user_of(info: Info, member: Membership) -> User:
    user = await info.context.loaders.user.load(member.user_id)
    assert user is not None, "a membership without a user cannot exist"
    return user


async def add_member(info: Info, input: inputs.AddMember) -> Membership:
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
