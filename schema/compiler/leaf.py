"""Leaves: a Python expression that completes a value `v` of a scalar or an enum, or lists of them.

The usual Python type of a scalar is taken as it is; everything else goes through graphql-core's own coercion, and what that
refuses raises, so that graphql-core meets it again and says what is wrong.
"""

from collections.abc import Callable, Container, Mapping
from enum import EnumType
from types import NoneType
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    Undefined,
    specified_scalar_types,
)
from graphql.pyutils import UndefinedType

Bind = Callable[[str, Any], str]
"""Makes an object known to the generated code; returns the name it has there."""
Quick = Mapping[str, tuple[Container[type], Callable[[Any], Any] | None]]
"""By the name of a custom scalar: values of exactly these types are completed by this function (as they are, without one)."""

_USUAL = {
    "String": "v.__class__ is str",
    "ID": "v.__class__ is str",
    "Boolean": "v.__class__ is bool",
    "Int": "v.__class__ is int and -2147483648 <= v <= 2147483647",
    "Float": "v.__class__ is float and -inf < v < inf",
}


class Unusual(Exception):
    """A value that generated code does not complete; never leaves the compiler."""


def expression(kind: GraphQLOutputType, bind: Bind, quick: Quick) -> str:
    """An expression over `v`. Raises Unusual, or whatever a coercion raises, for what graphql-core is to look at."""
    if isinstance(kind, GraphQLNonNull):
        return _present(kind.of_type, bind, quick)
    return f"(None if v is None else {_present(kind, bind, quick)})"


def _present(kind: Any, bind: Bind, quick: Quick) -> str:
    if isinstance(kind, GraphQLList):
        return f"([{expression(kind.of_type, bind, quick)} for v in v] if v.__class__ is list else {bind('refuse', _refuse)}(v))"
    coerced = f"{bind('coerce', strict(kind.coerce_output_value))}(v)"
    if isinstance(kind, GraphQLEnumType):
        return f"({_named(kind, bind)} or {coerced})"
    if kind not in specified_scalar_types.values():
        return _custom(kind.name, coerced, bind, quick)
    usual = _USUAL[kind.name]
    if kind.name == "ID":
        return f"(v if {usual} else str(v) if isinstance(v, {bind('UUID', UUID)}) else {coerced})"
    return f"(v if {usual} else {coerced})"


def _custom(name: str, coerced: str, bind: Bind, quick: Quick) -> str:
    if name not in quick:
        return coerced
    kinds, function = quick[name]
    done = f"{bind('complete', function)}(v)" if function else "v"
    return f"({done} if v.__class__ in {bind('kinds', kinds)} else {coerced})"


def odd(kind: type) -> bool:
    """Whether values of this type are none: nulls, errors, and promises of a value."""
    return kind is NoneType or kind is UndefinedType or issubclass(kind, Exception) or hasattr(kind, "__await__")


def strict(coerce: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`coerce`, for values only: what is odd is Unusual, before and after."""

    def complete(value: Any) -> Any:
        if odd(type(value)):
            raise Unusual
        done = coerce(value)
        if done is None or done is Undefined:
            raise Unusual
        return done

    return complete


def _named(kind: GraphQLEnumType, bind: Bind) -> str:
    """The name of a member, or of its plain value. A member is looked up by its own name: Python's hash of it is slow."""
    known, members = _names(kind), getattr(kind, "wrapped_cls", None)
    plain = f"{bind('names', known)}.get(v)"
    if not isinstance(members, EnumType):
        return plain
    own = {one._name_: known[one] for one in list[Any](members) if one in known}
    return f"({bind('own', own)}.get(v._name_) if v.__class__ is {bind('kind', members)} else {plain})"


def _names(kind: GraphQLEnumType) -> dict[Any, str]:
    """What each member is called, and its plain value where graphql-core takes that too."""
    found: dict[Any, str] = {}
    members = list(getattr(kind, "wrapped_cls", ()))
    for value in (*members, *(value.value for value in kind.values.values())):
        try:
            found[value] = kind.coerce_output_value(value)
        except Exception:  # noqa: S112 then it stays unknown here, and graphql-core is asked
            continue
    return found


def _refuse(_value: Any) -> Any:
    raise Unusual
