"""Imports every table once, for Alembic and the mapper."""

from sqlmodel import SQLModel

import coreplex.account.table
import coreplex.artifact.table
import coreplex.dataset.table
import coreplex.deployment.table
import coreplex.event.table
import coreplex.experiment.table
import coreplex.idempotency.table
import coreplex.job.table
import coreplex.membership.table
import coreplex.model.table
import coreplex.serving.table  # noqa: F401

metadata = SQLModel.metadata
