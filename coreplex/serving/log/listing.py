"""The inference log as its readers page through it."""

from sqlalchemy import select
from sqlmodel import col

from coreplex.platform.paging import Listing
from coreplex.serving.log.documents import LIGHT
from coreplex.serving.table import InferenceLog


def listing() -> Listing:
    """The inference logs of deployments the caller may see, newest first, without their documents."""
    return Listing(
        query=select(InferenceLog),
        identity=col(InferenceLog.id),
        sortable={"created_at": col(InferenceLog.created_at)},
        parent=col(InferenceLog.deployment_id),
        options=LIGHT,
    )
