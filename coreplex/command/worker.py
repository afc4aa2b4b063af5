"""`worker`: one worker process, for deployments that supervise their processes by themselves."""

import os
import sys
from argparse import ArgumentParser, Namespace

from coreplex.command.environment import read_settings, require_stores


def add_arguments(parser: ArgumentParser) -> None:
    """None: the environment says it all."""


def run(options: Namespace) -> int:
    require_stores(read_settings())
    os.execv(sys.executable, [sys.executable, "-m", "workers"])  # noqa: S606 our own interpreter and module
