"""The database: one engine per process, a reader or a session per read, a transaction per write.

Sessions for reading and for writing are different types, so that a function's signature says which it needs. Nothing in the
domain commits: the edge that opened `transaction()` does, once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakSet

import asyncpg
import orjson
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, MissingGreenlet, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from coreplex.errors.tree import DatabaseFull, Message, Unavailable
from coreplex.platform.database_watch import Watch
from coreplex.platform.fair_places import CALLER, FairPlaces, Limits
from coreplex.platform.reader import Reader, Statements

STATEMENT_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_MS = 20_000
"""How long a transaction may wait for its own process: one that is frozen would keep its locks, and others from its jobs."""
SILENT_SECS = 5
"""How much longer than a statement may take a server may say nothing before the connection counts as lost."""
POOL_PATIENCE_SECS = 3.0
"""How long a request waits for a connection before it is told that the server is busy."""
AWAY = Message("database_away", "The database is not reachable at the moment; try again shortly.")
DISK_FULL = Message("database_full", "The database's storage is full. Free space on its disk and try again.")
CLOSE_SECS = 2.0
LEAST_PAUSE_SECS, MOST_PAUSE_SECS = 0.1, 2.0
"""Between two attempts of `persist`."""
AGAIN = {"40001", "40P01"}
"""Serialization failure and deadlock: the other one won, the same again will do."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class _Reading(Session):
    """Keeps nothing: a read commits each statement by itself, so whatever it wrote would be there for good."""

    def flush(self, objects: Any = None) -> None:
        raise TypeError("a ReadSession writes nothing; open `transaction()`")


class ReadSession(AsyncSession):
    """A session that only reads, each statement by itself: there is no transaction. Several may run side by side."""

    sync_session_class: type[Session] = _Reading


class WriteSession(ReadSession):
    """The session of one transaction. Never shared between tasks."""

    sync_session_class = Session


def async_url(url: str) -> str:
    """`postgresql://…` as SQLAlchemy's asyncpg address."""
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError("DATABASE_URL must begin with postgresql://")
    return f"postgresql+asyncpg://{rest}"


