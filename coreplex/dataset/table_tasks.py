"""Runs the tasks on tables, reading an upload and writing an export, each in a child with limits.

Never inside a transaction: a child takes seconds, a database connection is not kept waiting for it. At most `AT_ONCE`
children run side by side on a host, one for each caller; the others wait their turn, which goes round among callers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from coreplex.dataset.inputs import TableFormat
from coreplex.engines.tabular.read.interface import Overrides
from coreplex.errors.tree import BadInput, Invalid, Message
from coreplex.platform.deferred_import import ChildTask, child_task
from coreplex.platform.document import storable
from coreplex.platform.fair_places import FairPlaces, HostPlaces, Limits, turn
from coreplex.platform.isolation import ChildCrashed, ChildFailed, ChildTimeout, run_child
from coreplex.platform.services import Part, Services
from coreplex.platform.storage import gone_on_failure

log = structlog.get_logger()

CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "gz": "application/gzip",
    "zip": "application/zip",
    "zst": "application/zstd",
}
"""Of files by their formats, and by what they may be packed in."""
AT_ONCE = 2
"""On the host, whatever processes it has: times MEMORY_BYTES, what tables may take of its memory."""
PLACES = Limits(total=AT_ONCE, each=1, patience=60.0, waiting_each=40, retry_after=10)
TIME_LIMIT_SECS = 100.0
"""Longer than the published client waits, so that the largest file still arrives; shorter than an idempotency key is held."""
MEMORY_BYTES = 2 << 30
UNPACKED_TIMES = 4
"""How much a compressed upload may unpack to, in largest uploads: tables as text shrink to a quarter and less."""
INGEST, EXPORT, APPEND = (child_task(f"coreplex.engines.tabular.tasks:{name}") for name in ("ingest", "export", "append"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read: typed Parquet at `path`, and what is known about it."""

    path: Path
    schema: dict[str, Any]
    row_count: int
    column_count: int
    format: str
    profile: dict[str, Any]
    quality: dict[str, Any]
    sheet: str | None = None


class TableTasks(Part):
    """Queues the children that read and write tables, in turn between callers and over all processes of the host."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._fair = FairPlaces(PLACES, "work on tables")
        self._host = HostPlaces(services.settings.data_dir / "places", "tables", AT_ONCE)

    async def read(
        self,
        source: Path,
        filename: str,
        said: Overrides = Overrides(),  # noqa: B008 (frozen)
        schema: Mapping[str, Any] | None = None,
        sheet: str | None = None,
    ) -> Table:
        """Read, profile and judge a file into Parquet in the staging folder. `schema`: of a stored table read again.

        Raises BadInput, Invalid or TooLarge for files that are refused, and the errors of `run_child`; leaves nothing then.
        """
        destination = self.services.staging.new_path()
        with self.services.staging.scratch() as scratch:
            request = {
                "source": str(source),
                "filename": filename,
                "destination": str(destination),
                "overrides": said.types,
                "missing": said.missing,
                "everywhere": said.everywhere,
                "force": said.force,
                "left_out": said.left_out,
                "schema": schema,
                "sheet": sheet,
                "scratch": str(scratch),
                "unpacked_bytes": UNPACKED_TIMES * self.services.settings.max_dataset_upload_bytes,
            }
            found = await self._run(INGEST, request, destination)
        return Table(
            destination,
            storable(found["schema"]),
            found["row_count"],
            found["column_count"],
            found["format"],
            storable(found["profile"]),
            storable(found["quality"]),
            found["sheet"],
        )

    async def write(self, table: Path, schema: Mapping[str, Any], format: TableFormat) -> Path:
        """Write a stored table for people, into the staging folder. Raises Invalid when the format cannot hold it."""
        destination = self.services.staging.new_path()
        request = {"table": str(table), "schema": schema, "format": format.value, "destination": str(destination)}
        await self._run(EXPORT, request, destination)
        return destination

    async def append(self, table: Path, schema: Mapping[str, Any], rows: Path, target: str) -> tuple[Path, int, int]:
        """A stored table with further rows below it, in the staging folder; how many there are, and were left out.

        rows: JSON lines, `{"inputs": {…}, "outcome": …}`; the outcome is the value of the column `target`.
        """
        destination = self.services.staging.new_path()
        with self.services.staging.scratch() as scratch:
            paths = {"table": table, "rows": rows, "destination": destination, "scratch": scratch}
            request = {**{name: str(path) for name, path in paths.items()}, "schema": schema, "target": target}
            found = await self._run(APPEND, request, destination)
        return destination, found["appended"], found["left_out"]

    async def _run(self, task: ChildTask, request: dict[str, Any], destination: Path) -> dict[str, Any]:
        with gone_on_failure(destination):
            return await self.run(task, request)

    async def run(self, task: ChildTask, request: dict[str, Any]) -> dict[str, Any]:
        """A task on a table, when it is its turn. Raises BadInput or Invalid where it cannot be done."""
        async with turn(self._fair, self._host):
            try:
                return await run_child(
                    task,
                    request,
                    time_limit_secs=TIME_LIMIT_SECS,
                    memory_bytes=MEMORY_BYTES,
                    env_threads=self.services.settings.training_threads,
                    writes_to=self.services.staging.root,
                )
            except ChildTimeout:
                raise Invalid(
                    Message(
                        "table_too_much_work",
                        "The table is too much work: more than {seconds:.0f} s. Try a smaller one.",
                        seconds=TIME_LIMIT_SECS,
                    )
                ) from None
            except (ChildCrashed, ChildFailed) as error:
                log.error("table_work_failed", task=task, error=str(error), detail=getattr(error, "detail", ""))
                raise BadInput(
                    Message(
                        "table_reader_gave_up", "The table cannot be worked on: the program that reads it gave up. Is it whole?"
                    )
                ) from error
