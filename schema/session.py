"""Who asks, and what a front-end must know of the server before anybody has signed in. Open to strangers."""

import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Any

import strawberry

from coreplex.account.passwords import MAX_LENGTH, MIN_LENGTH
from coreplex.engines.tabular.read.file_formats import SUFFIXES
from coreplex.platform.page import DEFAULT_PAGE, MAX_PAGE
from coreplex.platform.permissions import PUBLIC, Scope
from coreplex.platform.settings import Mode, Registration
from coreplex.platform.version import server_version
from resolvers.account import users
from resolvers.context import Context, Info
from resolvers.session import WhoAsks, api_keys, ends, who_asks
from resolvers.visible import projects
from schema.account import ApiKey
from schema.cost import MAX_COST
from schema.enums import enum
from schema.field import computed, guarded, loaded
from schema.limits import LIMITS
from schema.project import Project
from schema.scalars import Long
from schema.secret import secret
from schema.user import User

enum(
    Mode,
    "How the server was set up.",
    {"development": "To be tried and worked on: it shows more of itself.", "production": "For everyday use."},
    name="ServerMode",
)


@lru_cache(maxsize=1)
def _digest_of(schema: Any) -> str:
    return hashlib.sha256((schema.as_str() + "\n").encode()).hexdigest()


def _fact(kind: Any, name: str, description: str) -> Any:
    """A setting."""
    return computed(kind, lambda _root, context: getattr(context.services.settings, name), description)


def _constant(kind: Any, value: Any, description: str) -> Any:
    return computed(kind, lambda _root, _context: value, description)


def _part(kind: Any, description: str) -> Any:
    """An object made of settings; its fields look for themselves."""
    return computed(kind, lambda root, _context: root, description)


def _introspects(_root: Any, context: Context) -> bool:
    settings = context.services.settings
    return settings.introspectable and (settings.mode is Mode.development or context.principal is not None)


def _sdl_hash(root: strawberry.Parent[Any], info: Info) -> str:
    return _digest_of(info.schema)


@strawberry.type(description="What may be uploaded.")
class UploadRules:
    max_dataset_bytes: Long = _fact(Long, "max_dataset_upload_bytes", "Largest file with a table, in bytes.")
    formats: list[str] = _constant(
        list[str],
        list(SUFFIXES),
        "Endings of the names of files that can be read, each with its dot, as a file dialogue takes them.",
    )


@strawberry.type(description="What a new password must be like. Common ones are refused besides.")
class PasswordRules:
    min_length: int = _constant(int, MIN_LENGTH, "Fewest characters.")
    max_length: int = _constant(int, MAX_LENGTH, "Most characters.")


@strawberry.type(description="How large an operation may be.")
class OperationRules:
    default_page_size: int = _constant(int, DEFAULT_PAGE, "Items of a list where `first` is left out.")
    max_page_size: int = _constant(int, MAX_PAGE, "Most items of a list at once.")
    max_cost: int = _constant(int, MAX_COST, "Most an operation may cost; its cost is in `extensions.cost` of the answer.")
    max_depth: int = _constant(int, LIMITS.depth, "Deepest nesting of selections.")
    max_length: int = _constant(int, LIMITS.source_chars, "Most characters of a document.")
    max_root_fields: int = _constant(int, LIMITS.root_fields, "Most fields at the root of an operation.")


@strawberry.type(description="What a front-end must know of this server before anybody has signed in.")
class Server:
    version: str = _constant(str, server_version(), "Version of the server.")
    mode: Mode = _fact(Mode, "mode", "How the server was set up.")
    public_url: str = _fact(str, "base_url", "Address of the server, as links in its mails begin.")
    registration_open: bool = computed(
        bool,
        lambda _root, context: context.services.settings.registration is Registration.open,
        "Whether anybody may register; if not, only who was invited to a project.",
    )
    email_verification_required: bool = _fact(
        bool, "require_email_verification", "Whether a new account must open the link in its mail before it can sign in."
    )
    password_rules: PasswordRules = _part(PasswordRules, "What a new password must be like.")
    uploads: UploadRules = _part(UploadRules, "What may be uploaded.")
    operations: OperationRules = _part(OperationRules, "How large an operation may be.")
    introspection: bool = computed(bool, _introspects, "Whether the caller may ask the schema to describe itself.")
    sdl_hash: str = strawberry.field(
        resolver=_sdl_hash,
        description="SHA-256 in hexadecimal of the schema in its language, `schema/schema.graphql`: another one than a front-end "
        "was built with says that the server was changed.",
    )


@strawberry.type(description="Who asks and by what right. A stranger is told about the server only.")
class Session:
    user: User | None = loaded(
        User | None, users, lambda one: one.user_id, "The person, or the key's owner; null for a stranger."
    )
    csrf_token: str | None = secret(
        description="To be sent as `X-CSRF-Token` with every write by cookie; null for keys and strangers."
    )
    scopes: list[Scope] = strawberry.field(description="What the credential may do; a session may do everything.")
    project_id: strawberry.ID | None = strawberry.field(description="Identifier of the one project the key is limited to.")
    project: Project | None = loaded(
        Project | None, projects, lambda one: one.project_id, "The one project the key is limited to."
    )
    expires_at: datetime | None = loaded(
        datetime | None, ends, lambda one: one.credential_id, "When the session or key ends; null for a key without an end."
    )
    api_key: ApiKey | None = loaded(ApiKey | None, api_keys, lambda one: one.api_key_id, "The key the caller has shown.")
    server: Server = _part(Server, "The server.")


async def _session(info: Info) -> WhoAsks:
    return await who_asks(info)


@strawberry.type
class SessionQuery:
    session: Session = guarded(
        _session,
        PUBLIC,
        "Who asks, and what to know of the server. Needs no credential and is no refusal for a stranger, nor for a cookie whose "
        "session has ended; a wrong API key is refused here too.",
    )
