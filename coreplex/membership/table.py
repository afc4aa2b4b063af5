"""Rows of projects and of who may do what in them."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, Index, UniqueConstraint, func
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import OF_PROJECT, Bound, Rule
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


class Invitation(SQLModel, table=True):
    """A person asked into a project who has no account yet, and SHA-256 of the token; accepted or revoked, the row goes."""

    __tablename__ = "invitations"
    __bound__ = Bound(
        "Quota of the project: `MAX_ITEMS_PER_PROJECT`. Good for 7 days, and listed for 30 more.",
        (Rule("expires_at < :horizon", timedelta(days=30)),),
    )
    __table_args__ = (
        Index("uq_invitations_project_id_email", "project_id", func.lower(Column("email")), unique=True),
        Index("ix_invitations_email", func.lower(Column("email"))),
    )

    id: UUID = key()
    project_id: UUID = reference("projects.id", index=False)
    email: str = Field(max_length=320)
    role: MemberRole = word(MemberRole)
    invited_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    token_hash: bytes = Field(unique=True)
    mails: int = 0
    """How many were sent in the hour of the last one."""
    created_at: datetime = moment()
    sent_at: datetime = moment()
    expires_at: datetime = moment()


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
