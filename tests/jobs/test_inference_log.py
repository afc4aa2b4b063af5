"""The inference log in the database: whatever rows hold, and whatever the database says to them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import orjson
import pytest

from coreplex.errors.tree import Message, Unavailable
from coreplex.platform.database import Database
from coreplex.serving.log import writer as log_writer
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.served import Served, stored
from tests.jobs.inference_log import inputs, until

MEGABYTE = 1 << 20


async def test_a_row_is_as_long_as_a_request(served: Served, writer: InferenceWriter) -> None:
    rows = [{"a": 1}, {"note": "x" * (2 * MEGABYTE)}, {"b": 2}, {"note": "\\" * MEGABYTE}, {"c": 3}]
    for row in rows:
        assert not await served.record(writer, row)
    await writer.flush()
    assert await inputs(served) == rows
    assert not writer.waiting


async def test_rows_of_a_call_are_listed_in_their_order(served: Served, writer: InferenceWriter) -> None:
    """Its entries are of one moment; ids that were drawn apart would say nothing of their order."""
    assert not await served.record(writer, *({"n": n} for n in range(200)))
    await writer.flush()
    ids = [row["id"] for row in await served.logged("id")]
    assert ids == sorted(ids)
    assert len(set(ids)) == 200
    assert {(UUID(str(one)).version, UUID(str(one)).variant) for one in ids} == {(7, RFC_4122)}


@pytest.mark.parametrize(
    "value",
    [
        "\\u0000",
        "\\\\u0000\0",
        "a\0b",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "\\",
        '"\\u0000"',
        2**64,
        -(2**80),
        10**400,
        1e308,
        5e-324,
        -0.0,
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_what_json_or_the_database_cannot_hold(served: Served, writer: InferenceWriter, value: Any) -> None:
    rows = [{"before": 1}, {"v": value, f"k{value}": [value]}, {"after": 1}]
    assert not await served.record(writer, *rows, error=Message("refused", "refused: {value}", value=value))
    await writer.flush()
    if value == 10**400:
        rows[1] = {"v": hex(value), f"k{value}": [hex(value)]}
    assert await inputs(served) == stored(rows)


async def test_lists_in_lists(served: Served, writer: InferenceWriter) -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    assert not await served.record(writer, {"deep": deep, "n": 1}, {"n": 2})
    await writer.flush()
    assert [row["n"] for row in await inputs(served)] == [1, 2]


@pytest.fixture
async def refusing(served: Served) -> AsyncIterator[None]:
    """A database that does not take rows with a key `bad`, nor entries of the request `worse`."""
    check = "CHECK (NOT inputs ? 'bad' AND request_id <> 'worse') NOT VALID"
    await served.run(f"ALTER TABLE inference_logs ADD CONSTRAINT refusing {check}")
    yield
    await served.run("ALTER TABLE inference_logs DROP CONSTRAINT refusing")


async def test_a_row_the_database_refuses(served: Served, writer: InferenceWriter, refusing: None, tmp_path: Path) -> None:
    rows = [{"bad": n} if n in {0, 7, 8, 30} else {"n": n} for n in range(31)]
    await served.record(writer, *rows)
    await served.record(writer, {"lost": 1}, {"lost": 2}, request_id="worse")
    await served.record(writer, {"last": 1})
    await writer.flush()
    found = {row["row_index"]: orjson.loads(row["inputs"]) for row in (await served.logged("row_index, inputs"))[:-1]}
    assert {n: row for n, row in found.items() if "n" in row} == {n: row for n, row in enumerate(rows) if "n" in row}
    assert all("bytes were left out" in found[n]["not_stored"] for n in (0, 7, 8, 30)), "shortened"
    assert all("refusing" in found[n]["not_stored"] and '"bad"' not in found[n]["not_stored"] for n in (0, 7, 8, 30))
    assert (await inputs(served))[-1] == {"last": 1}
    assert not writer.waiting
    kept = [orjson.loads(path.read_bytes())["inputs"] for path in (tmp_path / "spool" / "set-aside").iterdir()]
    assert sorted(map(str, kept)) == sorted(map(str, [{"bad": n} for n in (0, 7, 8, 30)] + [{"lost": 1}, {"lost": 2}]))
    counted = await served.run("SELECT request_count FROM deployments")
    assert counted[0][0] == 2


async def test_a_row_that_takes_the_database_too_long(served: Served, writer: InferenceWriter) -> None:
    """A timeout may be the hour's fault: it is tried again some times, then it is the row's."""
    cancel = "RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled'"
    body = f"BEGIN IF NEW.inputs ? 'slow' THEN {cancel}; END IF; RETURN NEW; END"
    await served.run(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    await served.run("CREATE TRIGGER slow BEFORE INSERT ON inference_logs FOR EACH ROW EXECUTE FUNCTION slow()")
    try:
        await served.record(writer, {"n": 1}, {"slow": 1}, {"n": 2})
        tries = 0
        while writer.waiting:
            tries += 1
            try:
                await writer.flush()
            except Unavailable:
                assert {"n": 1} in await inputs(served), "the others do not wait for it"
        assert tries == 5
        assert [row for row in await inputs(served) if "n" in row] == [{"n": 1}, {"n": 2}]
        assert len(await inputs(served)) == 3
    finally:
        await served.run("DROP FUNCTION slow CASCADE")


async def test_a_database_that_is_away(served: Served, database: Database, tmp_path: Path) -> None:
    """Everything waits, nothing is set aside."""
    writer = InferenceWriter(database, tmp_path / "spool")
    await served.run("ALTER TABLE inference_logs RENAME TO moved")
    await served.record(writer, {"n": 1}, {"n": 2})
    with pytest.raises(Exception, match="inference_logs"):
        await writer.flush()
    await served.run("ALTER TABLE moved RENAME TO inference_logs")
    await writer.flush()
    assert await inputs(served) == [{"n": 1}, {"n": 2}]
    await writer.stop()
    assert list((tmp_path / "spool").glob("*.jsonl")) == []


async def test_what_waits_is_said(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stops in silence: `/ready` shows it while it lasts."""
    monkeypatch.setattr(log_writer, "RETRY_SECS", 0.01)
    monkeypatch.setattr(log_writer, "FLUSH_SECS", 0.01)
    database = Database(served.url)
    writer = InferenceWriter(database, tmp_path / "spool")
    await served.run("ALTER TABLE inference_logs RENAME TO moved")
    writer.start()
    try:
        await served.record(writer, {"n": 1})
        await until(lambda: writer.waits.startswith("entries wait to be stored since 20"))
        await served.run("ALTER TABLE moved RENAME TO inference_logs")
        await until(lambda: not writer.waiting and not writer.waits)
    finally:
        await writer.stop()
        await database.close()
    assert await inputs(served) == [{"n": 1}]
