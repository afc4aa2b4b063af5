"""Every setting of the server, read once from the environment.

One frozen class: nothing else in the project reads an environment variable for configuration. The table in the README is
compared with the descriptions below by a test.
"""

import os
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from coreplex.platform.smtp import server_of

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
LEAST_WEB_MEMORY = 512 * 1024**2
CONTROL_GROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class Mode(StrEnum):
    development = "development"
    production = "production"


class Introspection(StrEnum):
    auto = "auto"
    on = "on"
    off = "off"


class Documents(StrEnum):
    """Which documents of GraphQL are run."""

    off = "off"
    preferred = "preferred"
    required = "required"


class Registration(StrEnum):
    open = "open"
    invited = "invited"


def _rate(text: str) -> str:
    amount, _, period = text.partition("/")
    if not amount.isdigit() or int(amount) < 1 or period not in PERIODS:
        raise ValueError(f"'{text}' is not a rate; write it as amount/period, for example 100/minute")
    return text


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _origin(text: str) -> str:
    """An origin as browsers send it. No `*`: that would be every page of the world, with the visitor's cookies."""
    parts = urlsplit(text)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in {"http", "https"} or not parts.hostname or text.rstrip("/").lower() != origin:
        raise ValueError(f"'{text}' is not an origin; write it as https://app.example.com, without a path")
    return origin


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"'{text}' is not an address or a network; write it as 10.0.0.5 or 10.0.0.0/8") from None


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("write it as https://ml.example.com")
    return text.rstrip("/")


def _mail_server(url: SecretStr) -> SecretStr:
    server_of(url.get_secret_value())
    return url


Rate = Annotated[str, AfterValidator(_rate)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)]
Address = Annotated[str, AfterValidator(_address)]
MailServer = Annotated[SecretStr, AfterValidator(_mail_server)]


