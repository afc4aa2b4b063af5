"""Who may do what to what: every endpoint and every root field, for every kind of caller and every kind of identifier.

Made from the code: an endpoint or a field without a sample fails here. What a field demands comes from its permission; what that
has to mean is written below once, for all of them.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import orjson
import pytest
from httpx import AsyncClient, Response

from coreplex.platform.database import Database
from coreplex.platform.permissions import Role, Scope
from coreplex.platform.settings import Settings
from tests.contract.samples import PUBLIC, SAMPLES, Call, concept_of, graphql_calls, is_list, rest_calls, root_fields
from tests.factories.account import browser, serving
from tests.factories.snapshot import Snapshot, snapshot
from tests.factories.world import World, world

CALLS = {call.name: call for call in (*rest_calls(), *graphql_calls())}
RUNNING_TEST = (
    "WITH r AS (UPDATE rollouts SET status = 'running', kind = 'ab_test' RETURNING id, project_id) UPDATE ab_tests t SET "
    "status = 'running', started_at = now(), rollout_id = r.id FROM r WHERE r.project_id = t.project_id"
)
PREPARED = {
    "archiveProject": "UPDATE jobs SET status = 'cancelled'",
    "advanceCanary": "UPDATE rollouts SET status = 'running'",
    "abortCanary": "UPDATE rollouts SET status = 'running'",
    "stopShadow": "UPDATE rollouts SET status = 'running', kind = 'shadow'",
    **dict.fromkeys(("stopAbTest", "predictAbTest", "recordAbTestOutcomes"), RUNNING_TEST),
    "unarchiveProject": "UPDATE projects SET status = 'archived'",
}
"""What must be done before a field can do anything, in SQL."""
CONCEPTS = sorted({concept_of(call.field) for call in CALLS.values()})
"""The parts of the matrix, a test each."""

Outcome = tuple[int, Any]
OF_DEPLOYMENTS = ("replays", "metricChanges")


def outcome(response: Response) -> Outcome:
    """Status and body of an answer, of a GraphQL error those of its error; without what differs between any two requests."""
    if not response.headers["content-type"].startswith(("application/json", "application/graphql-response+json")):
        return response.status_code, None
    body = response.json()
    if isinstance(body, dict) and body.get("errors"):
        error = body["errors"][0]
        body = {"message": error["message"], **error["extensions"]}
        return body.pop("status"), {name: value for name, value in body.items() if name != "requestId"}
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in {"request_id", "extensions"}}
    return response.status_code, body


class Matrix:
    """One call against the world."""

    def __init__(self, call: Call, made: World, client: AsyncClient, before: Snapshot) -> None:
        self.call, self.world, self.client, self.snapshot = call, made, client, before
        self.problems: list[str] = []

    async def ask(self, actor: str, ids: Mapping[str, str] | None = None) -> Outcome:
        known = {**self.world.ids, "api_key": str(self.world.key_rows["owner"].id), "elsewhere": self.world.elsewhere}
        if "upload" in self.call.kinds:
            known["upload"] = await self.world.stage("owner" if actor == "stranger" else actor)
        self.client.cookies.clear()
        response = await self.call.ask(self.client, {**known, **(ids or {})}, self.world.headers(actor))
        if response.status_code >= 500:
            self.problems.append(f"{actor}: {response.status_code} {response.text[:300]}")
        return outcome(response)

    def expect(self, actor: str, got: Outcome, *wanted: int) -> None:
        if got[0] not in wanted:
            self.problems.append(f"{actor}: {got[0]} instead of {' or '.join(map(str, wanted))}: {str(got[1])[:300]}")

    @property
    def scope(self) -> Scope | None:
        return self.call.permission.scope

    @property
    def about(self) -> set[str]:
        """Kinds of things the call names that belong to the project."""
        return set(self.call.kinds) & set(self.world.ids)

    async def refusals(self) -> None:
        """Nobody without a right gets anything, learns anything or changes anything."""
        before = await self.snapshot.digest()
        if not self.call.permission.public:
            self.expect("anonymous", await self.ask("anonymous"), 401)
        self.expect("revoked", await self.ask("revoked"), 401)
        if self.scope is not None:
            await self.without_scope()
            if not self.call.permission.session_only and self.call.kinds:
                await self.without_membership()
                await self.without_role()
        after = await self.snapshot.digest()
        changed = {name for name in before if before[name] != after[name]}
        if changed and not self.call.permission.public:
            self.problems.append(f"a refused call changed {changed}")

    async def without_scope(self) -> None:
        for scope in ("read", "write", "predict"):
            if scope != self.scope or self.call.permission.session_only:
                self.expect(f"{scope}_only", await self.ask(f"{scope}_only"), 403)

    async def without_membership(self) -> None:
        """A stranger, and a key bound to another project, cannot tell what is there from what is not."""
        for actor in ("stranger", "bound"):
            there = await self.ask(actor)
            if actor == "bound" and not self.about:
                continue
            self.same(actor, "missing", there, await self.ask(actor, self.missing(self.call.kinds)))
            if there[0] < 400 and not self.is_list(there):
                self.problems.append(f"{actor}: got {there}")
            self.discreet(actor, there)
        for kind in self.about:
            foreign = await self.ask("session" if self.call.permission.session_only else "owner", self.theirs(kind))
            self.same("owner", f"missing {kind}", foreign, await self.ask("owner", self.missing([kind])))
            malformed = await self.ask("owner", {kind: "nonsense"})
            if not self.is_list(foreign):
                self.same("owner", f"malformed {kind}", foreign, malformed)
                self.expect(f"owner, foreign {kind}", foreign, 404, 422 if kind in {"version", "model", "archived"} else 404)

    async def without_role(self) -> None:
        for role in Role:
            if self.about and not role.covers(self.call.permission.role):
                self.expect(role, await self.ask(role), 403)

    async def rights(self) -> None:
        """The least role may, by a key; so may the owner, by a key with this scope alone and in a session."""
        for actor in self.allowed():
            if prepared := PREPARED.get(self.call.field):
                await self.snapshot.connection.execute(prepared)
            got = await self.ask(actor, {"upload": await self.world.stage(actor)} if "upload" in self.call.kinds else None)
            if self.call.field in {"verifyEmail", "resetPassword", "invitation", "acceptInvitation"}:
                self.expect(actor, got, 400)
            else:
                self.expect(actor, got, 200, 201, 202)
            if actor == "stranger":
                self.discreet(actor, got)
            if self.call.writes:
                await self.world.settled()
                await self.snapshot.restore()

    def allowed(self) -> list[str]:
        permission = self.call.permission
        if permission.public:
            return ["anonymous"]
        if permission.session_only:
            return ["session"]
        least = next(role.value for role in Role if role.covers(permission.role)) if self.about else "stranger"
        return [least, f"{self.scope}_only", "session"]

    def missing(self, kinds: Any) -> dict[str, str]:
        return {kind: str(uuid4()) for kind in kinds}

    def theirs(self, kind: str) -> dict[str, str]:
        return {kind: self.world.foreign[kind]}

    def is_list(self, got: Outcome) -> bool:
        """An answer of a list, which a filter has left empty."""
        return got[0] == 200 and is_list(self.call.field)

    def same(self, actor: str, what: str, there: Outcome, gone: Outcome) -> None:
        if there != gone:
            self.problems.append(f"{actor} can tell it from {what}: {there} is not {gone}")

    def discreet(self, actor: str, got: Outcome) -> None:
        text = orjson.dumps(got[1]).decode()
        named = [kind for kind, identity in self.world.ids.items() if identity in text]
        if named:
            self.problems.append(f"{actor} is told of {named}")


@pytest.fixture
async def made(settings: Settings, database: Database) -> AsyncIterator[tuple[World, Snapshot]]:
    async with serving(settings) as app, world(app, database) as found, snapshot(database) as before:
        yield found, before


@pytest.mark.parametrize("part", CONCEPTS)
async def test_the_matrix(part: str, made: tuple[World, Snapshot]) -> None:
    found, before = made
    problems = {}
    async with browser(found.app) as client:
        client.timeout = 30  # type: ignore[assignment]
        for call in CALLS.values():
            if concept_of(call.field) == part:
                matrix = Matrix(call, found, client, before)
                await matrix.refusals()
                if root_fields().get(call.field, (None, ""))[1] != "subscription":
                    await matrix.rights()
                if matrix.problems:
                    problems[call.name] = matrix.problems
    assert not problems, orjson.dumps(problems, option=orjson.OPT_INDENT_2).decode()


async def test_a_key_bound_to_a_project_makes_no_other(made: tuple[World, Snapshot]) -> None:
    found, before = made
    async with browser(found.app) as client:
        seen = await before.digest()
        assert (await client.post("/api/projects", json={"name": "x"}, headers=found.headers("bound"))).status_code == 403
        assert await before.digest() == seen
        for path in filter(
            is_list,
            set(root_fields()) - {"apiKeys", "sessions", "deployments", "rollouts", "abTests", *OF_DEPLOYMENTS},
        ):  # the last five by project or deployment in REST
            place = {"predictionBatches": "predictions/batches"}.get(path, path)
            listed = (await client.get(f"/api/{place}", headers=found.headers("bound"))).json()
            assert listed["total"] == (1 if path == "projects" else 0), path
        body = {"query": "{ deployments { totalCount } }"}
        listed = (await client.post("/graphql", json=body, headers=found.headers("bound"))).json()
        assert listed["data"]["deployments"]["totalCount"] == 0


def test_what_is_public_is_frozen() -> None:
    assert {call.field for call in CALLS.values() if call.permission.public} == PUBLIC


def test_every_field_has_a_sample_and_every_sample_a_field() -> None:
    assert set(SAMPLES) == set(root_fields())
