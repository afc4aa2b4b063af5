"""`up`: everything on this machine."""

from argparse import ArgumentParser, Namespace

from coreplex.command.environment import read_settings


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--demo", action="store_true", help="when ready, walk through a small project from table to prediction")


def run(options: Namespace) -> int:
    from coreplex.supervisor.process import python
    from coreplex.supervisor.up import Supervisor

    settings = read_settings()
    journey = python("-m", "coreplex.command.demo") if options.demo else []
    return Supervisor(settings).run(journey)
