"""Projects and members in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.event.table import Event
from coreplex.membership.access import open_project, visible
from coreplex.membership.table import Membership, ProjectStatus
from coreplex.membership.table import Project as Row
from coreplex.platform.permissions import MANAGE, READ, Permission, Role, Scope
from coreplex.project import hand_over, inputs, members, service
from resolvers.account import users
from resolvers.project import own_roles, project_counts
from schema.alert import ProjectAlerts
from schema.batch import ProjectBatches
from schema.common import name_warnings, published
from schema.dataset import ProjectDatasets
from schema.deleted import DeletedFromProjectPayload, DeletedPayload
from schema.deployment import ProjectDeployments
from schema.enums import enum
from schema.event import Event as Happening
from schema.experiment import ProjectExperiments
from schema.field import by_id, command, loaded, read
from schema.invitation import ProjectInvitations
from schema.links import owner
from schema.metric_change import ProjectMetricChanges
from schema.model import ProjectModels
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.promotion_gate import ProjectGate
from schema.replay import ProjectReplays
from schema.user import User
from schema.webhook import ProjectWebhooks

OWN = Permission(Scope.write, Role.owner, archived=True)
CREATE = Permission(Scope.write)
LEAVE = Permission(Scope.write, archived=True)
PUT_AWAY = Permission(Scope.write, Role.admin, archived=True)

enum(
    ProjectStatus,
    "Whether a project is in use.",
    {
        "active": "It is in use.",
        "archived": "It is put away: what is in it is read, deployments and models answer, but nothing in it changes.",
    },
)
published(inputs.DeleteProject, "DeleteProjectInput", "A project to remove.")
published(inputs.CreateProject, "CreateProjectInput", "A new project.")
published(inputs.UpdateProject, "UpdateProjectInput", "What changes in a project.")
published(inputs.AddMember, "AddMemberInput", "A person to bring into a project.")
published(inputs.ChangeMemberRole, "ChangeMemberRoleInput", "Another role for a member.")
published(inputs.TransferProject, "TransferProjectInput", "A project and its new owner.")
published(inputs.ArchiveProject, "ArchiveProjectInput", "A project to put away.")
published(inputs.UnarchiveProject, "UnarchiveProjectInput", "A project to take into use again.")
published(inputs.RemoveMember, "RemoveMemberInput", "A member to remove.")


def _count(name: str, noun: str) -> Any:
    def count(counts: Any, _project: Any) -> Any:
        return counts[name]

    return loaded(int, project_counts, by_id, f"Number of {noun} in the project.", count)


@node(Membership)
@strawberry.type(description="A person in a project.")
class Member:
    id: strawberry.ID = strawberry.field(description="Identifier of the membership, not of the person.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
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
    actor: User | None = loaded(
        User | None,
        users,
        lambda event: event.actor_id,
        "Who did it; null for the server itself and an account that is gone.",
    )


@strawberry.type
class ProjectFacts:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="Name.")
    description: str = strawberry.field(description="What the project is about.")
    status: ProjectStatus = strawberry.field(description="Whether the project is in use.")
    owner_id: strawberry.ID = strawberry.field(description="Identifier of the person who owns it.")
    owner: User = loaded(User, users, lambda project: project.owner_id, "Who owns it.")
    role: Role | None = loaded(Role | None, own_roles, by_id, "The caller's own role; null where they have left meanwhile.")
    dataset_count: int = _count("dataset_count", "datasets")
    experiment_count: int = _count("experiment_count", "experiments")
    model_count: int = _count("model_count", "models")
    deployment_count: int = _count("deployment_count", "deployments")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")


@node(Row, visible)
@strawberry.type(description="A place for datasets, experiments, models and deployments, shared by its members.")
class Project(
    ProjectFacts,
    ProjectInvitations,
    ProjectDatasets,
    ProjectExperiments,
    ProjectModels,
    ProjectDeployments,
    ProjectGate,
    ProjectBatches,
    ProjectReplays,
    ProjectMetricChanges,
    ProjectWebhooks,
    ProjectAlerts,
):
    """Each concept says in a base of its own what it has in a project."""

    members: Connection[Member] = nested(members.MEMBERS, "Who works in the project.")
    timeline: Connection[TimelineEvent] = nested(
        service.TIMELINE, "What happened within `EVENT_DAYS` (365, unless the server is set otherwise), newest first."
    )


@strawberry.type(description="The project with its name.")
class ProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")
    warnings: list[Notice] = name_warnings("project")


@strawberry.type(description="The member that was added.")
class MemberPayload:
    member: Member = strawberry.field(description="The member.")


@strawberry.type(description="The member with the new role.")
class ChangeMemberRolePayload:
    member: Member = strawberry.field(description="The member.")


@strawberry.type(description="The project with its new owner.")
class TransferProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")


@strawberry.type(description="The project that was put away.")
class ArchiveProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")


@strawberry.type(description="The project that is in use again.")
class UnarchiveProjectPayload:
    project: Project = strawberry.field(description="The project as it is now.")


@strawberry.type
class ProjectQuery:
    project: Project | None = read(open_project, READ, "One project.")
    projects: Connection[Project] | None = connection(
        service.PROJECTS, "Projects owned by or shared with the caller, archived ones too unless the filter says otherwise."
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
    add_member: MemberPayload | None = command(members.add, MemberPayload, MANAGE, "Add a registered person to a project.")
    remove_member: DeletedFromProjectPayload | None = command(
        members.remove,
        DeletedFromProjectPayload,
        LEAVE,
        "Remove a person from a project, which needs the role admin, or leave it oneself.",
    )
    change_member_role: ChangeMemberRolePayload | None = command(
        members.change_role,
        ChangeMemberRolePayload,
        MANAGE,
        "Let a member do more or less in a project, at once. The owner's role stays; see `transferProject`.",
    )
    transfer_project: TransferProjectPayload | None = command(
        hand_over.transfer,
        TransferProjectPayload,
        OWN,
        "Give a project to another of its members, for whom it counts from now on; the former owner becomes an admin of it.",
    )
    archive_project: ArchiveProjectPayload | None = command(
        hand_over.archive,
        ArchiveProjectPayload,
        PUT_AWAY,
        "Put a project away. It is read as before, and its deployments and models go on answering; uploads, trainings, "
        "deployments, new members and every other change are a conflict. Members may leave or be removed, invitations be "
        "revoked, deployments be deactivated, and the owner may transfer or delete it. A conflict while one of its jobs runs or "
        "waits.",
    )
    unarchive_project: UnarchiveProjectPayload | None = command(
        hand_over.unarchive, UnarchiveProjectPayload, PUT_AWAY, "Take an archived project into use again."
    )
