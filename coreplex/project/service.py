"""What can be done with projects. Nothing here commits; the door that opened the transaction does."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, any_, func, select
from sqlmodel import col

from coreplex.account.cache import announce
from coreplex.dataset.table import Dataset
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Forbidden, Message
from coreplex.event import service as event
from coreplex.event.table import Event, EventKind
from coreplex.experiment.table import Experiment
from coreplex.job import service as job
from coreplex.job.service import enqueue_removal
from coreplex.membership import quota
from coreplex.membership.access import SERVING, open_project, visible_projects, visible_rows
from coreplex.membership.table import Membership, Project, ProjectStatus
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import refuse_in_use
from coreplex.platform.filtering import identifiers, moments, numbers, one_of, reference, text, words
from coreplex.platform.listener import announce_change
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant, Role
from coreplex.platform.settings import Settings
from coreplex.project.inputs import CreateProject, DeleteProject, UpdateProject

COUNTED: Mapping[str, type[Dataset | Experiment | Model | Deployment]] = {
    "dataset_count": Dataset,
    "experiment_count": Experiment,
    "model_count": Model,
    "deployment_count": Deployment,
}


def _count_of(table: type[Dataset | Experiment | Model | Deployment]) -> ColumnElement[int]:
    return select(func.count()).where(col(table.project_id) == col(Project.id)).correlate(Project).scalar_subquery()


ORDER = Order(
    {
        "created_at": col(Project.created_at),
        "updated_at": col(Project.updated_at),
        "name": func.lower(Project.name),
        **{name: _count_of(table) for name, table in COUNTED.items()},
    }
)


PROJECTS = Listing(
    noun="Project",
    query=select(Project),
    identity=col(Project.id),
    order=ORDER,
    search=Search("the name and the description", (col(Project.name), col(Project.description))),
    filters={
        "ids": identifiers(col(Project.id), "Only these projects."),
        "name": text(col(Project.name), "By name."),
        "status": one_of(col(Project.status), ProjectStatus, "Only projects in one of these states."),
        "created_at": moments(col(Project.created_at), "By when they were created."),
        "updated_at": moments(col(Project.updated_at), "By when they were last changed."),
        "dataset_count": numbers(_count_of(Dataset), "By how many datasets they have."),
        "experiment_count": numbers(_count_of(Experiment), "By how many experiments they have."),
        "model_count": numbers(_count_of(Model), "By how many models they have."),
        "deployment_count": numbers(_count_of(Deployment), "By how many deployments they have."),
    },
    visible=lambda grant: col(Project.id).in_(visible_projects(grant)),
)
"""Projects owned by or shared with the caller."""


def counts(project_ids: Any) -> Select[*tuple[Any, ...]]:
    """How many datasets, experiments, models and deployments each project has, in the order of `COUNTED`."""
    return select(col(Project.id), *map(_count_of, COUNTED.values())).where(col(Project.id) == any_(project_ids))


async def create(session: WriteSession, grant: Grant, wanted: CreateProject, settings: Settings) -> Project:
    """A project of the caller's own. Raises Forbidden for a key that is bound to one project, QuotaExceeded."""
    if grant.principal.project_id is not None:
        raise Forbidden(Message("key_bound_to_project", "This API key is bound to one project; it cannot create another."))
    await quota.take_project(session, settings, grant.user_id)
    project = Project(owner_id=grant.user_id, name=wanted.name, description=wanted.description)
    session.add(project)
    await session.flush()
    session.add(Membership(project_id=project.id, user_id=grant.user_id, role=Role.owner))
    await event.audit(session, grant.user_id, project, "project.created", f"Project “{project.name}” was created.")
    return project


async def update(session: WriteSession, grant: Grant, wanted: UpdateProject) -> Project:
    project = await open_project(session, grant, wanted.project_id)
    project.name = wanted.name
    if wanted.description is not None:
        project.description = wanted.description
    project.updated_at = now()
    session.add(project)
    await event.audit(session, grant.user_id, project, "project.updated", f"Project “{project.name}” was changed.")
    return project


async def delete(session: WriteSession, grant: Grant, wanted: DeleteProject) -> UUID:
    """Remove the project and all that is in it; running jobs are cancelled, files follow by a job of their own.

    Raises Conflict while a production deployment is active or an experiment trains, unless `force`.
    """
    project = await open_project(session, grant, wanted.project_id, lock=False)  # locked last: workers lock their jobs first
    if not wanted.force:
        await refuse_in_use(session, Project, select(col(Project.id)).where(col(Project.id) == project.id))
    await job.cancel_project(session, project.id)
    members = await session.scalars(select(col(Membership.user_id)).where(col(Membership.project_id) == project.id))
    await announce(session, *members)
    await session.delete(project)
    await session.flush()
    await announce_change(session, SERVING)
    await enqueue_removal(session, "project", project.id, prefix=f"projects/{project.id}", created_by=grant.user_id)
    return project.id


TIMELINE = Listing(
    noun="TimelineEvent",
    query=select(Event).where(col(Event.kind) == EventKind.audit),
    identity=col(Event.seq),
    order=Order({"created_at": col(Event.seq), "type": col(Event.type)}),
    search=Search("the message and the type", (col(Event.message), col(Event.type))),
    filters={
        "type": words(col(Event.type), "Only what happened so: `project.created`, `model.deleted`."),
        "entity_type": words(col(Event.entity_type), "Only what happened to things of one of these kinds."),
        "entity_id": reference(col(Event.entity_id), "Thing", "Only what happened to this thing."),
        "actor_id": reference(col(Event.actor_id), "User", "Only what this person did."),
        "created_at": moments(col(Event.created_at), "By when it happened."),
    },
    parent=col(Event.project_id),
)
"""What happened in projects the caller may see."""


def timeline(grant: Grant) -> Select[Event]:
    """What happened in the caller's projects."""
    return visible_rows(grant, Event).where(col(Event.kind) == EventKind.audit)
