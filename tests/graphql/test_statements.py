"""What a list asks of the database: a statement for its page with its length, and one for each kind of thing its rows lead to."""

import pytest

from coreplex.deployment.listing import DEPLOYMENTS
from coreplex.platform.database import Database
from coreplex.platform.page import Page
from coreplex.platform.paging import View
from coreplex.platform.prepared import Prepared, Values
from coreplex.platform.reader import Reader
from tests.factories.asking import Asker

LISTS = {
    "deployments(first: 1) { totalCount nodes { name modelName } }": 2,
    "deployments(first: 1, offset: 1) { totalCount nodes { name } }": 1,
    "deployments(last: 1) { totalCount pageInfo { hasPreviousPage } nodes { modelName project { name } } }": 3,
    "deployments { totalCount }": 1,
    "datasets(first: 1) { totalCount nodes { versionCount latestVersion { rowCount } project { name } } }": 4,
    "projects(first: 1) { totalCount nodes { datasetCount experimentCount modelCount deploymentCount } }": 2,
    "experiments(first: 1) { totalCount nodes { modelCount engineRuns { engine } } }": 3,
}


@pytest.mark.parametrize("field", LISTS)
async def test_a_list_asks_once_for_each_kind_of_thing(asker: Asker, field: str) -> None:
    await asker.data("{ projects { totalCount } }")  # who asks is known from here on
    with asker.counted() as asked:
        found = await asker.data(f"{{ {field} }}")
    assert len(asked) == LISTS[field], asked
    (page,) = found.values()
    whole = await asker.data(f"{{ {field.partition('(')[0].partition(' ')[0]}(first: 500) {{ nodes {{ id }} }} }}")
    (rows,) = whole.values()
    assert page["totalCount"] == len(rows["nodes"]) > 1


class Analyzing(Reader):
    """Keeps how the last statement it was asked went."""

    async def fetch(self, statement: Prepared, values: Values) -> list[object]:
        explained = await self.connection.fetch(f"EXPLAIN (ANALYZE) {statement.text}", *statement.arguments(values))
        self.plan = "\n".join(line for (line,) in explained)
        return await super().fetch(statement, values)


async def test_the_length_of_a_list_that_is_there_as_a_whole_is_not_counted(asker: Asker, database: Database) -> None:
    """Whatever it costs to find the rows of a search, it is not done twice where the page holds them all."""

    async def never() -> int:
        raise AssertionError

    async with database.reader() as reader:
        heard = Analyzing(reader.connection, database.statements, database.engine.dialect)
        whole = await View(DEPLOYMENTS).slice(heard, Page(search="o", counted=True), never)
        assert whole.total == len(whole.nodes) > 1
        assert "never executed" in heard.plan, heard.plan
        part = await View(DEPLOYMENTS).slice(heard, Page(first=1, search="o", counted=True), never)
        assert (part.total, part.has_next) == (whole.total, True)
        assert "never executed" not in heard.plan, heard.plan
        for cut in (Page(first=1, after=part.cursors[0], search="o", counted=True), Page(offset=1, search="o", counted=True)):
            assert (await View(DEPLOYMENTS).slice(heard, cut, never)).total == len(whole.nodes)
