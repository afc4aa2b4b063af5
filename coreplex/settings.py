"""Every setting of the server, read once from the environment.

One frozen class: nothing else in the project reads an environment variable. The table in the README is generated
from the descriptions below and a test compares the two.
"""

import os
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Mode(StrEnum):
    development = "development"
    production = "production"


def _rate(text: str) -> str:
    amount, _, period = text.partition("/")
    if not amount.isdigit() or int(amount) < 1 or period not in {"second", "minute", "hour", "day"}:
        raise ValueError(f"'{text}' is not a rate; write it as amount/period, for example 100/minute")
    return text


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Rate = Annotated[str, AfterValidator(_rate)]


def default_data_dir() -> Path:
    """/var/lib for root (the database server's account must reach it), the user's data folder otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/coreplexml-server")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "coreplexml-server"
