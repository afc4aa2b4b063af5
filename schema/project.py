"""Projects and members in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.event.table import Event
from coreplex.membership.access import open_project, visible
from coreplex.membership.table import MemberRole, Membership, ProjectStatus
from coreplex.membership.table import Project as Row
from coreplex.platform.permissions import MANAGE, READ, Permission, Role, Scope
from coreplex.project import inputs, service
from resolvers.account import users
from resolvers.project import own_roles, project_counts
from schema.common import DeletedPayload, name_warnings, published
from schema.dataset import ProjectDatasets
from schema.deployment import ProjectDeployments
from schema.enums import enum
from schema.event import Event as Happening
from schema.experiment import ProjectExperiments
from schema.field import by_id, command, loaded, read
from schema.model import ProjectModels
from schema.node import node
from schema.pagination import Connection, connection, nested, sort_input
from schema.user import User

OWN = Permission(Scope.write, Role.owner)
CREATE = LEAVE = Permission(Scope.write)

enum(
    ProjectStatus,
    "Whether a project is in use. Nothing archives one yet.",
    {"active": "It is in use.", "archived": "It is kept, and not worked in."},
)
enum(
    MemberRole,
    "What a new member may do; a project has one owner, who made it.",
    {
        "viewer": "May see everything.",
        "editor": "May also upload, train, deploy and delete what is in the project.",
        "admin": "May also change the project and its members.",
    },
)
published(inputs.DeleteProject, "DeleteProjectInput", "A project to remove.")
published(inputs.CreateProject, "CreateProjectInput", "A new project.")
published(inputs.UpdateProject, "UpdateProjectInput", "What changes in a project.")
published(inputs.AddMember, "AddMemberInput", "A person to bring into a project.")
published(inputs.RemoveMember, "RemoveMemberInput", "A member to remove.")
published(inputs.ProjectFilter, "ProjectFilter", "Which projects are wanted.")

ProjectSort = sort_input("Project", service.ORDER)
MemberSort = sort_input("Member", service.MEMBERS.order)


def _count(name: str, noun: str) -> Any:
    def count(counts: Any, _project: Any) -> Any:
        return counts[name]

    return loaded(int, project_counts, by_id, f"Number of {noun} in the project.", count)


@node(Membership)
@strawberry.type(description="A person in a project.")
class Member:
    id: strawberry.ID = strawberry.field(description="Identifier of the membership, not of the person.")
    user_id: strawberry.ID = strawberry.field(description="Identifier of the person.")
    user: User = loaded(User, users, lambda member: member.user_id, "The person.")
    role: Role = strawberry.field(description="What the person may do in the project.")
    created_at: datetime = strawberry.field(description="When the person joined.")


def _event_id(root: strawberry.Parent[Event]) -> strawberry.ID:
    return strawberry.ID(str(root.seq))


@node(Event, service.timeline, by="seq")
@strawberry.type(description="Something that happened in a project: who did what to which thing.")
class TimelineEvent(Happening):
    id: strawberry.ID = strawberry.field(resolver=_event_id, description="Number of the event; later ones are larger.")
    user: User | None = loaded(User | None, users, lambda event: event.actor_id, "Who did it; empty for the server itself.")


@strawberry.type
class ProjectFacts:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="Name.")
    description: str = strawberry.field(description="What the project is about.")
    status: ProjectStatus = strawberry.field(description="Whether the project is in use.")
    owner_id: strawberry.ID = strawberry.field(description="Identifier of the person who owns it.")
    owner: User = loaded(User, users, lambda project: project.owner_id, "Who owns it.")
    role: Role | None = loaded(Role | None, own_roles, by_id, "The caller's own role.")
    dataset_count: int = _count("dataset_count", "datasets")
    experiment_count: int = _count("experiment_count", "experiments")
    model_count: int = _count("model_count", "models")
    deployment_count: int = _count("deployment_count", "deployments")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")


@node(Row, visible)
@strawberry.type(description="A place for datasets, experiments, models and deployments, shared by its members.")
class Project(ProjectFacts, ProjectDatasets, ProjectExperiments, ProjectModels, ProjectDeployments):
    """Each concept says in a base of its own what it has in a project."""

    members: Connection[Member] = nested(service.MEMBERS, "Who works in the project.", sort=MemberSort)
    timeline: Connection[TimelineEvent] = nested(
        service.TIMELINE, "What happened within `EVENT_DAYS` (365, unless the server is set otherwise), newest first."
    )


@strawberry.type(description="The project that was created or changed.")
class ProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")
    warnings: list[str] = name_warnings("project")


@strawberry.type(description="The member that was added.")
class MemberPayload:
    member: Member = strawberry.field(description="The member.")


@strawberry.type
class ProjectQuery:
    project: Project | None = read(open_project, READ, "One project.")
    projects: Connection[Project] | None = connection(
        service.listing, "Projects owned by or shared with the caller.", sort=ProjectSort, filter=inputs.ProjectFilter
    )


@strawberry.type
class ProjectMutation:
    create_project: ProjectPayload | None = command(
        service.create, ProjectPayload, CREATE, "Create a project; the caller becomes its owner."
    )
    update_project: ProjectPayload | None = command(
        service.update, ProjectPayload, MANAGE, "Change a project's name or description."
    )
    delete_project: DeletedPayload | None = command(
        service.delete, DeletedPayload, OWN, "Delete a project and everything in it, files included."
    )
    add_member: MemberPayload | None = command(service.add_member, MemberPayload, MANAGE, "Add a registered person to a project.")
    remove_member: DeletedPayload | None = command(
        service.remove_member,
        DeletedPayload,
        LEAVE,
        "Remove a person from a project, which needs the role admin, or leave it oneself.",
    )
