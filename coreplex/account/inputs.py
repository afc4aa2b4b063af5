"""What a caller must say to register, sign in, and manage passwords and keys."""

from datetime import datetime, timedelta
from typing import Annotated

import email_validator
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationInfo, field_validator

from coreplex.account.passwords import MAX_LENGTH, MIN_LENGTH
from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.clock import now
from coreplex.platform.inputs import Identifier
from coreplex.platform.permissions import Scope

MAX_KEY_DAYS = 3650
NOT_AN_EMAIL = Message("not_an_email", "is not an e-mail address")

# The library's own switch: this server stands in private networks too, where people are `ada@box.local`.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def _printable(value: str) -> str:
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise WrongValue(Message("control_characters", "holds control characters"))
    return value


def _address(value: str) -> str:
    try:
        found = email_validator.validate_email(value, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        raise WrongValue(NOT_AN_EMAIL) from None
    if "." not in found.domain and found.domain != "localhost":
        raise WrongValue(NOT_AN_EMAIL)
    return found.normalized


PRINTABLE = Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"})
SOMETHING_PRINTABLE = Field(json_schema_extra={"pattern": r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]*$"})
AN_EMAIL = Field(json_schema_extra={"format": "email"})
"""What the functions above them enforce, as OpenAPI says it."""

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable), SOMETHING_PRINTABLE
]
NewEmail = Annotated[str, StringConstraints(strip_whitespace=True, max_length=320), AfterValidator(_address), AN_EMAIL]
KnownEmail = Annotated[str, StringConstraints(strip_whitespace=True, max_length=320), AfterValidator(_printable), PRINTABLE]
NewPassword = Annotated[str, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
AnyPassword = Annotated[str, StringConstraints(max_length=MAX_LENGTH)]
Token = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class Register(BaseModel):
    email: NewEmail = Field(description="The person's e-mail.")
    name: Line = Field(description="Display name, 1 to 200 characters.")
    password: NewPassword = Field(description="Password of 8 characters or more.")
    invitation_token: Token | None = Field(
        None, description="The token of an invitation to this e-mail: it confirms the e-mail, and the person joins the project."
    )


class VerifyEmail(BaseModel):
    token: Token = Field(description="The token from the mail.")


class ResendVerification(BaseModel):
    email: KnownEmail = Field(description="E-mail of the account.")


class ForgotPassword(BaseModel):
    email: KnownEmail = Field(description="E-mail of the account.")


class Login(BaseModel):
    email: KnownEmail = Field(description="E-mail of the account.")
    password: AnyPassword = Field(description="Its password.")
    remember: bool = Field(False, description="Stay signed in for 30 days instead of 24 hours.")


REVOKE_KEYS = "True also revokes every API key of the account; without it they work on, and the answer says how many."


class ResetPassword(BaseModel):
    token: Token = Field(description="The token from the mail.")
    password: NewPassword = Field(description="The new password, 8 characters or more.")
    revoke_api_keys: bool = Field(False, description=REVOKE_KEYS)


class ChangePassword(BaseModel):
    current_password: AnyPassword = Field(description="The password as it is now.")
    new_password: NewPassword = Field(description="The new one, 8 characters or more.")
    revoke_api_keys: bool = Field(False, description=REVOKE_KEYS)


class ChangeEmail(BaseModel):
    email: NewEmail = Field(description="The new e-mail.")
    password: AnyPassword = Field(description="The password of the account, which proves that it is its owner who asks.")


class UpdateMe(BaseModel):
    name: Line | None = Field(None, description="New display name, 1 to 200 characters; left out, the old one stays.")


class EndSession(BaseModel):
    session_id: Identifier = Field(description="The session.")


class RevokeApiKey(BaseModel):
    api_key_id: Identifier = Field(description="The key.")


class CreateApiKey(BaseModel):
    name: Line = Field(description="What the key is for, 1 to 200 characters.")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)] = Field(description="What the key may do; one or more.")
    project_id: Identifier | None = Field(None, description="Limits the key to this project.")
    expires_at: datetime | None = Field(None, description="When the key ends; without it and `expiresInDays` it does not.")
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_KEY_DAYS)] | None = Field(
        None, description="In how many days the key ends, 1 to 3650; not together with `expiresAt`."
    )

    @field_validator("expires_at")
    @classmethod
    def _later(cls, value: datetime | None) -> datetime | None:
        if value is not None and not now() < value <= now() + timedelta(days=MAX_KEY_DAYS):
            raise WrongValue(Message("key_ends_too_late", "must lie in the next {days} days", days=MAX_KEY_DAYS))
        return value

    @field_validator("expires_in_days")
    @classmethod
    def _once(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("expires_at") is not None:
            raise WrongValue(Message("two_expiries", "give this or expires_at, not both"))
        return value

    @property
    def end(self) -> datetime | None:
        """When the key expires; None: never."""
        if self.expires_in_days is not None:
            return now() + timedelta(days=self.expires_in_days)
        return self.expires_at
