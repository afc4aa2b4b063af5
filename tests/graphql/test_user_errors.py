"""What a person can mend is told in the payload, where somebody selects it; everything else among the errors."""

from typing import Any

import pytest
from sqlalchemy import func, select

from coreplex.membership.table import Project
from tests.factories.asking import Asker

CREATE = """mutation($input: CreateProjectInput!) { createProject(input: $input) {
  project { id } warnings { message } userErrors { message code field reason parameters } } }"""
ADD = """mutation($input: AddMemberInput!) { addMember(input: $input) {
  member { id } ...Told } } fragment Told on AddMemberPayload { userErrors { code field message } }"""


async def projects(asker: Asker) -> int:
    async with asker.world.database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(Project)) or 0)


async def test_a_wrong_value_has_its_place_its_rule_and_a_word(asker: Asker) -> None:
    before = await projects(asker)
    made: dict[str, Any] = (await asker.data(CREATE, input={"name": "x" * 201}))["createProject"]
    assert (made["project"], made["warnings"]) == (None, [])
    (told,) = made["userErrors"]
    assert (told["code"], told["field"], told["reason"]) == ("INVALID", ["input", "name"], "string_too_long")
    assert told["parameters"] == {"max_length": 200}
    assert "200" in told["message"]
    assert await projects(asker) == before
    well = (await asker.data(CREATE, input={"name": "x"}))["createProject"]
    assert (well["userErrors"], well["project"] is not None) == ([], True)


async def test_who_does_not_look_at_them_gets_an_error(asker: Asker) -> None:
    text = CREATE.replace("userErrors { message code field reason parameters }", "")
    told = await asker.refused(text, input={"name": ""})
    assert (told["code"], told["errors"][0]["reason"]) == ("INVALID", "string_too_short")


async def test_a_conflict_in_a_fragment(asker: Asker) -> None:
    email = asker.world.people["viewer"].email
    wanted = {"projectId": asker.world.ids["project"], "email": email, "role": "EDITOR"}
    told = (await asker.data(ADD, input=wanted))["addMember"]
    assert told["member"] is None
    assert [(one["code"], one["field"]) for one in told["userErrors"]] == [("CONFLICT", None)]


@pytest.mark.parametrize(("actor", "code"), [("stranger", "NOT_FOUND"), ("viewer", "FORBIDDEN")])
async def test_who_may_not_is_told_among_the_errors(asker: Asker, actor: str, code: str) -> None:
    wanted = {"projectId": asker.world.ids["project"], "email": "a@example.org", "role": "EDITOR"}
    body = await asker.ask(ADD, actor, input=wanted)
    assert (body["data"], body["errors"][0]["extensions"]["code"]) == ({"addMember": None}, code)


async def test_one_wrong_id_loses_nothing_else(asker: Asker) -> None:
    body = await asker.ask('{ a: project(id: "q") { id } me { email } b: datasets(filter: {projectId: "q"}) { totalCount } }')
    assert body["data"]["me"] == {"email": asker.world.people["owner"].email}
    assert (body["data"]["a"], body["data"]["b"]) == (None, None)
    assert sorted(error["path"] for error in body["errors"]) == [["a"], ["b"]]


async def test_a_refusal_leaves_its_key_free(asker: Asker) -> None:
    """What was refused may be mended and sent again under the same `Idempotency-Key`, as where it is an error."""
    headers = {**asker.world.headers("owner"), "idempotency-key": "mended-1"}
    wanted = {"projectId": asker.world.ids["project"], "email": "nobody@example.org", "role": "EDITOR"}
    body = {"query": ADD, "variables": {"input": wanted}}
    first = await asker.client.post("/graphql", json=body, headers=headers)
    again = await asker.client.post("/graphql", json=body, headers=headers)
    assert first.json() == again.json() or first.json()["data"] == again.json()["data"]
    assert "idempotent-replayed" not in again.headers
