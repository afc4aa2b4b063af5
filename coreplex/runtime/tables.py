"""Imports every table once, for Alembic and the mapper."""

from sqlmodel import SQLModel

from coreplex.runtime import concepts

concepts.load("table")
metadata = SQLModel.metadata
