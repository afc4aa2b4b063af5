"""The one tree of errors a caller may see.

    DomainError
    ├── Unauthenticated 401   ├── Forbidden 403      ├── NotFound 404     ├── Conflict, Damaged, QuotaExceeded 409
    ├── BadInput 400          │   (unreadable file, bad token)            ├── TooLarge 413
    ├── Locked 423             ├── ChecksumMismatch 460
    ├── Invalid, NoModel 422  ├── RateLimited 429    ├── Unavailable, Busy 503  └── StorageFull, DatabaseFull 507

GraphQL shows `code` in `extensions`, REST the `status` and `{"detail": …}`, both from the same object.
Anything that is not a DomainError is masked and logged with a request id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Parameter = str | int | float | Sequence[str] | Sequence[int]
"""What a message may mention: what JSON can carry. Several are written with commas between them."""


class _Several(tuple[Any, ...]):
    """Values as a sentence lists them."""

    def __str__(self) -> str:
        return ", ".join(map(str, self))

    def __repr__(self) -> str:
        return ", ".join(map(repr, self))


class Message(str):
    """A sentence for people that also has a machine word and its parameters, so that a front-end can say it in another language.

    `Message("too_many_rows", "has {rows:,} rows; send at most {most:,}", rows=12_000, most=10_000)`

    The template is a literal, and each reason is given in one place: `schema.messages` collects them from the code.
    What a caller sent is only ever a parameter.
    """

    __slots__ = ("parameters", "reason")
    reason: str
    parameters: Mapping[str, Any]

    def __new__(cls, reason: str, template: str, /, **parameters: Parameter) -> "Message":
        said = {name: list(one) if isinstance(one, tuple) else one for name, one in parameters.items()}
        written = {name: _Several(one) if isinstance(one, list) else one for name, one in said.items()}
        return cls.worded(reason, template.format(**written), said)

    @classmethod
    def worded(cls, reason: str, text: str, parameters: Mapping[str, Any]) -> "Message":
        """A sentence that was worded already: by another process, by a library, or with something before or after it."""
        made = super().__new__(cls, text)
        made.reason, made.parameters = reason, parameters
        return made

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Message":
        """The sentence of a `to_json`; what else the document holds is somebody else's."""
        return cls.worded(document["reason"], document["message"], document["parameters"])

    def to_json(self) -> dict[str, Any]:
        """To be stored, or sent to another process."""
        return {"message": str(self), **self.as_dict()}

    def as_dict(self) -> dict[str, Any]:
        return {"reason": self.reason, "parameters": dict(self.parameters)}

    def __reduce__(self) -> Any:
        """Copies are made of what it is made of: `str` would ask for the text alone."""
        return Message.worded, (self.reason, str(self), dict(self.parameters))

    def same(self, other: "Message") -> bool:
        """Whether both say the same of the same things."""
        return self.as_dict() == other.as_dict()

    def then(self, other: "Message | None") -> "Message":
        """The sentence and another after it: the reason stays, the parameters are those of both."""
        if other is None:
            return self
        between = "" if self.endswith((".", "?", "!")) else ";" if other[:1].islower() else "."
        return self.worded(self.reason, f"{self}{between} {other}", {**self.parameters, **other.parameters})

    def cut(self, most: int) -> "Message":
        """The sentence in so many characters at most; what a longer one mentions is as long, and left out."""
        return self if len(self) <= most else self.worded(self.reason, self[:most], {})

    def at(self, place: str) -> "Message":
        """The sentence with the place before it that it is about."""
        return self.worded(self.reason, f"{place}: {self}", self.parameters)


class WrongValue(ValueError):
    """What a rule of an input raises; Pydantic adds the place of the value."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class FieldError:
    """One wrong value: where it stands (`("config", "nfolds")`), what is wrong with it, and a machine word."""

    loc: tuple[str | int, ...]
    msg: Message
    type: str = "value_error"
    """REST's word for the kind of mistake."""

    @classmethod
    def missing(cls, *loc: str | int) -> "FieldError":
        """A value that must be there and is not, in Pydantic's words."""
        return cls(loc, Message("missing", "Field required"), "missing")

    def told(self, skip: int = 0) -> Message:
        """The message with its place, less the first words of it."""
        place = ".".join(map(str, self.loc[skip:]))
        return self.msg.at(place) if place else self.msg

    def as_dict(self) -> dict[str, object]:
        """As REST shows it."""
        return {"loc": list(self.loc), "msg": self.msg, "type": self.type}

    def with_reason(self) -> dict[str, object]:
        """The same with its machine word and what the message mentions."""
        return {**self.as_dict(), **self.msg.as_dict()}


