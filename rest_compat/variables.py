"""From path, query string and JSON body to GraphQL variables, with errors that name the caller's own keys."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNonNull,
    VariableDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_required_input_field,
    type_from_ast,
    value_from_ast_untyped,
)
from graphql.utilities import validate_input_value
from strawberry.utils.str_converters import to_camel_case

from coreplex.errors.nearest import hint, nearest
from coreplex.errors.tree import FieldError, Invalid, Message
from coreplex.platform.page import MAX_PAGE, between
from rest_compat.endpoint import Endpoint
from rest_compat.stored import operations, snake
from rest_compat.words import one_of
from schema.errors import without_values
from schema.execution import STORED, Coerced

PAGE_INTO = {
    "limit": "first",
    "offset": "offset",
    "search": "search",
    "sort_field": "sort.field",
    "sort_direction": "sort.direction",
}
BEYOND = 2**31 - 1
"""What is larger than GraphQL's Int is as far out of every range of ours as this, and is refused by naming the range."""
MOST_ERRORS = 50
"""That are told of one request: of ten thousand objects each may be wrong."""
ALIASES = {"sort_dir": "sort_direction", "sort_direction": "sort_dir"}


class Bound(NamedTuple):
    """A request's variables, as they were sent and as the operation runs with them."""

    given: dict[str, Any]
    coerced: Coerced


@cache
def binder_of(endpoint: Endpoint) -> "Binder":
    """The one of an endpoint."""
    return Binder(endpoint)


