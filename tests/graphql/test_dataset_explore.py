"""Looks into tables: pages of rows with conditions, missing values, chosen correlations, and what two versions differ in."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.asking import Asker
from tests.factories.dataset import Person, laboratory, person, table

ROWS = """query($id: ID!, $first: Int! = 50, $offset: Int! = 0, $columns: [String!], $sort: [RowSort!], $filter: [RowFilter!]) {
  datasetVersion(id: $id) {
    rows(first: $first, offset: $offset, columns: $columns, sort: $sort, filter: $filter) { columns rows totalCount } } }"""
MAP = """query($id: ID!, $bins: Int! = 4) { datasetVersion(id: $id) { missingMap(bins: $bins) {
  columns stretches { firstRow rowCount } shares patterns { columns rowCount percent } } } }"""
CORRELATIONS = """query($id: ID!, $columns: [String!]!) { datasetVersion(id: $id) {
  correlations(columns: $columns) { columnA columnB method value pearson spearman } } }"""
DIFFERENCE = """query($id: ID!, $to: ID!) { datasetVersion(id: $id) { difference(to: $to) {
  to { id number } columnsAdded columnsRemoved rows { kept added removed }
  columns { name typeChanged drift before { type missingPercent mean } after { type missingPercent mean } } } } }"""
NAMES = ["city", "age", "paid", "day", "score"]


def people(rows: int = 40) -> list[list[object]]:
    chance = random.Random(2)
    made: list[list[object]] = []
    for number in range(rows):
        age: object = "" if number % 10 == 3 else chance.randint(18, 80)
        score: object = "" if age == "" else round(chance.gauss(0, 1), 3)
        made.append(
            [
                chance.choice(["Berlin", "Rome", "Oslo"]),
                age,
                chance.choice(["ja", "nein"]),
                f"2024-01-{number % 28 + 1:02}",
                score,
            ]
        )
    return made


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[Any, Person, str, list[list[object]]]]:
    """The application, a person, and the version of their table with its rows as they are shown."""
    async with laboratory(settings, database) as (app, ada):
        made = people()
        version = (await ada.dataset(table([NAMES, *made]), "people.csv"))["version_id"]
        yield app, ada, version, [[None if cell == "" else cell for cell in row] for row in made]


async def rows_of(ada: Person, version: str, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ada.data(ROWS, id=version, **asked))["datasetVersion"]["rows"]
    return found


async def test_pages_in_file_order(lab: tuple[Any, Person, str, list[list[object]]]) -> None:
    _, ada, version, rows = lab
    assert await rows_of(ada, version) == {"columns": NAMES, "rows": rows, "totalCount": 40}
    assert await rows_of(ada, version, first=3, offset=38) == {"columns": NAMES, "rows": rows[38:], "totalCount": 40}
    assert await rows_of(ada, version, first=0) == {"columns": NAMES, "rows": [], "totalCount": 40}
    chosen = await rows_of(ada, version, first=2, columns=["paid", "city"])
    assert chosen == {"columns": ["paid", "city"], "rows": [[row[2], row[0]] for row in rows[:2]], "totalCount": 40}


async def test_sorted_and_filtered_rows(lab: tuple[Any, Person, str, list[list[object]]]) -> None:
    _, ada, version, rows = lab
    by_age: Any = sorted((row for row in rows if row[1] is not None), key=lambda row: -row[1])  # type: ignore[operator]
    gone = [row for row in rows if row[1] is None]
    sort = [{"column": "age", "descending": True}]
    assert (await rows_of(ada, version, sort=sort))["rows"] == [*by_age, *gone]
    twice = [{"column": "city"}, {"column": "day", "descending": True}]
    expected = sorted(sorted(rows, key=lambda row: str(row[3]), reverse=True), key=lambda row: str(row[0]))
    assert (await rows_of(ada, version, sort=twice))["rows"] == expected

    def all_of(*conditions: dict[str, Any]) -> dict[str, Any]:
        return {"filter": list(conditions)}

    def those(meets: Any) -> list[list[object]]:
        return [row for row in rows if meets(row)]

    cases: list[tuple[dict[str, Any], Any]] = [
        ({"column": "paid", "operator": "EQUAL", "value": "ja"}, lambda row: row[2] == "ja"),
        ({"column": "city", "operator": "NOT_EQUAL", "value": "Rome"}, lambda row: row[0] != "Rome"),
        ({"column": "age", "operator": "AT_LEAST", "value": 60}, lambda row: row[1] is not None and row[1] >= 60),
        ({"column": "score", "operator": "LESS", "value": "0"}, lambda row: row[4] is not None and row[4] < 0),
        ({"column": "day", "operator": "GREATER", "value": "2024-01-20"}, lambda row: row[3] > "2024-01-20"),
        ({"column": "city", "operator": "CONTAINS", "value": "LI"}, lambda row: "li" in row[0].lower()),
        ({"column": "city", "operator": "ONE_OF", "values": ["Oslo", "Rome"]}, lambda row: row[0] in ("Oslo", "Rome")),
        ({"column": "age", "operator": "MISSING"}, lambda row: row[1] is None),
        ({"column": "score", "operator": "PRESENT"}, lambda row: row[4] is not None),
    ]
    for condition, meets in cases:
        wanted = those(meets)
        assert 0 < len(wanted) < 40
        found = await rows_of(ada, version, **all_of(condition))
        assert (found["rows"], found["totalCount"]) == (wanted, len(wanted)), condition
    both = await rows_of(ada, version, first=1, **all_of(cases[0][0], cases[5][0]))
    assert both["totalCount"] == len(those(lambda row: row[2] == "ja" and row[0] == "Berlin"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"first": 501}, "first"),
    ({"offset": -1}, "offset"),
    ({"columns": ["citty"]}, "citty"),
    ({"sort": [{"column": "ages"}]}, "age"),
    ({"filter": [{"column": "age", "operator": "LESS", "value": "many"}]}, "many"),
    ({"filter": [{"column": "age", "operator": "LESS"}]}, "value"),
    ({"filter": [{"column": "day", "operator": "EQUAL", "value": "tomorrow"}]}, "tomorrow"),
    ({"filter": [{"column": "city", "operator": "ONE_OF", "values": []}]}, "values"),
    ({"sort": [{"column": "age"}] * 21}, "sort"),
]


@pytest.mark.parametrize(("asked", "word"), REFUSED)
async def test_what_cannot_be_asked_is_said(lab: tuple[Any, Person, str, Any], asked: dict[str, Any], word: str) -> None:
    _, ada, version, _ = lab
    (error,) = (await ada.ask(ROWS, id=version, **asked))["errors"]
    assert error["extensions"]["status"] == 422
    assert word in error["message"]


async def test_what_is_missing_where(lab: tuple[Any, Person, str, Any]) -> None:
    _, ada, version, _ = lab
    found = (await ada.data(MAP, id=version))["datasetVersion"]["missingMap"]
    assert found["columns"] == ["age", "score"]
    assert found["stretches"] == [{"firstRow": first, "rowCount": 10} for first in (0, 10, 20, 30)]
    assert found["shares"] == [[0.1] * 4] * 2
    assert found["patterns"] == [{"columns": ["age", "score"], "rowCount": 4, "percent": 10.0}]
    (error,) = (await ada.ask(MAP, id=version, bins=0))["errors"]
    assert error["extensions"]["status"] == 422


async def test_chosen_columns_are_compared(lab: tuple[Any, Person, str, Any]) -> None:
    _, ada, version, _ = lab
    pairs = (await ada.data(CORRELATIONS, id=version, columns=["age", "city", "score"]))["datasetVersion"]["correlations"]
    named = {frozenset((pair["columnA"], pair["columnB"])): pair for pair in pairs}
    assert len(named) == len(pairs) == 3
    assert named[frozenset(("age", "score"))]["method"] in ("PEARSON", "SPEARMAN")
    assert named[frozenset(("city", "score"))]["method"] == "CORRELATION_RATIO"
    for columns in (["age"], ["age", "age"], ["age", "day"], ["age", "nothing"]):
        (error,) = (await ada.ask(CORRELATIONS, id=version, columns=columns))["errors"]
        assert error["extensions"]["status"] == 422, columns


async def test_two_versions(lab: tuple[Any, Person, str, list[list[object]]], database: Database) -> None:
    app, ada, version, _ = lab
    more = [
        [row[0], row[1] if row[1] == "" else int(str(row[1])) + (20 if n < 30 else 0), row[2], row[4], "x"]
        for n, row in enumerate(people(50))
    ]
    later = table([["city", "age", "paid", "score", "new"], *more])
    dataset = (await ada.data("query($id: ID!) { datasetVersion(id: $id) { datasetId } }", id=version))["datasetVersion"][
        "datasetId"
    ]
    answer = await ada.client.post(f"/api/datasets/{dataset}/versions", files={"file": ("later.csv", later)})
    assert answer.status_code == 201, answer.text
    to = answer.json()["version_id"]
    found = (await ada.data(DIFFERENCE, id=version, to=to))["datasetVersion"]["difference"]
    assert found["to"] == {"id": to, "number": 2}
    assert (found["columnsAdded"], found["columnsRemoved"]) == (["new"], ["day"])
    kept = 10 + sum(row[1] == "" for row in people(30))
    assert found["rows"] == {"kept": kept, "added": 50 - kept, "removed": 40 - kept}
    columns = {one["name"]: one for one in found["columns"]}
    assert list(columns) == ["city", "age", "paid", "score"]
    assert columns["age"]["drift"] > 0.15 > columns["city"]["drift"] >= 0
    assert columns["age"]["after"]["mean"] > columns["age"]["before"]["mean"] + 5
    assert not columns["age"]["typeChanged"]
    same = (await ada.data(DIFFERENCE, id=version, to=version))["datasetVersion"]["difference"]
    assert same["rows"] == {"kept": 40, "added": 0, "removed": 0}
    assert {one["drift"] for one in same["columns"]} == {0}
    async with person(app, database) as eve:
        theirs = (await eve.dataset())["version_id"]
    body = await ada.ask(DIFFERENCE, id=version, to=theirs)
    assert body["errors"][0]["extensions"]["status"] == 404


@pytest.mark.parametrize(
    "field", ["preview", "rows { totalCount }", "missingMap { columns }", "correlations(columns: []) { value }"]
)
async def test_who_may_only_write_does_not_read_by_way_of_a_payload(asker: Asker, field: str) -> None:
    change = "mutation($input: UpdateDatasetInput!) { updateDataset(input: $input) { dataset { latestVersion { id %s } } } }"
    wanted = {"datasetId": asker.world.ids["dataset"], "description": "changed"}
    assert (await asker.data(change % "", actor="write_only", input=wanted))["updateDataset"]["dataset"]["latestVersion"]["id"]
    said = await asker.refused(change % field, actor="write_only", input=wanted)
    assert said["code"] == "FORBIDDEN", said
