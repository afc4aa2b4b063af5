"""Projects and members in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.deployment.inputs import DeploymentFilter
from coreplex.event.table import Event
from coreplex.membership.table import MemberRole, ProjectStatus
from coreplex.platform.permissions import MANAGE, READ, Permission
from coreplex.platform.roles import Role, Scope
from coreplex.project import inputs
from resolvers import dataset as resolve_dataset
from resolvers import deployment as resolve_deployment
from resolvers import experiment as resolve_experiment
from resolvers import model as resolve_model
from resolvers import project as resolve
from resolvers.guard import Info
from schema.common import DeletedPayload, DeleteInUseInput, Id, enum, name_warnings, published
from schema.dataset import Dataset, DatasetSort
from schema.deployment import Deployment, DeploymentSort
from schema.experiment import Experiment, ExperimentSort
from schema.field import by_id, guarded, loaded, mutation
from schema.model import Model, ModelSort
from schema.pagination import Connection, connection, nested, sort_input

OWN = Permission(Scope.write, Role.owner)
CREATE = LEAVE = Permission(Scope.write)

enum(ProjectStatus, "Whether a project is in use.")
enum(MemberRole, "What a new member may do; a project has one owner, who made it.")
published(inputs.CreateProject, "CreateProjectInput", "A new project.")
published(inputs.UpdateProject, "UpdateProjectInput", "What changes in a project.")
published(inputs.AddMember, "AddMemberInput", "A person to bring into a project.")
published(inputs.ProjectFilter, "ProjectFilter", "Which projects are wanted.")

ProjectSort = sort_input(
    "Project",
    ("created_at", "updated_at", "name", "dataset_count", "experiment_count", "model_count", "deployment_count"),
)
MemberSort = sort_input("Member", ("created_at", "email", "name", "role"))


def _count(name: str, noun: str) -> Any:
    def count(counts: Any, _project: Any) -> Any:
        return counts[name]

    return loaded(int, lambda loaders: loaders.project_counts, by_id, f"Number of {noun} in the project.", count)


def _user(name: str, description: str) -> Any:
    def fact(user: Any, _member: Any) -> Any:
        return getattr(user, name)

    return loaded(str, lambda loaders: loaders.user, lambda member: member.user_id, description, fact)


@strawberry.type(description="A person in a project.")
class Member:
    id: strawberry.ID = strawberry.field(description="Identifier of the membership, not of the person.")
    user_id: strawberry.ID = strawberry.field(description="Identifier of the person.")
    email: str = _user("email", "The person's e-mail.")
    name: str = _user("name", "The person's display name.")
    role: Role = strawberry.field(description="What the person may do in the project.")
    created_at: datetime = strawberry.field(description="When the person joined.")


@strawberry.type(description="A person as other members of a project see them.")
class Person:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="Display name.")
    email: str = strawberry.field(description="E-mail.")


def _event_id(root: strawberry.Parent[Event]) -> strawberry.ID:
    return strawberry.ID(str(root.seq))


@strawberry.type(description="Something that happened in a project: who did what to which thing.")
class TimelineEvent:
    id: strawberry.ID = strawberry.field(resolver=_event_id, description="Number of the event; later ones are larger.")
    type: str = strawberry.field(description="What happened, `noun.verb`: `project.created`, `model.deleted`.")
    entity_type: str = strawberry.field(description="Kind of the thing it happened to.")
    entity_id: strawberry.ID = strawberry.field(description="Identifier of the thing.")
    message: str = strawberry.field(description="A sentence for people.")
    user: Person | None = loaded(
        Person | None, lambda loaders: loaders.user, lambda event: event.actor_id, "Who did it; empty for the server itself."
    )
    created_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="A place for datasets, experiments, models and deployments, shared by its members.")
class Project:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="Name.")
    description: str = strawberry.field(description="What the project is about.")
    status: ProjectStatus = strawberry.field(description="Whether the project is in use.")
    owner_id: strawberry.ID = strawberry.field(description="Identifier of the user who owns it.")
    role: Role | None = loaded(Role | None, lambda loaders: loaders.own_role, by_id, "The caller's own role.")
    dataset_count: int = _count("dataset_count", "datasets")
    experiment_count: int = _count("experiment_count", "experiments")
    model_count: int = _count("model_count", "models")
    deployment_count: int = _count("deployment_count", "deployments")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    datasets: Connection[Dataset] = nested(
        resolve_dataset.of_projects,
        node=Dataset,
        permission=READ,
        sort=DatasetSort,
        description="Its datasets.",
    )
    experiments: Connection[Experiment] = nested(
        resolve_experiment.of_projects,
        node=Experiment,
        permission=READ,
        sort=ExperimentSort,
        description="Its experiments.",
    )
    models: Connection[Model] = nested(
        resolve_model.of_projects,
        node=Model,
        permission=READ,
        sort=ModelSort,
        description="Its models, the best first.",
    )
    deployments: Connection[Deployment] = nested(
        resolve_deployment.of_projects,
        node=Deployment,
        permission=READ,
        sort=DeploymentSort,
        filter=DeploymentFilter,
        description="Its deployments.",
    )
    members: Connection[Member] = nested(
        resolve.members, node=Member, permission=READ, sort=MemberSort, description="Who works in the project."
    )
    timeline: Connection[TimelineEvent] = nested(
        resolve.timeline,
        node=TimelineEvent,
        permission=READ,
        description="What happened within `EVENT_DAYS` (365, unless the server is set otherwise), newest first.",
    )


@strawberry.type(description="The project that was created or changed.")
class ProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")
    warnings: list[str] = name_warnings("project")


@strawberry.type(description="The member that was added.")
class MemberPayload:
    member: Member = strawberry.field(description="The member.")


@strawberry.input(description="A member to remove.")
class RemoveMemberInput:
    project_id: strawberry.ID = strawberry.field(description="The project.")
    member_id: strawberry.ID = strawberry.field(description="Identifier of the membership.")


async def _one(info: Info, id: Id) -> Project:
    return await resolve.one(info, id)  # type: ignore[return-value]


async def _create(info: Info, input: inputs.CreateProject) -> ProjectPayload:
    return ProjectPayload(project=await resolve.create(info, input))  # type: ignore[arg-type]


async def _update(info: Info, input: inputs.UpdateProject) -> ProjectPayload:
    return ProjectPayload(project=await resolve.update(info, input))  # type: ignore[arg-type]


async def _delete(info: Info, input: DeleteInUseInput) -> DeletedPayload:
    return DeletedPayload(id=strawberry.ID(str(await resolve.delete(info, input.id, force=input.force))))


async def _add_member(info: Info, input: inputs.AddMember) -> MemberPayload:
    return MemberPayload(member=await resolve.add_member(info, input))  # type: ignore[arg-type]


async def _remove_member(info: Info, input: RemoveMemberInput) -> DeletedPayload:
    await resolve.remove_member(info, input.project_id, input.member_id)
    return DeletedPayload(id=input.member_id)


@strawberry.type
class ProjectQuery:
    project: Project = guarded(_one, READ, "One project.")
    projects: Connection[Project] = connection(
        resolve.many,
        node=Project,
        permission=READ,
        sort=ProjectSort,
        filter=inputs.ProjectFilter,
        description="Projects owned by or shared with the caller.",
    )


@strawberry.type
class ProjectMutation:
    create_project: ProjectPayload = mutation(_create, CREATE, "Create a project; the caller becomes its owner.")
    update_project: ProjectPayload = mutation(_update, MANAGE, "Change a project's name or description.")
    delete_project: DeletedPayload = mutation(_delete, OWN, "Delete a project and everything in it, files included.")
    add_member: MemberPayload = mutation(_add_member, MANAGE, "Add a registered person to a project.")
    remove_member: DeletedPayload = mutation(
        _remove_member, LEAVE, "Remove a person from a project, which needs the role admin, or leave it oneself."
    )
