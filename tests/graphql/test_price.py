"""What an operation is priced at is what it runs: pages as the resolver gets them, whatever way a variable spells them."""

import asyncio
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coreplex.platform.page import Page, Slice
from coreplex.platform.paging import View
from coreplex.platform.permissions import Credential, Plan, Principal, Scope, UserRole
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from resolvers.context import Context
from schema.door import work
from schema.errors import BadRequest
from schema.execution import Operation, prepare, run
from tests.factories.asking import Asker

PRINCIPAL = Principal(
    UUID(int=1), "a@example.com", "A", UserRole.user, Plan.enterprise, Credential.api_key, UUID(int=2), frozenset(Scope)
)
PAGES = st.one_of(
    st.integers(-2, 600),
    st.integers(),
    st.integers(-2, 600).map(float),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["500", "", "1e2", [], [7], {}, 2**31, 2**63, 1e300, 500.0, -0.0]),
)
KINDS = ("Int!", "Int", "Int = 9", "Int! = 9", "Int = 500", "Int = 0", "Int = null")


class Recording(Context):
    """A request that fetches nothing and keeps the pages it was asked for."""

    def __init__(self) -> None:
        super().__init__(cast("Services", SimpleNamespace(settings=Settings())), PRINCIPAL)
        self.pages: list[Page] = []

    async def slice(self, view: View, page: Page) -> Slice[Any]:
        self.pages.append(page)

        async def nothing() -> int:
            return 0

        return Slice((), (), False, False, nothing)


def pages_run(document: str, variables: dict[str, Any]) -> list[int]:
    context, operation = Recording(), prepare(document)
    asyncio.run(run(operation, operation.coerce(variables), context))
    return [page.size for page in context.pages]


def price(document: str, variables: dict[str, Any] | None = None) -> int:
    operation = prepare(document)
    return operation.cost(operation.coerce(variables or {}))


ONE = price("{ projects(first: 1) { nodes { id } } }")


@given(PAGES, st.sampled_from(KINDS), st.booleans())
@example(500.0, "Int!", True)
@example(None, "Int = 500", False)
def test_a_page_is_priced_as_it_is_run(value: Any, kind: str, given: bool) -> None:
    variables = {"n": value} if given else {}
    for argument in ("first", "last"):
        document = f"query($n: {kind}) {{ projects({argument}: $n) {{ nodes {{ id }} }} }}"
        with suppress(BadRequest):
            for page in pages_run(document, variables):
                assert price(document, variables) - ONE == page - 1


@pytest.mark.parametrize("text", ["7", "500", "0", "501", "-3", "2147483647", "99999999999", "null", "7.0", '"7"', "true", "[7]"])
def test_a_literal_page_is_priced_as_it_is_run(text: str) -> None:
    document = f"{{ projects(first: {text}) {{ nodes {{ id }} }} }}"
    with suppress(BadRequest):
        for page in pages_run(document, {}):
            assert price(document) - ONE == page - 1


def test_a_whole_number_spelled_as_a_fraction_is_no_way_around_the_price() -> None:
    document = "query($n: Int!) { projects(first: $n) { nodes { id } } }"
    assert pages_run(document, {"n": 500.0}) == [500]
    assert price(document, {"n": 500.0}) == price("{ projects(first: 500) { nodes { id } } }")


COSTLY = "{ projects(first: 500) { nodes { id name } } }"
CHEAP = "{ projects(first: 5) { nodes { id name } } }"


async def test_costly_queries_of_one_caller_run_one_after_the_other(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cheap, and what others ask, runs beside them."""
    running, most = Counter[str](), 0
    both, beside, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def held(operation: Operation, variables: Any, context: Context) -> Any:
        nonlocal most
        who = context.identity
        if operation.cost(variables) < work.COSTLY:
            beside.set()
            return await run(operation, variables, context)
        running[who] += 1
        most = max(most, running[who])
        if len(running) == 2:
            both.set()
        await gate.wait()
        running[who] -= 1
        return await run(operation, variables, context)

    monkeypatch.setattr(work, "run", held)
    async with asyncio.timeout(20):
        costly = [asyncio.create_task(asker.data(COSTLY, actor)) for actor in ("owner", "owner", "owner", "viewer")]
        await both.wait()
        assert (await asker.data(CHEAP))["projects"]["nodes"]
        assert beside.is_set()
        assert not any(one.done() for one in costly)
        gate.set()
        found = await asyncio.gather(*costly)
    assert all(one["projects"]["nodes"] for one in found)
    assert most == 1