class Binder:
    """Turns one endpoint's requests into variables of its operation."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.operation = operation = operations()[endpoint.operation]
        self.types = {d.variable.name.value: _type_of(d) for d in operation.definition.variable_definitions or ()}
        self.required = {
            d.variable.name.value
            for d in operation.definition.variable_definitions or ()
            if isinstance(self.types[d.variable.name.value], GraphQLNonNull) and d.default_value is None
        }
        self.defaults = {
            d.variable.name.value: value_from_ast_untyped(d.default_value)
            for d in operation.definition.variable_definitions or ()
            if d.default_value is not None
        }
        self.path_names = tuple(re.findall(r"{(\w+)", endpoint.path))
        if endpoint.paged and not {"first", "offset", "search", "sort"} <= self.types.keys():
            raise ValueError(f"{endpoint.operation} gives a list and must take first, offset, search and sort")
        self.params = (*endpoint.params, *(PAGE_INTO if endpoint.paged else ()))
        taken = {*self.params, *(PAGE_INTO if endpoint.whole else ())}
        self.accepted = frozenset(taken | {ALIASES[name] for name in taken if name in ALIASES})
        """Parameters of the query, every spelling."""
        self.targets = {name: self.target(name) for name in (*self.path_names, *self.params, *endpoint.body)}
        expected = {name: self.type_at(self.targets[name]) for name in self.params if name not in endpoint.words}
        self._kinds = {
            name: (get_named_type(kind).name, is_list_type(get_nullable_type(kind))) for name, kind in expected.items()
        }
        kinds = {name: self.type_at(self.targets[name]) for name in endpoint.body if name not in endpoint.by_name}
        self._objects = {} if endpoint.columns else {name: kind for name, kind in kinds.items() if _has_keys(kind)}
        """Keys of the body whose values are objects of the contract, or lists of them."""
        self._said = {target[-1]: name for name, target in self.targets.items()}

    def target(self, name: str) -> list[str]:
        """The variable path a REST name is written to."""
        if name in self.endpoint.into:
            return self.endpoint.into[name].split(".")
        if self.endpoint.paged and name in PAGE_INTO:
            return PAGE_INTO[name].split(".")
        variable = to_camel_case(name)
        return [variable] if variable in self.types else ["input", variable]

    def bind(self, path: Mapping[str, str], query: Mapping[str, str], body: Mapping[str, Any]) -> Bound:
        """Variables for the operation. Raises Invalid naming every wrong value."""
        variables: dict[str, Any] = dict(self.defaults)
        for name in self.path_names:
            _set(variables, self.targets[name], path[name])
        if query:
            for name, raw in self._asked(query):
                _set(variables, self.targets[name], self._from_text(name, raw))
        for name in self.endpoint.body:
            if body.get(name) is not None:
                _set(variables, self.targets[name], self._word(name, body[name]))
        for target, value in self.endpoint.constants.items():
            _set(variables, target.split("."), value)
        if "input" in self.required:
            variables.setdefault("input", {})
        errors = self._outside(variables, body)
        plain = None if errors else self.operation.compiled.coerce_plain(variables)
        if plain is not None:
            return Bound(variables, plain)
        self._check(variables, self._origin(query, body), [name for name in body if name not in self.endpoint.body], errors)
        return Bound(variables, self.operation.coerce(variables))

    def _asked(self, query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The parameters that were sent with a value."""
        for name in self.params:
            raw = query.get(name, query.get(ALIASES.get(name, ""), ""))
            if raw != "":
                yield name, raw

    def _origin(self, query: Mapping[str, str], body: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[str, str]]:
        """Where in the request each variable comes from."""
        names = [("path", name) for name in self.path_names]
        names += [("query", name) for name, _ in self._asked(query)]
        names += [("body", name) for name in self.endpoint.body if body.get(name) is not None]
        return {tuple(self.targets[name]): (place, name) for place, name in names}

    def _word(self, name: str, value: Any) -> Any:
        """A word of REST's own as what it stands for; what is none is refused below."""
        words, fields = self.endpoint.words.get(name), self.endpoint.by_name.get(name)
        if fields is not None:
            return _listed(value, fields)
        if name in self._objects:
            return _respelled(value, self._objects[name])
        return words.get(value, value) if words and isinstance(value, str) else value

    def _from_text(self, name: str, raw: str) -> Any:
        """A query string value as the variable's type wants it; what does not fit stays text and is refused below."""
        if name in self.endpoint.words:
            return self.endpoint.words[name].get(raw, raw)
        kind, several = self._kinds[name]
        value = self._leaf(kind, raw)
        return [value] if several else value

    @staticmethod
    def _leaf(kind: str, raw: str) -> Any:
        if kind in {"Int", "Long"} and re.fullmatch(r"[+-]?\d{1,300}", raw):
            return max(-BEYOND, min(BEYOND, int(raw))) if kind == "Int" else int(raw)
        if kind == "Float":
            return float(raw) if re.fullmatch(r"[+-]?\d{1,18}(\.\d{0,18})?", raw) else raw
        if kind == "Boolean":
            return {"true": True, "1": True, "false": False, "0": False}.get(raw.lower(), raw)
        return raw

    def type_at(self, target: list[str]) -> Any:
        """The GraphQL type of a variable path."""
        found: Any = self.types[target[0]]
        for part in target[1:]:
            inner = get_named_type(found)
            assert isinstance(inner, GraphQLInputObjectType)
            found = inner.fields[part].type
        return found

    def _outside(self, variables: Mapping[str, Any], body: Mapping[str, Any]) -> list[FieldError]:
        """What REST refuses that GraphQL takes, or says in its own words: an empty page is GraphQL's way to count, and a key that
        is misspelt no way to leave another one out."""
        stated = self.endpoint.says_one_of
        if stated and body.keys().isdisjoint(stated):
            return [FieldError.missing("body", name) for name in stated]
        wanted = variables.get("first") if self.endpoint.paged else None
        if not isinstance(wanted, int) or 1 <= wanted <= MAX_PAGE:
            return []
        return [FieldError(("query", "limit"), between(1, MAX_PAGE), "type_error")]

    def _check(
        self,
        variables: dict[str, Any],
        origin: Mapping[tuple[str, ...], tuple[str, ...]],
        unknown: Sequence[str],
        errors: list[FieldError],
    ) -> None:
        """Adds what is wrong with the variables to `errors`, and raises Invalid if there are any."""
        for variable, kind in self.types.items():
            if variable in variables:
                self._check_one(variable, kind, variables[variable], origin, errors)
            elif variable in self.required:
                errors.append(FieldError.missing(*self._place(variable)))
        errors = [_beside(error, unknown) for error in errors]
        if errors:
            raise Invalid.fields(errors, skip=1)

    def _check_one(self, variable: str, kind: Any, value: Any, origin: Any, errors: list[FieldError]) -> None:
        inner = get_named_type(kind)
        if isinstance(inner, GraphQLInputObjectType) and isinstance(value, dict):
            for name, definition in inner.fields.items():
                target = (variable, name)
                if name not in value:
                    if is_required_input_field(definition):
                        errors.append(FieldError.missing(*self._place_of(target, origin)))
                    continue
                self._validate(value[name], definition.type, target, origin, errors)
        else:
            self._validate(value, kind, (variable,), origin, errors)

    def _validate(self, value: Any, kind: Any, target: tuple[str, ...], origin: Any, errors: list[FieldError]) -> None:
        place = self._place_of(target, origin)
        words = self.endpoint.words.get(place[-1], ())
        if not is_list_type(get_nullable_type(kind)) or isinstance(value, list):

            def refuse(error: GraphQLError, path: list[str | int]) -> None:
                if len(errors) >= MOST_ERRORS:
                    return
                inside = [snake(p) if isinstance(p, str) else p for p in path if place[0] != "query"]
                told = one_of(words, value) if words and isinstance(value, str) else _plain(error.message, kind, value)
                own = origin.get((*target, *path))
                errors.append(FieldError(own or (*place, *inside), told, "type_error"))

            validate_input_value(value, kind, refuse, hide_suggestions=True)
        else:
            by_name = place[-1] in self.endpoint.by_name
            wanted = Message("no_object", "must be an object") if by_name else Message("no_list", "must be a list")
            errors.append(FieldError(place, one_of(words, value) if words else wanted, "type_error"))

    def placed(self, error: Invalid) -> Invalid:
        """The domain's complaint with places in the request: `("body", "password")`. What lies deeper is the caller's own."""
        errors = [replace(one, loc=self._placed(one.loc)) for one in error.errors]
        # A message that only lists the wrong values is told again in the caller's spelling; a written one stays.
        listed = error.message == Invalid.fields(error.errors).message
        return Invalid.fields(errors, skip=1) if listed else Invalid(error.message, errors=errors)

    def _placed(self, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
        if not loc:
            return ("body",)
        if loc[0] in {"body", "query", "path"}:
            return loc
        inside = (snake(part) if isinstance(part, str) else part for part in loc[1:]) if self._is_object(str(loc[0])) else loc[1:]
        return (*self._place(str(loc[0])), *inside)

    def _is_object(self, name: str) -> bool:
        """Whether the keys below a key of the body are the contract's, not the caller's own."""
        inputs = (get_named_type(kind) for kind in self.types.values())
        fields = (kind.fields.get(to_camel_case(name)) for kind in inputs if isinstance(kind, GraphQLInputObjectType))
        return any(found is not None and _has_keys(found.type) for found in fields)

    def _place_of(self, target: tuple[str, ...], origin: Any) -> tuple[str, ...]:
        return origin[target] if target in origin else self._place(target[-1])

    def _place(self, variable: str) -> tuple[str, ...]:
        name = self._said.get(variable) or snake(variable)
        return ("query", name) if name in self.params else ("body", name)


def _has_keys(kind: Any) -> bool:
    return isinstance(get_named_type(kind), GraphQLInputObjectType)


def _respelled(value: Any, kind: Any) -> Any:
    """A value with the keys of its objects as the contract has them; what is no such object is refused below."""
    plain = get_nullable_type(kind)
    if is_list_type(plain) and isinstance(value, list):
        return [_respelled(one, plain.of_type) for one in value]
    if not (isinstance(plain, GraphQLInputObjectType) and isinstance(value, dict)):
        return value
    names = {snake(name): name for name in plain.fields}
    known = {names[key]: _respelled(one, plain.fields[names[key]].type) for key, one in value.items() if key in names}
    return known | {key: one for key, one in value.items() if key not in names}


def _listed(value: Any, fields: tuple[str, str]) -> Any:
    """The keys of an object with their values as a list of objects; what is no object as no list, to be refused."""
    if isinstance(value, dict):
        return [dict(zip(fields, pair, strict=True)) for pair in value.items()]
    return str(value) if isinstance(value, list) else value


def _beside(error: FieldError, unknown: Sequence[str]) -> FieldError:
    """A key that is missing, with the unknown key that was probably meant for it."""
    sent = nearest(str(error.loc[-1]), unknown) if error.type == "missing" else None
    if sent is None:
        return error
    return replace(error, msg=Message("missing_or_misspelt", "Field required; you sent '{sent}'", sent=sent[:100]))


def _plain(message: str, kind: Any, value: Any) -> Message:
    """GraphQL's wording without its type system."""
    expected = {"String": "text", "Int": "a whole number", "Float": "a number", "Boolean": "true or false", "ID": "an identifier"}
    inner = get_named_type(kind)
    if inner.name in expected and "cannot represent" in message:
        return Message("wrong_kind", "must be {kind}", kind=expected[inner.name])
    if hasattr(inner, "values"):
        return one_of(inner.values, value[0] if isinstance(value, list) and len(value) == 1 else value)
    key = re.search(r"(not to include unknown|to include required) field '(\w+)'", message)
    if key:
        missing = Message("key_missing", "the key '{key}' is missing", key=snake(key[2]))
        return missing if "required" in key[1] else _unknown(key[2], inner)
    if message.endswith("not to be None."):
        return Message("value_null", "must not be null")
    enum = re.search(r"does not exist in '(\w+)' enum", message)
    if enum:
        return one_of(STORED.schema.type_map[enum[1]].values)  # type: ignore[attr-defined]
    return Message("variable_not_valid", "{told}", told=without_values(message)[:300])


def _unknown(key: str, kind: Any) -> Message:
    known = [snake(name) for name in getattr(kind, "fields", ())]
    return Message("key_unknown", "there is no key '{key}' here.", key=key[:100]).then(hint(key, known))


def _type_of(definition: VariableDefinitionNode) -> GraphQLInputType:
    found = type_from_ast(STORED.schema, definition.type)
    assert found is not None
    return found  # type: ignore[return-value]


def _set(variables: dict[str, Any], target: list[str], value: Any) -> None:
    for part in target[:-1]:
        variables = variables.setdefault(part, {})
    variables[target[-1]] = value
