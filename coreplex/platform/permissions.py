"""Callers, the permission a field demands, and the check of one against the other. Pure: no database, no HTTP."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from coreplex.errors.tree import Forbidden, Message, Unauthenticated


class UserRole(StrEnum):
    user = "user"
    admin = "admin"


class Plan(StrEnum):
    free = "free"
    pro = "pro"
    team = "team"
    enterprise = "enterprise"


class Scope(StrEnum):
    read = "read"
    write = "write"
    predict = "predict"
    admin = "admin"


def usable_scopes(role: UserRole) -> frozenset[Scope]:
    """Scopes that mean something in the hands of a user: nobody but an administrator administers by a key."""
    return frozenset(Scope) if role is UserRole.admin else frozenset(Scope) - {Scope.admin}


class Role(StrEnum):
    """What a member may do; each role includes the ones before it."""

    viewer = "viewer"
    editor = "editor"
    admin = "admin"
    owner = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, needed: "Role") -> bool:
        return self.rank >= needed.rank


class Category(StrEnum):
    """The budgets of the rate limiter (contract A.6)."""

    general = "general"
    authentication = "authentication"
    predictions = "predictions"
    training = "training"
    reports = "reports"
    builder = "builder"


FOR_WHAT_IS_MADE = frozenset({Category.training})
"""Budgets of things, not of requests: a request that makes nothing gets its charge back, and pays as any other."""


class Credential(StrEnum):
    session = "session"
    api_key = "api_key"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential was checked. A session holds every scope; a key only its own."""

    user_id: UUID
    email: str
    name: str
    user_role: UserRole
    plan: Plan
    credential: Credential
    credential_id: UUID
    scopes: frozenset[Scope]
    project_id: UUID | None = None
    csrf_token: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Permission:
    """What a GraphQL field demands. Declared on the field, printed in the SDL, enforced by the guard.

    Told apart by identity, not by value: a request keeps its grants by permission, and looks one up for every field.
    """

    scope: Scope | None = None
    """Scope a key must carry; None: the field is public."""
    role: Role = Role.viewer
    """Least role in the project the field works on."""
    session_only: bool = False
    """True: API keys are refused; only a signed-in session may."""
    administrator: bool = False
    """True: only administrators of the server."""
    category: Category = Category.general
    once: bool = False
    """True: the field may stand only once in a request."""
    archived: bool = False
    """True: it may also change an archived project, in which nothing else can be changed."""

    @property
    def public(self) -> bool:
        return self.scope is None


PUBLIC = Permission()
READ = Permission(Scope.read)
WRITE = Permission(Scope.write, Role.editor)
MANAGE = Permission(Scope.write, Role.admin)


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission in a caller's hands: what `Caller.grant` returns and what every service asks for."""

    principal: Principal
    permission: Permission = field(default=READ)

    @property
    def user_id(self) -> UUID:
        return self.principal.user_id


def authorize(principal: Principal | None, permission: Permission) -> None:
    """Raise Unauthenticated or Forbidden unless the caller may use a field with this permission.

    Object-level rights (is the caller a member, with which role) are asked where the object is opened.
    """
    if permission.public:
        return
    if principal is None:
        raise Unauthenticated(Message("sign_in_needed", "Sign in, or send an API key as `Authorization: Bearer <key>`."))
    if permission.session_only and principal.credential is not Credential.session:
        raise Forbidden(Message("session_needed", "This needs a signed-in session; API keys are not accepted here."))
    if permission.administrator and principal.user_role is not UserRole.admin:
        raise Forbidden(Message("administrator_needed", "Only an administrator of this server may do this."))
    if permission.scope not in principal.scopes and not _is_master(principal):
        raise Forbidden(Message("scope_missing", "This API key lacks the scope '{scope}'.", scope=str(permission.scope)))


def _is_master(principal: Principal) -> bool:
    """An `admin` key of an administrator passes the other scopes too (contract A.2)."""
    return principal.user_role is UserRole.admin and Scope.admin in principal.scopes