def default_data_dir() -> Path:
    """`/var/lib` for root (the database server's account must reach it), the user's own data folder otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/coreplexml-server")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "coreplexml-server"


def default_web_memory() -> int:
    """2 GiB, or half of what the machine or the control group has, whichever is less."""
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no control groups, or one without a limit, which says `max`
        has = min(has, int(CONTROL_GROUP_MEMORY.read_text()))
    return max(LEAST_WEB_MEMORY, min(2 * 1024**3, has // 2))


class Settings(BaseSettings):
    """The environment of one server. Empty variables count as unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address the web process listens on.")
    port: int = Field(8888, ge=0, le=65535, description="Port the web process listens on; 0: a free one, which `up` prints.")
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of uploads, models, logs and the embedded database. "
        "Default: `/var/lib/coreplexml-server` for root, `~/.local/share/coreplexml-server` otherwise.",
    )
    database_url: str | None = Field(
        None, description="PostgreSQL 15 or newer, `postgresql://user@host/name`. Unset: an embedded server is started."
    )
    redis_url: str | None = Field(
        None, description="Redis 7 or Valkey 8 and newer, `redis://host:6379/0`. Unset: an embedded server is started."
    )
    postgres_bin: Path | None = Field(
        None, description="Folder with `postgres` and `initdb` for the embedded database. Default: the installed wheel's."
    )
    redis_bin: Path | None = Field(
        None, description="Program `valkey-server` or `redis-server` for the embedded Redis. Default: the installed wheel's."
    )
    mode: Mode = Field(
        Mode.development,
        description="`development` shows the GraphQL explorer and field suggestions; `production` hides them and "
        "answers only requests "
        "for the host of `PUBLIC_URL` and for localhost.",
    )
    introspection: Introspection = Field(
        Introspection.auto,
        description="Whether GraphQL describes its own schema: `auto` in development only, `on` in production to signed-in "
        "callers too, `off` to nobody.",
    )
    graphql_documents: Documents = Field(
        Documents.preferred,
        description="GraphQL documents by name: `preferred` also runs those of `GRAPHQL_DOCUMENT_LIST`, and automatic persisted "
        "queries; `required` runs the list's and nothing else; `off` runs only what is sent in full.",
    )
    graphql_document_list: Path | None = Field(
        None,
        description="JSON file of documents by id, as relay-compiler, graphql-codegen or Apollo's manifest generator write it; "
        "read at the start.",
    )
    public_url: Address | None = Field(
        None,
        description="Address users see, used in mails; with `https://` cookies are secure and HSTS is sent. "
        "Default: `http://HOST:PORT`.",
    )
    trusted_proxies: Networks = Field(
        (), description="Addresses or networks, comma separated, whose `X-Forwarded-For` and `-Proto` are believed."
    )
    cors_origins: Origins = Field(
        (),
        description="Origins, comma separated, whose browsers may call the API with cookies; of the same site "
        "(cookies are SameSite=Lax).",
    )

    webhook_allowed_networks: Networks = Field(
        (),
        description="Addresses or networks, comma separated, that webhooks may be sent to although they are not public: "
        "`10.0.0.0/8`.",
    )

    admin_email: str | None = Field(None, description="E-mail of the first administrator, made at the first start.")
    admin_password: SecretStr | None = Field(None, description="Password of the first administrator (8 characters or more).")
    registration: Registration = Field(
        Registration.open,
        description="Who may register: `open` to everybody, `invited` to those whom an administrator of a project has invited.",
    )
    require_email_verification: bool = Field(True, description="New accounts must open the link in their mail before login.")
    smtp_url: MailServer | None = Field(
        None,
        description="`smtp://user:password@host:587` or `smtps://…`. Unset: mails wait in the outbox, see `outbox`; "
        "set later, those of the last two days are sent.",
    )
    mail_from: str = Field("CorePlexML <no-reply@localhost>", description="Sender of the mails.")
    default_plan: str = Field(
        "enterprise", pattern="^(free|pro|team|enterprise)$", description="Plan of a newly registered account."
    )

    max_dataset_upload_bytes: int = Field(500 * 1024**2, ge=1, description="Largest dataset upload in bytes (500 MB).")
    max_batch_upload_bytes: int = Field(100 * 1024**2, ge=1, description="Largest upload of rows to predict in bytes (100 MB).")
    max_answer_bytes: int = Field(
        32 * 1024**2, ge=64 * 1024, description="Largest JSON answer in bytes (32 MB); files to download are not meant."
    )

    max_accounts: int = Field(10_000, ge=1, description="Most accounts of this server; further people cannot register.")
    max_projects: int = Field(1000, ge=1, description="Most projects one account may own, an administrator too.")
    max_api_keys: int = Field(100, ge=1, description="Most API keys of one account that can be used.")
    max_dataset_versions: int = Field(10_000, ge=1, description="Most versions of datasets in all projects of one owner.")
    max_stored_bytes: int = Field(
        200 * 1024**3, ge=1, description="Most bytes of stored tables and models in all projects of one owner (200 GB)."
    )
    max_staged_bytes: int = Field(
        10 * 1024**3,
        ge=1,
        description="Most bytes of one account's uploads and exports that wait to be used or fetched (10 GB).",
    )
    max_items_per_project: int = Field(
        10_000,
        ge=1,
        description="Most experiments, deployments, evaluations, prediction batches and members of one project, of each.",
    )

    inference_log_days: int = Field(
        90, ge=0, description="Days the inference log of deployments without `log_days` is kept, in whole weeks; 0: for ever."
    )
    event_days: int = Field(
        365, ge=0, description="Days a project's timeline is kept; what an experiment says stays as long as it does. 0: for ever."
    )
    job_days: int = Field(90, ge=0, description="Days a job is listed after its end; 0: for ever.")
    mail_days: int = Field(30, ge=1, description="Days a mail stays in the outbox, sent or not.")
    unconfirmed_account_days: int = Field(
        30, ge=0, description="Days an account may wait for its e-mail to be confirmed before it is removed; 0: for ever."
    )
    webhook_days: int = Field(30, ge=1, description="Days a delivery of a webhook is listed, with its attempts.")
    idempotency_hours: int = Field(24, ge=1, description="Hours the answer to an `Idempotency-Key` is kept.")
    staged_file_hours: int = Field(1, ge=1, description="Hours an upload waits to be used, and an export to be fetched.")
    unfinished_upload_hours: int = Field(24, ge=1, description="Hours a resumable upload waits for its next byte.")

    rate_limit_general: Rate = Field("100/minute", description="Everything that has no category of its own.")
    rate_limit_authentication: Rate = Field("10/minute", description="Login, registration, password reset.")
    rate_limit_predictions: Rate = Field("50/minute", description="Predictions through models and deployments.")
    rate_limit_training: Rate = Field("5/minute", description="Created experiments; a refusal is a general request.")
    rate_limit_reports: Rate = Field("20/minute", description="Creation of reports, which has no endpoint yet.")
    rate_limit_builder: Rate = Field("30/minute", description="Dataset Builder, which has no endpoint yet.")

    web_processes: int = Field(1, ge=1, le=64, description="Web processes sharing the port.")
    worker_processes: int = Field(1, ge=1, le=64, description="Worker processes; each runs its jobs' children.")
    worker_threads: int = Field(4, ge=1, le=64, description="Jobs one worker process runs side by side.")
    training_threads: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 2) - 1),
        ge=1,
        description="Threads of one training run, which fits so many folds side by side.",
    )
    training_memory_bytes: int = Field(4 * 1024**3, ge=256 * 1024**2, description="Address space one training run may use.")
    web_memory_bytes: int = Field(
        default_factory=default_web_memory,
        ge=LEAST_WEB_MEMORY,
        description="Memory one web process may use: near it requests are 503, and a process that stays there is replaced. "
        "Default: 2 GiB, or half of what the machine or its container has.",
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Database connections per process.")

    engine_fallback: bool = Field(
        True, description="An engine that is not installed is replaced by the native one, with a warning. Off: 422."
    )
    extras: Names = Field((), description="Optional parts `scripts/start` and `scripts/test` install: `torch`, `h2o`, `otel`.")
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="What Prometheus sends as a bearer token to read `/metrics` (16 characters or more). Unset: only programs on "
        "this machine read it.",
    )
    otel_exporter_otlp_endpoint: Address | None = Field(
        None,
        description="Collector of OpenTelemetry that traces are sent to, `http://host:4318`; needs `EXTRAS=otel`. Unset: none.",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")

    @model_validator(mode="after")
    def _administrator_is_whole(self) -> Self:
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("set both ADMIN_EMAIL and ADMIN_PASSWORD, or neither")
        if self.admin_password and len(self.admin_password.get_secret_value()) < 8:
            raise ValueError("ADMIN_PASSWORD needs 8 characters or more")
        return self

    @model_validator(mode="after")
    def _documents_have_a_list(self) -> Self:
        if self.graphql_documents is Documents.required and self.graphql_document_list is None:
            raise ValueError("GRAPHQL_DOCUMENTS=required needs GRAPHQL_DOCUMENT_LIST, the file of documents that may run")
        if self.graphql_documents is Documents.off and self.graphql_document_list is not None:
            raise ValueError("GRAPHQL_DOCUMENT_LIST has no effect with GRAPHQL_DOCUMENTS=off: leave one of them out")
        return self

    @cached_property
    def base_url(self) -> str:
        if self.public_url:
            return self.public_url
        host = "localhost" if self.host in {"0.0.0.0", "127.0.0.1", "::"} else self.host  # noqa: S104 compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def introspectable(self) -> bool:
        """Whether anybody may introspect; in production it takes a signed-in caller even then."""
        automatic = self.mode is Mode.development
        return {Introspection.auto: automatic, Introspection.on: True, Introspection.off: False}[self.introspection]

    @property
    def known_hosts(self) -> frozenset[str]:
        """Names a request may be for in production, without a port: what else a browser asks for was rebound by its DNS."""
        return LOCAL_HOSTS | {(urlsplit(self.base_url).hostname or "").rstrip("."), self.host.lower()}

    @property
    def secure_cookies(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def storage_dir(self) -> Path:
        return self.data_dir / "storage"
