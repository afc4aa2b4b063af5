"""The table of documented endpoints: the `ROWS` of every module in `rest_compat/endpoints`, one per concept."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from rest_compat import endpoints
from rest_compat.endpoint import Endpoint, Kind

CONCEPTS: Mapping[str, Sequence[Endpoint]] = {
    module.name: import_module(f"{endpoints.__name__}.{module.name}").ROWS for module in iter_modules(endpoints.__path__)
}


def rows_of(kind: Kind) -> tuple[Endpoint, ...]:
    """The rows of one kind."""
    return tuple(row for rows in CONCEPTS.values() for row in rows if row.kind is kind)


TABLE = rows_of(Kind.json)
