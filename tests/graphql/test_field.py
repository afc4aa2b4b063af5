"""Fields as they are declared: one authorisation a request, and every order a list offers."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type, is_required_argument
from pydantic import BaseModel

from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import WRITE, Grant, Permission, Principal, authorize
from edge import caller
from schema.common import DeletedPayload
from schema.execution import core_schema
from schema.field import command
from tests.factories.asking import Asker


@pytest.fixture
def authorised(monkeypatch: pytest.MonkeyPatch) -> list[Permission]:
    """Every permission a caller is held against."""
    asked: list[Permission] = []

    def noted(principal: Principal | None, permission: Permission) -> None:
        asked.append(permission)
        authorize(principal, permission)

    monkeypatch.setattr(caller, "authorize", noted)
    return asked


async def test_a_caller_is_authorised_once_a_request(asker: Asker, authorised: list[Permission]) -> None:
    project = asker.world.ids["project"]
    for method, path in (("GET", "/api/projects"), ("GET", f"/api/projects/{project}"), ("POST", "/api/projects")):
        body = {"name": "Once"} if method == "POST" else None
        response = await asker.client.request(method, path, json=body, headers=asker.world.headers("owner"))
        assert response.status_code < 300, response.text
        assert len(authorised) == 1, (method, path)
        authorised.clear()
    fields = " ".join(f"{name}: project(id: $id) {{ id members {{ totalCount }} }}" for name in "abc")
    await asker.data(f"query($id: ID!) {{ {fields} }}", id=project)
    assert len(authorised) == 1


def sorted_lists(kind: GraphQLObjectType) -> Iterator[tuple[str, str, list[str]]]:
    """Fields of a type that can be sorted, with the required arguments' text and what they can be sorted by."""
    for name, field in kind.fields.items():
        if "sort" in field.args:
            by: Any = get_named_type(get_named_type(field.args["sort"].type).fields["field"].type)  # type: ignore[attr-defined]
            assert isinstance(by, GraphQLEnumType)
            required = [f'{key}: "{{project}}"' for key, one in field.args.items() if is_required_argument(one)]
            yield name, ", ".join(required), list(by.values)


SORTED = {
    "Query": "%s",
    "Project": 'project(id: "{project}") { %s }',
    "Dataset": 'dataset(id: "{dataset}") { %s }',
    "Experiment": 'experiment(id: "{experiment}") { %s }',
}
"""How to get to an object of each type that has sorted lists."""


async def test_every_list_can_be_had_in_every_order_it_offers(asker: Asker) -> None:
    """Both ways, and the same things each time: what the contract offers is what the service says it can sort by."""
    found: set[str] = set()
    for kind in core_schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for name, required, names in sorted_lists(kind):
            found.add(kind.name)
            for by in names:
                session = "session" if name == "apiKeys" else "owner"
                orders = [
                    f"{way}: {name}({required} first: 500 sort: {{field: {by}, direction: {way}}}) {{ nodes {{ id }} }}"
                    for way in ("ASC", "DESC")
                ]
                text = f"{{ {SORTED[kind.name] % ' '.join(orders)} }}"
                for thing, identity in asker.world.ids.items():
                    text = text.replace(f"{{{thing}}}", identity)
                data = await asker.data(text, session)
                while "ASC" not in data:
                    (data,) = data.values()
                up, down = ([node["id"] for node in data[way]["nodes"]] for way in ("ASC", "DESC"))
                assert sorted(up) == sorted(down), (kind.name, name, by)
                assert up, (kind.name, name, by)
    assert found == set(SORTED)


def test_a_command_says_at_once_what_is_wrong_with_it() -> None:
    """When the schema is made, not when somebody calls it."""

    class Unpublished(BaseModel):
        name: str

    async def act(_session: WriteSession, _grant: Grant, _wanted: Unpublished) -> None: ...

    async def idle(_session: WriteSession, _grant: Grant) -> None: ...

    with pytest.raises(TypeError, match=r"test_field\..*act takes .*Unpublished.*publish it first"):
        command(act, DeletedPayload, WRITE, "Nothing.")
    with pytest.raises(TypeError, match=r"idle must take \(session, grant, wanted\)"):
        command(idle, DeletedPayload, WRITE, "Nothing.")  # type: ignore[arg-type]
