"""`worker`: one worker process, for deployments that supervise their processes by themselves."""

import os
from argparse import ArgumentParser, Namespace

from coreplex.command.environment import read_settings, require_stores
from coreplex.supervisor.process import environment, python


def add_arguments(parser: ArgumentParser) -> None:
    """None: the environment says it all."""


def run(options: Namespace) -> int:
    require_stores(read_settings())
    command = python("-m", "workers")
    os.execve(command[0], command, environment())  # noqa: S606 our own interpreter and module
