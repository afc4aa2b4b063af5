"""Rows of people and of the ways they prove who they are. Secrets are stored as hashes only."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ARRAY, Column, Index, String, func
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import key, maybe_moment, moment, reference, word
from coreplex.platform.permissions import Plan, UserRole


class TokenPurpose(StrEnum):
    verify_email = "verify_email"
    reset_password = "reset_password"  # noqa: S105 a purpose, not a password
    change_email = "change_email"


OWNS_NOTHING = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} o WHERE o.{column} = t.id)"  # noqa: S608 our own names
    for table, column in (("projects", "owner_id"), ("memberships", "user_id"), ("sessions", "user_id"), ("api_keys", "user_id"))
)


class User(SQLModel, table=True):
    __tablename__ = "users"
    __bound__ = Bound(
        "`MAX_ACCOUNTS`. While `REQUIRE_EMAIL_VERIFICATION` is on, one that never confirmed its e-mail goes after "
        "`UNCONFIRMED_ACCOUNT_DAYS`.",
        (
            Rule(
                f"email_verified_at IS NULL AND role = 'user' AND created_at < :horizon AND {OWNS_NOTHING}",
                "unconfirmed_account_days",
                only_if="require_email_verification",
                batch=20,
            ),
        ),
    )
    __table_args__ = (Index("uq_users_email_lower", func.lower(Column("email")), unique=True),)

    id: UUID = key()
    email: str = Field(max_length=320)
    name: str = Field(max_length=200)
    password_hash: str
    role: UserRole = word(UserRole, UserRole.user)
    plan: Plan = word(Plan, Plan.enterprise)
    is_active: bool = True
    email_verified_at: datetime | None = maybe_moment()
    created_at: datetime = moment()
    updated_at: datetime = moment()


class Session(SQLModel, table=True):
    """A signed-in browser. `token_hash` is SHA-256 of the cookie; the CSRF token is derived from the cookie, never stored."""

    __tablename__ = "sessions"
    __bound__ = Bound(
        "100 of an account: the next one ends the oldest. Ends after 30 days at most.", (Rule("expires_at < :horizon"),)
    )

    id: UUID = key()
    user_id: UUID = reference("users.id")
    token_hash: bytes = Field(unique=True)
    remember: bool = False
    user_agent: str = Field(default="", max_length=300)
    address: str = Field(default="", max_length=64)
    created_at: datetime = moment()
    last_seen_at: datetime = moment()
    expires_at: datetime = moment()


class ApiKey(SQLModel, table=True):
    """A program's key `cpx_live.<id>.<secret><checksum>`; only SHA-256 of the secret is kept."""

    __tablename__ = "api_keys"
    __bound__ = Bound(
        "Quota of the account: `MAX_API_KEYS` that can be used. One that was revoked or has expired is listed for 90 days more.",
        (Rule("least(revoked_at, expires_at) < :horizon", timedelta(days=90)),),
    )

    id: UUID = key()
    user_id: UUID = reference("users.id")
    project_id: UUID | None = reference("projects.id", default=None)
    name: str = Field(max_length=200)
    prefix: str = Field(max_length=64)
    secret_hash: bytes = Field(unique=True)
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    created_at: datetime = moment()
    last_used_at: datetime | None = maybe_moment()
    expires_at: datetime | None = maybe_moment()
    revoked_at: datetime | None = maybe_moment()


class OneTimeToken(SQLModel, table=True):
    """The token of a link in a mail; only its SHA-256 is kept."""

    __tablename__ = "one_time_tokens"
    __bound__ = Bound(
        "5 an hour of each kind for an account; a day after it has ended.", (Rule("expires_at < :horizon", timedelta(days=1)),)
    )

    id: UUID = key()
    user_id: UUID = reference("users.id")
    purpose: TokenPurpose = word(TokenPurpose)
    email: str | None = Field(default=None, max_length=320)
    """The address it was sent to, which the account is to have; None where it has it already."""
    token_hash: bytes = Field(unique=True)
    created_at: datetime = moment()
    expires_at: datetime = moment()
    used_at: datetime | None = maybe_moment()


class FailedLogin(SQLModel, table=True):
    """Failures to prove one e-mail, counted in one place (`lockout.counters`): `who` is a digest of both.

    Says nothing about whether the account exists.
    """

    __tablename__ = "failed_logins"
    __bound__ = Bound("Forgotten 15 minutes after the wait is over.", (Rule("forget_at < :horizon"),))

    who: bytes = Field(primary_key=True)
    failures: int = 0
    wait_until: datetime = moment()
    forget_at: datetime = moment(index=True)


class Mail(SQLModel, table=True):
    """The outbox: written in the transaction that wants the mail, sent afterwards."""

    __tablename__ = "mails"
    __bound__ = Bound("`MAIL_DAYS`, sent or not.", (Rule("created_at < :horizon", "mail_days"),))

    id: UUID = key()
    recipient: str
    subject: str
    body: str
    created_at: datetime = moment(index=True)
    sent_at: datetime | None = maybe_moment()
    attempts: int = 0
    last_error: str | None = None
