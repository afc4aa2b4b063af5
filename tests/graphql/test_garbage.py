"""What a request read ends with it: nothing of it waits for the garbage collector, whose runs hold up every other request.

Errors of fields are left to it: frames of graphql-core hold them, and they the frames.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from strawberry.dataloader import DataLoader

from coreplex.errors.tree import Busy
from coreplex.platform.fair_places import FairPlaces, Limits
from resolvers.context import Context
from resolvers.loading import Loaders, Pages
from schema.compiler.executor import CompilingExecutor
from tests.factories.asking import Asker

OF_A_REQUEST = (Context, Loaders, Pages, DataLoader, CompilingExecutor, Busy)


def alive() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, OF_A_REQUEST)]


@contextmanager
def nothing_left() -> Iterator[None]:
    """After the block nothing of a request is there that was not before, without a run of the collector."""
    gc.collect()
    before = alive()  # other tests of this process may hold something
    gc.disable()
    try:
        yield
        known = set(map(id, before))
        assert sorted(type(one).__name__ for one in alive() if id(one) not in known) == []
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "query",
    [
        "{ projects(first: 3) { totalCount nodes { id role datasetCount modelCount } } }",
        "{ projects(first: 3) { nodes { datasets(first: 1) { totalCount nodes { latestVersion { id rowCount } } } } } }",
    ],
    ids=["loaders", "pages"],
)
async def test_a_request_leaves_nothing_to_collect(asker: Asker, query: str) -> None:
    await asker.data(query)
    await asyncio.sleep(0)
    with nothing_left():
        await asker.data(query)
        await asyncio.sleep(0)


async def test_a_refusal_leaves_nothing_to_collect() -> None:
    """Of those who waited and gave up, and of the last in a line that became too long."""
    places = FairPlaces(Limits(total=1, each=1, patience=0.01), "a test")

    async def wait() -> None:
        with suppress(Busy):
            await places.take("b", most=2)

    await places.take("a")
    with nothing_left():
        await asyncio.gather(*(wait() for _ in range(4)))
        await asyncio.sleep(0)
