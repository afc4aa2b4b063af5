"""Rows of datasets and their versions."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.membership.quota import OwnerQuota
from coreplex.platform.bound import OF_OWNER, Bound, Rule
from coreplex.platform.columns import document, key, moment, reference, word


class DatasetStatus(StrEnum):
    ready = "ready"


class VersionSource(StrEnum):
    upload = "upload"
    override = "override"
    builder = "builder"
    privacy = "privacy"
    synthgen = "synthgen"
    prediction = "prediction"
    outcomes = "outcomes"


class Dataset(SQLModel, table=True):
    __tablename__ = "datasets"
    __bound__ = Bound(f"{OF_OWNER}`MAX_DATASET_VERSIONS`; a dataset has a version at least.")

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=10_000)
    status: DatasetStatus = word(DatasetStatus, DatasetStatus.ready)
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()


class DatasetVersion(SQLModel, table=True):
    """One frozen state of a dataset: a Parquet artefact, its column schema, profile and quality."""

    __tablename__ = "dataset_versions"
    __bound__ = Bound(f"{OF_OWNER}`MAX_DATASET_VERSIONS`.")
    __table_args__ = (UniqueConstraint("dataset_id", "version"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    dataset_id: UUID = reference("datasets.id")
    version: int
    row_count: int = Field(sa_type=BigInteger)
    column_count: int
    size_bytes: int = Field(sa_type=BigInteger)
    file_format: str = Field(max_length=16)
    artifact_id: UUID = reference("artifacts.id", on_delete="NO ACTION")
    upload_artifact_id: UUID | None = reference("artifacts.id", default=None, on_delete="SET NULL")
    parent_version_id: UUID | None = reference("dataset_versions.id", default=None, on_delete="SET NULL")
    source: VersionSource = word(VersionSource, VersionSource.upload)
    quality_score: float
    table_schema: dict[str, Any] = Field(sa_column=Column("schema", JSONB, nullable=False))
    profile: dict[str, Any] = document()
    quality: dict[str, Any] = document()
    read_options: dict[str, Any] = document()
    """How the file was read, for reading it again: `sheet` of a workbook."""
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment()


def _too_many(used: int, more: int, most: int) -> Message:
    return Message(
        "too_many_dataset_versions",
        "The projects of this project's owner have {used:,} dataset versions, and MAX_DATASET_VERSIONS allows {most:,}. Delete "
        "datasets that are not needed, or ask the server's administrator to raise it.",
        used=used,
        most=most,
    )


VERSIONS_OF_OWNER = OwnerQuota(DatasetVersion, func.count(), "max_dataset_versions", _too_many)


class Diagnosis(SQLModel, table=True):
    """What is known of one target of a version before training: kept, since a version never changes."""

    __tablename__ = "diagnoses"
    __bound__ = Bound(
        "Go with the version, and after 30 days; asked for again, they are made again.",
        (Rule("created_at < :horizon", timedelta(days=30)),),
    )
    __table_args__ = (UniqueConstraint("dataset_version_id", "fingerprint"),)

    id: UUID = key()
    dataset_version_id: UUID = reference("dataset_versions.id", index=False)
    fingerprint: str = Field(max_length=64)
    found: dict[str, Any] = document()
    created_at: datetime = moment(index=True)
