"""Alembic's way in: runs the versions on a connection somebody else opened."""

from typing import Any, Literal

from alembic import context
from sqlmodel.sql.sqltypes import AutoString

from coreplex.runtime.tables import metadata


def render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations are core SQL: they name SQLAlchemy's types, never SQLModel's."""
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