def is_unavailable(error: BaseException) -> bool:
    """True when the database is away or refuses for the moment (busy, a deadlock broken): weather, not a bug."""
    if isinstance(error, InterfaceError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and not isinstance(error, asyncpg.DataError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, OperationalError):
        return True
    return _state(error)[:2] in {"08", "40", "53", "57"}


def is_bad_value(error: BaseException) -> bool:
    """True when the database could not take a value: of another kind, out of range, not text (SQLSTATE class 22)."""
    cause = getattr(getattr(error, "orig", None), "__cause__", error)
    return _state(error)[:2] == "22" or isinstance(cause, asyncpg.DataError)


def refers_to_nothing(error: BaseException) -> bool:
    """True when a row refers to one that is not there (SQLSTATE 23503): it was deleted after somebody looked."""
    return _state(error) == "23503"


def is_refused(error: BaseException) -> bool:
    """True when the database will not take a row however often it comes: bad value, constraint, limit of its own (class 54).

    Sizes it never thought of (`invalid memory alloc request`) are an internal error, XX000. Foreign keys are left out: what they
    say changes while rows are being deleted.
    """
    state = _state(error)
    return is_bad_value(error) or state[:2] == "54" or state in {"23502", "23514", "XX000"}


def is_too_much(error: BaseException) -> bool:
    """True when a statement took more time or memory than it may: fewer rows at once may go."""
    return _state(error) in {"57014", "53200"}


def is_disk_full(error: BaseException) -> bool:
    """True when the database's own disk is full (SQLSTATE 53100)."""
    return _state(error) == "53100"


def _state(error: BaseException) -> str:
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection that the server has closed (a restart) is replaced before it is used. Asks nobody, unlike a ping."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _read_documents_as_text(connection: Any, _record: Any) -> None:
    """The dialect takes JSONB as bytes, by a function in Python for each value; of text it is one call in C."""
    connection.run_async(
        lambda driver: driver.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text")
    )


async def _nobody_else(_announced: Sequence[str]) -> None:
    """In a process that listens to nobody."""


@dataclass
class _Held:
    """A session is open in the task (or one it waits for) that sees this."""

    now: bool = True


_held: ContextVar[_Held | None] = ContextVar("held", default=None)


class Place:
    """A place among the connections. A session within a session takes none: its caller would wait for itself."""

    def __init__(self, places: FairPlaces) -> None:
        self.places = places
        self.who: str | None = None

    async def take(self) -> None:
        """Raises Busy."""
        self.outer = _held.get()
        if self.outer is None or not self.outer.now:
            who = CALLER.get()
            await self.places.take(who)
            self.who, self.mine = who, _Held()
            _held.set(self.mine)

    def leave(self) -> None:
        if self.who is not None:
            self.mine.now = False
            _held.set(self.outer)
            self.places.give_back(self.who)


class Reading:
    """Opens a Reader for the time of a block; what many requests do several times is spelled out."""

    def __init__(self, database: "Database") -> None:
        self.database = database
        self.place = Place(database.places)

    async def __aenter__(self) -> Reader:
        database = self.database
        database.require_voice()
        await self.place.take()
        try:
            self.connection = await database.checked_out()
        except BaseException as error:
            self.place.leave()
            if not isinstance(error, Exception) or (told := database.told(error)) is error:
                raise
            raise told from error
        self.reader = Reader(self.connection.driver_connection, database.statements, database.engine.sync_engine.dialect)
        return self.reader

    async def __aexit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if self.reader.abandoned:
            self._let_go()
        else:
            self.connection.close()
        self.place.leave()
        if isinstance(error, Exception) and (told := self.database.told(error)) is not error:
            raise told from error

    def _let_go(self) -> None:
        """Take the connection out of the pool, and close it in order, which tells the server to end the statement."""
        driver = self.connection.driver_connection
        self.connection.detach()
        task = asyncio.create_task(driver.close(timeout=CLOSE_SECS))
        self.database.closing.add(task)
        task.add_done_callback(self.database.closing.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it was closed all the same


class Database:
    """The process's pool of connections to PostgreSQL; one caller (`fair.CALLER`) holds at most half of them."""

    def __init__(self, url: str, *, pool_size: int = 10, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> None:
        self.url = url
        limits = Limits(total=pool_size, each=max(1, pool_size // 2), patience=POOL_PATIENCE_SECS)
        self.places = FairPlaces(limits, "the database")
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_PATIENCE_SECS,
            json_serializer=lambda value: orjson.dumps(value, default=str).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "async_creator_fn": self._connect,
                "timeout": 3,
                "command_timeout": statement_timeout_ms / 1000 + SILENT_SECS,
                "server_settings": {
                    "statement_timeout": str(statement_timeout_ms),
                    "idle_in_transaction_session_timeout": str(IDLE_TRANSACTION_MS),
                    "timezone": "UTC",
                    "application_name": "coreplexml",
                },
            },
        )
        event.listen(self.engine.sync_engine, "connect", _read_documents_as_text)
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)
        self._open: WeakSet[Any] = WeakSet()
        self.closing: set[asyncio.Task[None]] = set()
        """Connections whose statement was given up, on their way out."""
        self.agreed: Callable[[Sequence[str]], Awaitable[None]] = _nobody_else
        """Waits until every process has heard of announcements."""
        self.watch = Watch(url, self._let_go)
        """Runs in processes that serve requests: they refuse at once what a silent server would let wait."""
        # One statement sees one state of the database either way; without BEGIN and ROLLBACK a read is one round trip, not three.
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.statements = Statements()

    def reader(self) -> "Reading":
        """A connection for prepared statements, each of which is asked by itself."""
        return Reading(self)

    async def checked_out(self) -> Any:
        """A connection of the pool, to be closed."""
        if self.engine.pool.checkedin():  # type: ignore[attr-defined]  # of the pool there is
            with suppress(MissingGreenlet):  # none can be had without waiting: the idle one was lost
                return self.engine.sync_engine.raw_connection()
        return await self.engine.raw_connection()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A short session for one read."""
        async with self._guarded(ReadSession, self._reading) as session:
            yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[WriteSession]:
        """A transaction: committed when the block ends well, rolled back when it raises.

        What it announced (`listener.announce_change`) every process has heard when this ends.
        """
        async with self._guarded(WriteSession, self.engine) as session:
            async with session.begin():
                yield session
            announced = session.info.get("announced", ())
        if announced:
            await self.agreed(announced)

    @asynccontextmanager
    async def _guarded(self, kind: type[Any], engine: AsyncEngine) -> AsyncIterator[Any]:
        async with (
            self._weather(),
            self._place(),
            kind(engine, expire_on_commit=False, autoflush=kind is WriteSession) as session,
        ):
            yield session

    @asynccontextmanager
    async def _weather(self) -> AsyncIterator[None]:
        self.require_voice()
        try:
            yield
        except Exception as error:
            if (told := self.told(error)) is error:
                raise
            raise told from error

    def require_voice(self) -> None:
        """Raises Unavailable while the server is known to say nothing."""
        if self.watch.silent.is_set():
            raise Unavailable(AWAY)

    def told(self, error: Exception) -> Exception:
        """What is no bug, in the words of the domain; everything else as it is."""
        if isinstance(error, PoolTimeout):
            return self.places.busy()
        if is_disk_full(error):
            return DatabaseFull(DISK_FULL)
        return Unavailable(AWAY) if is_unavailable(error) else error

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        place = Place(self.places)
        await place.take()
        try:
            yield
        finally:
            place.leave()

    async def _connect(self, *arguments: Any, **options: Any) -> Any:
        """A new connection; whatever the system says when there is no server (no socket, no host) means: away."""
        connecting = asyncio.ensure_future(asyncpg.connect(*arguments, **options))
        silent = asyncio.ensure_future(self.watch.silent.wait())
        try:
            await asyncio.wait({connecting, silent}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionError("the database is silent")
            connection = connecting.result()
        except OSError as error:
            raise ConnectionError(f"no connection to the database: {error}") from error
        finally:
            connecting.cancel()
            silent.cancel()
        self._open.add(connection)
        return connection

    def _let_go(self) -> None:
        """End every connection, so that whoever waits for an answer on one is told that there will be none."""
        for connection in list(self._open):
            connection.terminate()

    async def ping(self) -> None:
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        await asyncio.gather(*self.closing, return_exceptions=True)
        await self.engine.dispose()


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, tried until the database answers: what a job worked for hours on must not be lost to a restart.

    Endless: the caller's task is cancelled when that is too long.
    """
    pause = LEAST_PAUSE_SECS
    while True:
        try:
            return await work()
        except Exception as error:
            if not passing(error):
                raise
            if pause == LEAST_PAUSE_SECS:
                log.warning("database.away", error=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, MOST_PAUSE_SECS)


def passing(error: Exception) -> bool:
    """Whether the same may succeed in a moment: the database is away, or another transaction was quicker."""
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in AGAIN
    return isinstance(error, Unavailable)
