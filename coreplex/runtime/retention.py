"""What bounds each table and each folder of the data, gathered from the tables; docs/growth.md prints it.

What is over goes by a job of the clock (`coreplex.runtime.jobs`), files by each host itself (`coreplex.runtime.housekeeping`).
"""

from collections.abc import Mapping

import structlog
from sqlalchemy import text
from sqlmodel.main import default_registry

from coreplex.platform.bound import Bound, Rule
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.runtime import concepts

log = structlog.get_logger(__name__)

FOLDERS: Mapping[str, str] = {
    "storage": "Files of datasets and models: `MAX_STORED_BYTES` of an account. Go with their rows.",
    "staging": "Files on their way in or out: `STAGED_FILE_HOURS`, and `MAX_STAGED_BYTES` of an account.",
    "uploads": "Resumable uploads: `UNFINISHED_UPLOAD_HOURS` after their last byte, 20 of an account, and "
    "`MAX_STAGED_BYTES` with what is in `staging`.",
    "work": "A folder for each training and each replay that runs; one whose job has died goes within minutes.",
    "spool": "Predictions on their way to `inference_logs`: emptied within a second while the database is there; "
    "while it is not, they grow until little of the disk is left. `set-aside/`: what it refused, for `INFERENCE_LOG_DAYS` and up "
    "to 1 GB, of which the oldest goes first. `dropped.json`: how many were answered and not logged, 256 bytes.",
    "places": "An empty file for each child process that may run beside others.",
    "logs": "Each program's log: 10 MB and three older ones.",
    "postgres": "The embedded database: the tables above.",
    "valkey": "The embedded Redis: counters that expire, and a message for each waiting job.",
    "run": "Sockets of the embedded servers, while they run.",
    "runtime": "Copies of the embedded servers' programs, where their account cannot reach the installed ones.",
}


def bounds() -> Mapping[str, Bound]:
    """What each table says of itself, by its name; a table that says nothing is not in it."""
    concepts.load("table")
    found = {str(mapper.local_table): getattr(mapper.class_, "__bound__", None) for mapper in default_registry.mappers}
    return {name: bound for name, bound in sorted(found.items()) if bound is not None}


async def purge(database: Database, settings: Settings) -> int:
    """Remove the rows whose time is over; returns how many. What fails keeps the rest from nothing: the first error is raised at
    the end, or at once while the database is away."""
    total, failed = 0, None
    for name, rule in [(name, rule) for name, bound in bounds().items() for rule in bound.rules]:
        try:
            total += await _purge(database, settings, name, rule)
        except Exception as error:
            await database.ping()
            log.exception("retention.failed", table=name)
            failed = failed or error
    if failed is not None:
        raise failed
    return total


async def _purge(database: Database, settings: Settings, name: str, rule: Rule) -> int:
    """A batch per transaction: no statement is long, and nobody waits for a row we hold."""
    if (horizon := rule.horizon(settings)) is None:
        return 0
    ended = f"SELECT t.ctid FROM {name} t WHERE {rule.ended} LIMIT {rule.batch} FOR UPDATE SKIP LOCKED"  # noqa: S608
    statement = text(f"DELETE FROM {name} WHERE ctid = ANY(ARRAY({ended}))")  # noqa: S608 names and conditions of our own
    total, last = 0, rule.batch
    while last == rule.batch:
        async with database.transaction() as session:
            last = (await session.execute(statement, {"horizon": horizon})).rowcount  # type: ignore[attr-defined]
        total += last
    if total:
        log.info("retention.rows", table=name, rows=total)
    return total


def table() -> str:
    """Both lists as Markdown, for docs/growth.md."""
    tables = [f"| `{name}` | {bound.words} |" for name, bound in bounds().items()]
    folders = [f"| `{name}/` | {words} |" for name, words in FOLDERS.items()]
    head = "| {} | Bounded by |\n|---|---|"
    return "\n".join([head.format("Table"), *tables, "", head.format("Folder below `DATA_DIR`"), *folders])
