"""How schemas get their names: by hints, by what is equal, by where they stand."""

from typing import Any

from rest_compat.openapi.names import ABOUT, ALONE, NAMED, Components, folded, without_hints


def thing(hint: str | None = None, *fields: str, **more: Any) -> dict[str, Any]:
    """A schema of an object."""
    properties = {name: {"type": "string"} for name in fields or ("id",)}
    return {"type": "object", "properties": properties, **({NAMED: hint} if hint else {}), **more}


def named(**operations: Any) -> tuple[Any, dict[str, Any]]:
    """The operations with references, and the components."""
    components = Components(operations)
    return components.replaced(operations), components.schemas


def test_what_is_equal_is_one_component_wherever_it_stands() -> None:
    project = thing("Project", **{ABOUT: "A project."}, description="The one asked for.")
    nullable = {**project, "type": ["object", "null"], "description": "Where it belongs."}
    unhinted = thing(None)
    found, schemas = named(GetProject=project, GetModel={"project": nullable}, Other={"x": unhinted})
    assert schemas == {"Project": {"type": "object", "description": "A project.", "properties": {"id": {"type": "string"}}}}
    there = {"$ref": "#/components/schemas/Project"}
    assert found["GetProject"] == {**there, "description": "The one asked for."}
    assert found["GetModel"]["project"] == {"anyOf": [there, {"type": "null"}], "description": "Where it belongs."}
    assert found["Other"]["x"] == there


def test_of_two_with_one_name_the_rarer_adds_its_operation() -> None:
    often, once = thing("Model", "id", "name"), thing("Model", "id")
    _, schemas = named(ExplainModel=once, ListModels=[often, often], GetModel=often)
    assert {name: len(schema["properties"]) for name, schema in schemas.items()} == {"Model": 2, "ExplainModel": 1}


def test_what_nobody_named_is_called_after_its_place() -> None:
    nested = thing(None, "a") | {"properties": {"rows": {"type": "array", "items": thing(None, "x", "y")}}}
    _, schemas = named(Predict=nested)
    assert set(schemas) == {"Predict", "PredictRow"}
    assert schemas["Predict"]["properties"]["rows"]["items"] == {"$ref": "#/components/schemas/PredictRow"}


def test_bodies_that_are_equal_today_stay_two() -> None:
    one, other = thing("ForgotPasswordBody", **{ALONE: True}), thing("ResendVerificationBody", **{ALONE: True})
    assert set(named(ForgotPassword=one, ResendVerification=other)[1]) == {"ForgotPasswordBody", "ResendVerificationBody"}


def test_words_are_a_type_when_somebody_says_so_or_when_there_are_several() -> None:
    status = {"type": ["string", "null"], "enum": ["a", "b", None], NAMED: "State"}
    two, three = {"type": "string", "enum": ["x", "y"]}, {"type": "string", "enum": ["x", "y", "z"], "default": "z"}
    parameter = {"name": "kind", "in": "query", "schema": three}
    found, schemas = named(Get=thing(None) | {"properties": {"status": status, "two": two}}, List={"parameters": [parameter]})
    assert schemas["State"] == {"type": "string", "enum": ["a", "b"]}
    assert schemas["Get"]["properties"]["two"] == two
    assert found["List"]["parameters"][0]["schema"] == {"$ref": "#/components/schemas/ListKind", "default": "z"}


def test_hints_are_for_us() -> None:
    assert without_hints({"a": [thing("X", **{ABOUT: "", ALONE: True})]}) == {"a": [thing()]}
    assert folded("Revoke_ApiKey") == folded("RevokeAPIKey")
