"""The public contract: committed as it is, described to the last argument, and closed except where it says otherwise."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    is_abstract_type,
    is_non_null_type,
    is_specified_directive,
    is_specified_scalar_type,
)
from pydantic import BaseModel, ValidationError

from coreplex.errors.tree import DomainError
from schema.door.http import GraphQLDoor
from schema.error_codes import CODES, MENDABLE
from schema.execution import ROOTS, STORED, core_schema, permission_of
from schema.export import SDL, sdl
from schema.shown import shown_by
from tests.contract.samples import PUBLIC

ROOT_FIELDS = [(root, name) for root in ROOTS.values() if root is not None for name in root.fields]
TYPES = [t for name, t in core_schema.type_map.items() if not name.startswith("__") and not is_specified_scalar_type(t)]


def test_the_committed_sdl_is_the_schema() -> None:
    assert SDL.read_text(encoding="utf-8") == sdl(), "the schema changed: run `python -m schema.export` and commit the file"


def test_every_type_of_an_interface_or_union_says_what_rows_it_shows() -> None:
    """Or else nobody could tell that a row is of it: `@shows` (schema/shown.py), or `@node` of its table."""
    abstract = [kind for kind in TYPES if is_abstract_type(kind)]
    members = {one.name: one for kind in abstract for one in core_schema.get_possible_types(kind)}
    assert members
    assert [name for name, kind in members.items() if shown_by(kind) is None] == []


def _described() -> Iterator[tuple[str, str | None]]:
    for kind in TYPES:
        yield kind.name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{kind.name}.{name}", value.description) for name, value in kind.values.items())
            continue
        for name, field in getattr(kind, "fields", {}).items():
            yield f"{kind.name}.{name}", field.description
            for argument, definition in getattr(field, "args", {}).items():
                yield f"{kind.name}.{name}({argument})", definition.description
    for directive in core_schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive.description


def test_everything_is_described() -> None:
    assert [name for name, text in _described() if not (text or "").strip()] == []


@pytest.mark.parametrize(("root", "name"), ROOT_FIELDS, ids=[f"{root.name}.{name}" for root, name in ROOT_FIELDS])
def test_every_root_field_says_who_may_use_it(root: Any, name: str) -> None:
    permission = permission_of(root, name)
    assert permission is not None, "make the field with one of schema/field.py or schema/pagination.py"
    assert not permission.public or name in PUBLIC


def test_the_public_fields_are_these() -> None:
    found = {name for root, name in ROOT_FIELDS if (permission := permission_of(root, name)) and permission.public}
    assert found == PUBLIC
    for name in PUBLIC - {"session"}:
        permission = permission_of(core_schema.mutation_type, name) or permission_of(core_schema.query_type, name)
        assert permission is not None
        assert permission.once, f"{name} takes credentials: it may stand in a request once"


def test_enum_names_are_their_values_and_upper_case_where_they_are_public() -> None:
    for kind in TYPES:
        if isinstance(kind, GraphQLEnumType):
            for name, value in kind.values.items():
                shown = str(value.value.value if isinstance(value.value, Enum) else value.value)
                assert name == shown.upper(), f"{kind.name}.{name}"
                assert shown in STORED.schema.type_map[kind.name].values, f"{kind.name}.{name}"  # type: ignore[attr-defined]


def test_mutations_take_one_input_and_return_a_payload_of_their_own() -> None:
    assert core_schema.mutation_type is not None
    for name, field in core_schema.mutation_type.fields.items():
        assert set(field.args) <= {"input"}, name
        assert all(str(one.type) == f"{name[0].upper()}{name[1:]}Input!" for one in field.args.values()), name
        assert isinstance(field.type, GraphQLObjectType), name
        assert field.type.name == f"{name[0].upper()}{name[1:]}Payload"
        assert str(field.type.fields["userErrors"].type) == "[UserError!]!"
        required = {one for one, part in field.type.fields.items() if str(part.type).endswith("!") and "[" not in str(part.type)}
        assert required == set(), f"{name} can be refused: null then"


def test_a_root_field_that_fails_takes_nothing_else_with_it() -> None:
    required = [name for root, name in ROOT_FIELDS if root.name != "Subscription" and str(root.fields[name].type).endswith("!")]
    assert required == ["session"], "which is there for everybody"


DIFFERENT = {
    "status": "each kind of thing has states of its own",
    "role": "on the server, in a project, of a member besides the owner",
    "type": "of events it is open",
    "kind": "of a stored file, and of an issue",
    "version": "of a dataset it is an object",
    "stage": "of a model it follows from its deployments",
    "notes": "of an evaluation they are several sentences of the server's",
    "logs": "a deployment logs predictions",
    "warnings": "an evaluation says of which columns",
    "metrics": "of a model they have intervals",
    "curves": "a model's stand in a file that may be missing",
    "model": "the log outlives models",
    **dict.fromkeys(("projectId", "project", "expiresAt"), "an API key need not have one"),
    **dict.fromkeys(("datasetVersionId", "datasetVersion"), "an evaluation may be of a file"),
    "entityId": "a job may be about nothing",
    **dict.fromkeys(("modelId", "deploymentId"), "a batch of predictions outlives what has predicted"),
    "url": "of a webhook it is shown to those who may change it",
    "threshold": "of a model it says what it does to answers, of an alert it is a number",
    "deployment": "a batch of predictions outlives what has predicted, an alert does not",
    "attempts": "those of a job are counted, those of a delivery told",
    "rowCount": "of a batch of predictions it is known at its end",
    "metric": "an A/B test is decided by a metric of each single row",
    **dict.fromkeys(("experimentId", "experiment"), "a retraining outlives its experiment"),
}
"""Fields whose types differ between nodes, which then need another name in one selection of `nodes`, with the reason."""


def test_fields_of_one_name_are_of_one_type_on_every_node() -> None:
    kinds: dict[str, set[str]] = {}
    for node in core_schema.get_possible_types(core_schema.type_map["Node"]):  # type: ignore[arg-type]
        for name, field in node.fields.items():
            kinds.setdefault(name, set()).add(str(field.type))
    assert {name for name, types in kinds.items() if len(types) > 1} == DIFFERENT.keys()


def test_what_may_be_left_out_has_no_printed_default() -> None:
    assert "= null" not in sdl()


def test_amounts_are_named_alike() -> None:
    for kind in TYPES:
        for name in getattr(kind, "fields", {}):
            assert not name.endswith(("Pct", "Percentage", "Rows")), f"{kind.name}.{name}: `…Percent` and `…RowCount`"


def test_every_scalar_says_where_it_is_specified() -> None:
    assert [kind.name for kind in TYPES if isinstance(kind, GraphQLScalarType) and not kind.specified_by_url] == []


def test_ids_are_ids() -> None:
    names = {f"{kind.name}.{name}": str(part.type) for kind in TYPES for name, part in getattr(kind, "fields", {}).items()}
    found = {place for place, kind in names.items() if place.endswith((".id", "Id", "Ids")) and "ID" not in kind}
    assert found <= {
        "OutcomeInput.requestId",
        "InferenceLogEntry.requestId",
        "InferenceLogEntryFilter.requestId",
        "PredictPayload.requestId",
        "PredictModelPayload.requestId",
        "PredictAbTestPayload.requestId",
        "ReplayDisagreement.requestId",
        "ReplayFailure.requestId",
    }


def _codes(kind: type[DomainError]) -> dict[str, bool]:
    found = {kind.code: kind.mendable}
    for one in kind.__subclasses__():
        found |= _codes(one)
    return found


def test_every_code_of_an_error_is_declared() -> None:
    assert GraphQLDoor, "declares errors of its own"
    codes = _codes(DomainError)
    bases_and_uploads = {"error", "failed", "unsupported_version"}
    assert {code for code in codes if code not in CODES} <= bases_and_uploads
    assert {code for code, mendable in codes.items() if mendable} == set(MENDABLE)


def test_secrets_are_in_no_type() -> None:
    for kind in TYPES:
        if isinstance(kind, GraphQLObjectType) and kind not in ROOTS.values():
            told = {"sdlHash", "passwordRules"} if kind.name == "Server" else set()
            assert {n for n in kind.fields if "hash" in n.lower() or "password" in n.lower()} == told, kind.name


def test_inputs_have_no_field_of_the_server() -> None:
    for kind in TYPES:
        if isinstance(kind, GraphQLInputObjectType) and not kind.name.endswith("Filter"):
            assert not {"ownerId", "userId", "createdAt", "updatedAt", "passwordHash"} & set(kind.fields), kind.name


def test_of_what_may_be_left_out_null_says_the_same() -> None:
    """Every field of an input that takes null takes it; whether the input is whole is another question."""
    told, seen = [], 0
    for kind in (one for one in TYPES if isinstance(one, GraphQLInputObjectType)):
        model = kind.extensions["strawberry-definition"].origin
        for name, field in kind.fields.items():
            if not is_non_null_type(field.type) and issubclass(model, BaseModel):
                python_name, seen = field.extensions["strawberry-definition"].python_name, seen + 1
                told += [f"{kind.name}.{name}" for place in _refused(model, {python_name: None}) if place[:1] == (python_name,)]
    assert told == []
    assert seen > 300


def _refused(model: type[BaseModel], data: dict[str, Any]) -> list[tuple[int | str, ...]]:
    """Where a model complains of what it is made of."""
    try:
        model.model_validate(data, by_alias=False, by_name=True)
    except ValidationError as error:
        return [one["loc"] for one in error.errors()]
    return []
