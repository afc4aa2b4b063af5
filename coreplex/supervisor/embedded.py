"""The embedded servers of one data folder: those whose address is not set."""

from coreplex.platform.settings import Settings
from coreplex.supervisor.binaries import postgres_folder, valkey_server
from coreplex.supervisor.folder import DataFolder
from coreplex.supervisor.identity import Account, unprivileged
from coreplex.supervisor.postgres import Postgres
from coreplex.supervisor.runtime import usable
from coreplex.supervisor.sockets import forget_folder, make_folder
from coreplex.supervisor.valkey import Valkey

LEAST_CONNECTIONS = 100
SPARE_CONNECTIONS = 20
LISTENERS = 3


class Embedded:
    """Plans what is needed without making anything; `make` makes it."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.settings = settings
        self.folder = folder
        self.wants_postgres = settings.database_url is None
        self.wants_valkey = settings.redis_url is None
        self.account: Account | None = None
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        if self.wants_postgres or self.wants_valkey:
            self.account = unprivileged(folder.path / "postgres")
        self._programs = postgres_folder(settings.postgres_bin) if self.wants_postgres else None
        self._program = valkey_server(settings.redis_bin) if self.wants_valkey else None

    def make(self) -> None:
        """Prepare both servers in the folder, which is there and held."""
        if not (self._programs or self._program):
            return
        sockets = make_folder(self.folder.path, self.account)
        programs, program = usable(self._programs, self._program, self.account, self.folder.path)
        if programs:
            log, flags = self.folder.logs / "postgres.log", ("-c", f"max_connections={self._connections}")
            self.postgres = Postgres(programs, self.folder.path / "postgres", sockets, log, self.account, flags)
            self.postgres.prepare()
        if program:
            log = self.folder.logs / "valkey.log"
            self.valkey = Valkey(program, self.folder.path / "valkey", sockets, log, self.account)
            self.valkey.prepare()

    def forget_sockets(self) -> None:
        """Remove the folder of sockets, after both servers have ended."""
        if self.parts:
            forget_folder(self.folder.path)

    @property
    def parts(self) -> list[Postgres | Valkey]:
        return [part for part in (self.postgres, self.valkey) if part]

    @property
    def _connections(self) -> int:
        processes = self.settings.web_processes + self.settings.worker_processes
        return max(LEAST_CONNECTIONS, processes * (self.settings.database_pool_size + LISTENERS) + SPARE_CONNECTIONS)
