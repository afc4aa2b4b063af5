"""The inference log under load: its lag at 2,000 rows a second, and its most rows a second beside COPY; writes inference_log.md.

    python -m tests.benchmarks.inference_log

The writer of a web process (spool and database) runs in the process of the benchmark, on the embedded PostgreSQL of a stack as it
ships. COPY writes the same rows into the same table, in turn with the writer.
"""

import asyncio
import io
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import asyncpg

from coreplex.engines.drift.layout import Layout
from coreplex.platform.database import Database
from coreplex.serving.log.writer import InferenceWriter
from tests.benchmarks import passes, stack
from tests.factories import counted
from tests.factories.served import Served, serve

RATE, SECONDS, REQUEST = 2_000, 60, 20
MOST, TIMES = 60_000, 5
METHOD = """# The inference log

Measured by `tests/benchmarks/inference_log.py`. {machine}. Rows of 18 columns, {request} a request, {size:,.0f} bytes of
a row in the spool, each counted in the bins of its columns.

"""


WORDS = {f"service_{place}": ("Yes", "No", "No internet service") for place in range(13)} | {"contract": ("Two year",)}
EDGES = {"senior": (0, 1), "tenure": range(64), "monthly": [20 + n / 7 for n in range(64)], "total": range(0, 1_280, 20)}
LAYOUT = Layout(
    (
        *(counted.words(name, *levels) for name, levels in WORDS.items()),
        *(counted.numbers(name, edges) for name, edges in EDGES.items()),
    )
)
"""By which the rows are counted in the transaction that stores them."""


def rows(number: int) -> list[dict[str, Any]]:
    """Those of a request: as long as a customer of the telco table."""
    words = {f"service_{place}": "No internet service" for place in range(13)} | {"contract": "Two year", "senior": 0}
    return [{**words, "tenure": (number + row) % 72, "monthly": 20 + row / 7, "total": number / 3} for row in range(REQUEST)]


async def record(served: Served, writer: InferenceWriter, number: int) -> None:
    probabilities = {"No": 0.8231, "Yes": 0.1769}
    outputs = [{"prediction": "No", "probability": 0.8231, "probabilities": probabilities}] * REQUEST
    if await served.record(writer, *rows(number), outputs=outputs):
        raise RuntimeError("an entry was not logged")


async def lag(served: Served, database: Database, folder: Path) -> tuple[float, float]:
    """The most seconds that a logged request was not in the database, and the seconds they were written in."""
    writer, waiting, most, ended = InferenceWriter(database, folder), deque[float](), 0.0, 0.0
    watching = await asyncpg.connect(served.url)
    writer.start()
    begun, written, stored = time.perf_counter(), 0, 0
    while written < RATE * SECONDS // REQUEST or waiting:
        while written < min((time.perf_counter() - begun) * RATE / REQUEST, RATE * SECONDS // REQUEST):
            await record(served, writer, written)
            waiting.append(time.perf_counter())
            written, ended = written + 1, time.perf_counter() - begun
        found = await watching.fetchval("SELECT request_count FROM deployments WHERE id = $1", served.deployment_id)
        most = max(most, time.perf_counter() - waiting[0]) if waiting else most
        while stored < found:
            stored += 1
            waiting.popleft()
        await asyncio.sleep(0.02)
    await writer.stop()
    await watching.close()
    return most, ended


async def most_rows(served: Served, database: Database, folder: Path) -> tuple[list[float], list[float], float]:
    """Rows a second of the writer and of COPY, pass by pass, and bytes of a row."""
    connection = await asyncpg.connect(served.url)
    found: tuple[list[float], list[float]] = ([], [])
    size = 0.0
    for _ in range(TIMES):
        await connection.execute("TRUNCATE inference_logs")
        writer = InferenceWriter(database, folder)
        for number in range(MOST // REQUEST):
            await record(served, writer, number)
        size = _bytes_in(folder) / MOST
        found[0].append(await timed(connection, writer.flush()))
        await writer.stop()
        copy = io.BytesIO()
        await connection.copy_from_query("SELECT * FROM inference_logs", output=copy)
        await connection.execute("TRUNCATE inference_logs")
        copy.seek(0)
        found[1].append(await timed(connection, connection.copy_to_table("inference_logs", source=copy)))
    await connection.close()
    return *found, size


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


async def timed(connection: Any, work: Any) -> float:
    """Rows a second of what stores `MOST` rows, begun with nothing left to write behind it."""
    await connection.execute("CHECKPOINT")
    begun = time.perf_counter()
    await work
    spent = time.perf_counter() - begun
    stored = await connection.fetchval("SELECT count(*) FROM inference_logs")
    if stored != MOST:
        raise RuntimeError(f"{stored} of {MOST} rows are there")
    return MOST / spent


async def measure(url: str) -> str:
    database = Database(url)
    with tempfile.TemporaryDirectory() as folder:
        served, later = await serve(database), await serve(database)
        for one in (served, later):
            await counted.keep(database, one, LAYOUT)
        writer, copy, size = await most_rows(served, database, Path(folder) / "most")
        waited, ended = await lag(later, database, Path(folder) / "lag")
    await database.close()
    ratio = statistics.median(mine / its for mine, its in zip(writer, copy, strict=True))
    text = METHOD.format(machine=stack.cores(), request=REQUEST, size=size)
    text += f"## {RATE:,} rows a second, for {ended:.0f} s\n\n"
    text += f"An entry was in the database {waited:.2f} s after its answer at most.\n\n"
    text += f"## At most ({TIMES} passes of {MOST:,} rows, medians)\n\n| | rows/s (least-most) | × COPY |\n|---|---|---:|\n"
    for name, many, times in (("spool to database", writer, ratio), ("`COPY` of the same rows", copy, 1.0)):
        text += f"| {name} | {statistics.median(many):,.0f} ({min(many):,.0f}-{max(many):,.0f}) | {times:.2f} |\n"
    return text


def main() -> None:
    with stack.running() as running:
        text = asyncio.run(measure(running.database_url))
    passes.write("inference_log", text.rstrip())


if __name__ == "__main__":
    main()
