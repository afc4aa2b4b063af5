"""The command `coreplexml-server`. Each sub-command is one module, imported only when it is asked for."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module

from coreplex.platform.version import server_version

COMMANDS = {
    "up": "start everything on this machine and keep it running",
    "web": "run one web process (needs DATABASE_URL and REDIS_URL)",
    "worker": "run one worker process (needs DATABASE_URL and REDIS_URL)",
    "migrate": "bring the database to the newest schema",
    "create-admin": "make an administrator",
    "outbox": "show the mails that wait, and those that were sent",
    "doctor": "look for what is wrong and say what to do",
    "settings": "print every setting, its default and its meaning",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns its exit code: 0 well, 1 trouble, 2 wrong usage, 3 already running."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = ArgumentParser(prog="coreplexml-server", description="A self-hosted AutoML and MLOps server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {server_version()}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in given if word in COMMANDS), None)
    module = import_module(f"coreplex.command.{chosen.replace('-', '_')}") if chosen else None
    for name, text in COMMANDS.items():
        choice = choices.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if module and name == chosen:
            module.add_arguments(choice)
    options = parser.parse_args(given)
    return _run(module, options) if module else 2


def _run(module: object, options: object) -> int:
    from coreplex.supervisor.trouble import Trouble

    try:
        return int(module.run(options))  # type: ignore[attr-defined]
    except Trouble as trouble:
        print(f"\nCannot go on: {trouble.what}\n{trouble.remedy}".rstrip(), file=sys.stderr)
        return trouble.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


if __name__ == "__main__":
    sys.exit(main())