class DomainError(Exception):
    """Base: a safe message for the caller, a stable `code`, an HTTP `status`."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    mendable: ClassVar[bool] = False
    """A person can mend it by saying something else, or by doing something first: a wrong value, a conflict, a limit reached."""
    retry_after: int | None = None
    """Seconds after which the same request may succeed, where that is known."""

    def __init__(self, message: Message, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.errors = tuple(errors)


class BadInput(DomainError):
    """The bytes cannot be understood: an unreadable file, an unknown token."""

    code, status = "bad_input", 400
    mendable = True


class Unauthenticated(DomainError):
    code, status = "unauthenticated", 401


class Forbidden(DomainError):
    code, status = "forbidden", 403


class NotFound(DomainError):
    """Unknown, malformed or not yours: the three are told apart nowhere."""

    code, status = "not_found", 404

    @classmethod
    def of(cls, noun: str) -> "NotFound":
        return cls(Message("not_found", "{noun} not found", noun=noun))


class Conflict(DomainError):
    code, status = "conflict", 409
    mendable = True


class QuotaExceeded(DomainError):
    """An account or a project holds as much as it may; nothing was added. Not 429: waiting makes no room, deleting does."""

    code, status = "quota_exceeded", 409
    mendable = True


class Damaged(DomainError):
    """A stored file is missing, or is not the one that was written: a matter for the server's administrator, who is told."""

    code, status = "damaged", 409
    mendable = True


class TooLarge(DomainError):
    code, status = "too_large", 413
    mendable = True


class Locked(DomainError):
    """Somebody else is at it this moment."""

    code, status = "locked", 423
    mendable = True


class ChecksumMismatch(DomainError):
    """The bytes that arrived are not those that were announced (a status of the tus protocol)."""

    code, status = "checksum_mismatch", 460


def _spelled(loc: tuple[str | int, ...]) -> str:
    """A place as a caller writes it, without the part of the request it stands in."""
    return ".".join(map(str, loc[loc[:1] in {("body",), ("query",)} :]))


class Invalid(DomainError):
    """The request was understood and one or more values are wrong."""

    code, status = "invalid", 422
    mendable = True

    @classmethod
    def field(cls, msg: Message, *loc: str | int) -> "Invalid":
        """One wrong value. `msg` is a sentence of its own, or begins in lower case and goes on from the name of the place."""
        return cls(msg if msg[:1].isupper() else msg.at(_spelled(loc)), errors=[FieldError(loc, msg)])

    @classmethod
    def fields(cls, errors: Sequence[FieldError], skip: int = 0) -> "Invalid":
        """Wrong values, each with its place; `skip`: how many words of each place the sentence leaves out (`body`, `query`)."""
        told = [error.told(skip) for error in errors]
        message = told[0] if len(told) == 1 else Message("several_values", "{told}", told="; ".join(told))
        return cls(message, errors=errors)


class NoModel(DomainError):
    """A training ended before a single model was done."""

    code, status = "no_model", 422
    mendable = True
    advice: ClassVar[Message] = Message(
        "no_model",
        "The run ended before one model was finished. Give it more time (max_runtime_secs), fewer folds (nfolds) or columns, or "
        "allow more algorithms; the log says what happened.",
    )

    def __init__(self, message: Message = advice, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message, errors=errors)


class RateLimited(DomainError):
    code, status = "rate_limited", 429

    def __init__(self, message: Message, *, retry_after: int, window: object = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.window = window
        """The used-up rate window, for the headers of the refusal."""


AWAY_SECS = 2
"""After which somebody may ask again what is away."""


class Unavailable(DomainError):
    """A part we need (database, Redis) is away for the moment."""

    code, status = "unavailable", 503
    retry_after: int | None = AWAY_SECS


class Busy(Unavailable):
    """Everything is there, and others are served first: too many requests wait for the same."""

    code = "busy"

    def __init__(self, message: Message, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CallerLeft(DomainError):
    """The client hung up; nobody reads this answer, only the log does."""

    code, status = "caller_left", 499


class StorageFull(DomainError):
    """Our disk has no room left, or so little that the rest is the database's."""

    code, status = "storage_full", 507


class DatabaseFull(Unavailable):
    """The database's disk has no room left: for the caller the same, for a job a reason to wait."""

    code, status = StorageFull.code, StorageFull.status
    retry_after = None
