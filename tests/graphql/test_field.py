"""Fields as they are declared: one authorisation a request, and every order a list offers."""

import pytest
from pydantic import BaseModel

from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import WRITE, Grant, Permission, Principal, authorize
from edge import caller
from schema.deleted import DeletedPayload
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
