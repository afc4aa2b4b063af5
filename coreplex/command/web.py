"""`web`: one web process, for deployments that supervise their processes by themselves."""

import os
from argparse import ArgumentParser, Namespace

from coreplex.command.environment import read_settings, require_stores
from coreplex.supervisor.process import environment, python


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--fd", type=int, help="listening socket handed down by the caller instead of HOST and PORT")


def run(options: Namespace) -> int:
    require_stores(read_settings())
    handed = ["--fd", str(options.fd)] if options.fd is not None else []
    command = python("-m", "asgi", *handed)
    os.execve(command[0], command, environment())  # noqa: S606 our own interpreter and module
