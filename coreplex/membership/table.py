"""Rows of projects and of who may do what in them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import key, moment, reference, word
from coreplex.platform.permissions import Role


class MemberRole(StrEnum):
    """The roles that can be given: a project has one owner, who made it."""

    viewer = Role.viewer.value
    editor = Role.editor.value
    admin = Role.admin.value


class ProjectStatus(StrEnum):
    active = "active"
    archived = "archived"


class Project(SQLModel, table=True):
    __tablename__ = "projects"
    __bound__ = Bound("Quota of the account: `MAX_PROJECTS`.")

    id: UUID = key()
    owner_id: UUID = reference("users.id")
    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=10_000)
    status: ProjectStatus = word(ProjectStatus, ProjectStatus.active)
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()


class Membership(SQLModel, table=True):
    """Who belongs to a project. The owner has a row too, so visibility is one join."""

    __tablename__ = "memberships"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    user_id: UUID = reference("users.id")
    role: Role = word(Role)
    created_at: datetime = moment()
