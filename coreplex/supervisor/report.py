"""Writes what the terminal shows: only what a person needs. Everything else is in the logs of the data folder."""

import contextlib
import shlex
import sys
from pathlib import Path

from coreplex.platform.settings import Mode, Settings, default_data_dir
from coreplex.supervisor.postgres import tail


def say(text: str) -> None:
    """Print; a terminal that has gone is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def starting(settings: Settings, own_postgres: bool, own_valkey: bool) -> None:
    say("CorePlexML server is starting …")
    say(f"  data folder  {settings.data_dir}")
    say(f"  database     {'embedded PostgreSQL' if own_postgres else 'DATABASE_URL'}")
    say(f"  queue        {'embedded Valkey' if own_valkey else 'REDIS_URL'}")


def ready(settings: Settings, seconds: float, administrator: bool, demo: bool) -> None:
    url = settings.base_url
    say(f"\nReady after {seconds:.1f} s.\n")
    say(f"  Open      {url}/docs, the reference of the REST API")
    if settings.mode is Mode.development:
        say(f"            {url}/graphql, an explorer of the GraphQL API")
    say(f"  Sign in   by POST {url}/api/auth/login (there is no page for it yet; README.md shows the call),")
    say(f"            {_sign_in(settings, administrator)}")
    say("  Next      from a table to a prediction, step by step: README.md")
    if not demo:
        say("            or see the whole journey once: Ctrl-C, then ./scripts/start --demo")
    say(f"  Logs      {settings.data_dir / 'logs'}")
    say("  Stop      Ctrl-C\n")


def died(name: str, status: int, log: Path, silent_secs: float | None) -> None:
    if silent_secs is not None:
        complain(f"{name} gave no sign of life for {silent_secs:.0f} s, was killed, and is started again. Log: {log}")
        return
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    complain(f"{name} ended unexpectedly ({how}) and is started again. Log: {log}")
    if status >= 0 and (last := tail(log, 3)):
        complain(last)


def _sign_in(settings: Settings, administrator: bool) -> str:
    if settings.admin_email:
        return f"as {settings.admin_email}, with ADMIN_PASSWORD as it was when this account was made"
    if administrator:
        return "with your account"
    program = shlex.quote(str(Path(sys.executable).with_name("coreplexml-server")))
    folder = f"DATA_DIR={shlex.quote(str(settings.data_dir))} " if settings.data_dir != default_data_dir() else ""
    made = "once you have made the first administrator, in a second terminal:"
    return f"{made}\n            {folder}{program} create-admin you@example.com"
