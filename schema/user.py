"""People in the public contract: one type for everybody, of which the person and administrators see more than others."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.account.service import visible
from coreplex.account.table import User as Row
from coreplex.platform.permissions import Plan, UserRole
from resolvers.context import Context
from schema.enums import enum
from schema.field import computed
from schema.node import node

enum(
    UserRole,
    "Whether a person administers the server.",
    {"user": "An ordinary account.", "admin": "An administrator of the server."},
)

OWN = "Null for everybody but the person and the server's administrators."


def _own(name: str, kind: Any, description: str) -> Any:
    """A fact of the account that is nobody else's business."""

    def read(user: Any, context: Context) -> Any:
        return getattr(user, name) if context.sees_account(user.id) else None

    return computed(kind | None, read, f"{description} {OWN}")


@node(Row, visible)
@strawberry.type(description="A person with an account, as the members of their projects see them.")
class User:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="Display name.")
    email: str = strawberry.field(description="E-mail.")
    created_at: datetime = strawberry.field(description="When the account was made.")
    role: UserRole | None = _own("role", UserRole, "Whether the person administers the server.")
    plan: Plan | None = _own("plan", Plan, "What the person's plan includes.")
    email_verified_at: datetime | None = _own("email_verified_at", datetime, "When the e-mail was confirmed; null before.")
