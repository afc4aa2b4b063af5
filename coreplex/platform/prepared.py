"""Statements that are compiled once: their text, how their arguments are sent, and how their rows become objects.

What the mapper does for every row and the compiler for every statement is done here for each shape of a statement once. Rows are
objects of their table's class that read as the mapper's do, of no session: nobody can write through them, and a column that
stayed behind is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Dialect, Enum, Select, bindparam
from sqlalchemy import inspect as mapped
from sqlalchemy.orm import defer
from sqlalchemy.sql.base import ExecutableOption

Values = Mapping[str, Any]
"""Arguments by the names of their parameters."""
Read = Callable[[Iterable[Any]], list[Any]]


class Words(dict[Any, Any]):
    """What each stored word stands for, asked once."""

    def __init__(self, process: Callable[[Any], Any]) -> None:
        super().__init__()
        self.process = process

    def __missing__(self, word: Any) -> Any:
        self[word] = found = self.process(word)
        return found


def parameter(name: str, kind: Any) -> BindParameter[Any]:
    """What stands in a statement for a value that comes with each asking."""
    return bindparam(name, None, kind)


def columns_of(table: type, without: Sequence[str] = ()) -> list[Any]:
    """The columns of a table's rows, but those that stay behind."""
    mapper: Any = mapped(table)
    return [getattr(table, one.key) for one in mapper.column_attrs if one.key not in without]


def behind(table: type, without: Sequence[str]) -> tuple[ExecutableOption, ...]:
    """The same for the mapper: what keeps these columns behind."""
    return tuple(defer(getattr(table, name), raiseload=True) for name in without)


class Prepared:
    """One statement. Its first columns are those of a row of `table`, in the order of `names`; others stand behind them."""

    def __init__(self, query: Select[Any], table: type | None, names: Sequence[str], dialect: Dialect) -> None:
        compiled: Any = query.compile(dialect=dialect)
        whole = compiled.construct_expanded_state()
        self.text: str = whole.statement
        self.known: Values = whole.parameters
        kinds = {name: parameter.type.dialect_impl(dialect) for parameter, name in compiled.bind_names.items()}
        senders = {name: kind.bind_processor(dialect) for name, kind in kinds.items()} | dict(whole.processors)
        self.order = [(name, senders.get(name)) for name in whole.positiontup or ()]
        self.kinds = [column.type for column in query.selected_columns]
        self.table, self.names, self.dialect = table, names, dialect
        self.read: Read | None = None
        """What makes of records a list of rows; of tuples where other columns than a row's stand there."""

    def arguments(self, values: Values) -> list[Any]:
        """In the order of the text; what is no parameter of the statement is passed over."""
        found = []
        for name, send in self.order:
            value = values[name] if name in values else self.known[name]
            found.append(value if send is None else send(value))
        return found

    def settle(self, attributes: Sequence[Any]) -> Read:
        """Learn what the database calls the types of the columns, and make `read` of it."""
        parts, space = [], dict[str, Any]()
        for place, (kind, attribute) in enumerate(zip(self.kinds, attributes, strict=True)):
            process = kind.dialect_impl(self.dialect).result_processor(self.dialect, attribute.type.oid)
            parts.append(f"c{place}" if process is None else self._processed(place, kind, process, space))
        self.read = _reader(self.table, self.names, parts, space)
        return self.read

    def _processed(self, place: int, kind: Any, process: Callable[[Any], Any], space: dict[str, Any]) -> str:
        if isinstance(kind, Enum):
            space[f"p{place}"] = Words(process)
            return f"p{place}[c{place}]"
        space[f"p{place}"] = process
        return f"p{place}(c{place})"


def _reader(table: type | None, names: Sequence[str], parts: Sequence[str], space: dict[str, Any]) -> Read:
    """Generated: for each record an object with its columns, and what stands behind them."""
    own, more = parts[: len(names)], parts[len(names) :]
    lines = [f"for {', '.join(f'c{place}' for place in range(len(parts)))}, in records:"]
    if table is not None:
        fields = ", ".join(f"{name!r}: {part}" for name, part in zip(names, own, strict=True))
        lines += ["    row = new(table)", f"    put(row, '__dict__', {{{fields}}})"]
    alone = table is not None and not more
    lines.append("    add(row)" if alone else f"    add(({', '.join(['row', *more] if table is not None else more)},))")
    text = "def read(records):\n    found = []\n    add = found.append\n    " + "\n    ".join(lines) + "\n    return found"
    space |= {"new": object.__new__, "put": object.__setattr__, "table": table}
    exec(compile(text, "<rows>", "exec"), space)  # noqa: S102 the text is made of the names of our own columns
    read: Read = space["read"]
    return read
