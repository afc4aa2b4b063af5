"""The column types every table uses, so that each is spelled once."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, DateTime, Dialect, Enum, ForeignKey, Numeric, TypeDecorator, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.platform.clock import now
from coreplex.platform.document import storable
from coreplex.platform.identifier import new_id

# Constraints need names, or a later migration cannot drop them. Set here because every table imports this module.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def key() -> Any:
    """A UUIDv7 primary key, made in Python."""
    return Field(default_factory=new_id, primary_key=True)


def reference(target: str, *, index: bool = True, on_delete: str = "CASCADE", default: Any = ...) -> Any:
    """A foreign key; `default=None` with `on_delete="SET NULL"` for what may vanish."""
    field: dict[str, Any] = {"index": index, "sa_column_args": [ForeignKey(target, ondelete=on_delete)]}
    return Field(**field) if default is ... else Field(default=default, **field)


def moment(*, index: bool = False) -> Any:
    """When something happened, UTC; set on insert."""
    return Field(default_factory=now, sa_type=DateTime(timezone=True), index=index)


def maybe_moment(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), index=index)


def word(kind: type[StrEnum], default: StrEnum | None = None, *, index: bool = False) -> Any:
    """An enumeration stored as its value in a text column: adding a word needs no migration of a type."""
    if default is None:
        return Field(sa_type=_words(kind), index=index)
    return Field(default=default, sa_type=_words(kind), index=index)


def maybe_word(kind: type[StrEnum]) -> Any:
    """The same where there may be none."""
    return Field(default=None, sa_type=_words(kind), nullable=True)


def _words(kind: type[StrEnum]) -> Any:
    return Enum(kind, native_enum=False, length=32, create_constraint=False, values_callable=lambda e: [m.value for m in e])


def exact_sum() -> Any:
    """A sum of which values are taken back: nothing of them stays, however large they were. Read as the float nearest to it."""
    return Field(default=0.0, sa_type=Numeric(asdecimal=False))


def document(factory: Any = dict) -> Any:
    """A JSON document (JSONB)."""
    return Field(default_factory=factory, sa_type=JSONB)


def maybe_document() -> Any:
    return Field(default=None, sa_type=JSONB(none_as_null=True))


def _document(message: Message) -> Any:
    return storable(message.to_json())


class Notice(TypeDecorator[Message]):
    """A message with its word and parameters."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Message | None, dialect: Dialect) -> Any:
        return None if value is None else _document(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Message | None:
        return None if value is None else Message.from_json(value)


class Notices(TypeDecorator[list[Message]]):
    """Messages with their words and parameters, in the order they were said."""

    impl = JSONB
    cache_ok = True

    def process_bind_param(self, value: list[Message] | None, dialect: Dialect) -> Any:
        return None if value is None else [_document(one) for one in value]

    def process_result_value(self, value: Any, dialect: Dialect) -> list[Message] | None:
        return None if value is None else [Message.from_json(one) for one in value]


def maybe_notice() -> Any:
    """What is to be said of a row, if anything is."""
    return Field(default=None, sa_type=Notice)


def sentence(column: Any) -> ColumnElement[str]:
    """The text of a notice, for a search."""
    return type_coerce(column, JSONB)["message"].astext


def notices() -> Any:
    """What is to be said of a row: none, or several messages."""
    return Field(default_factory=list, sa_column=Column(Notices, nullable=False))


__all__ = [
    "UUID",
    "datetime",
    "document",
    "key",
    "maybe_document",
    "maybe_moment",
    "maybe_notice",
    "maybe_word",
    "moment",
    "notices",
    "reference",
    "sentence",
    "word",
]
