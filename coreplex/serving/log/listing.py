"""The list of the inference log's entries, paged for its readers."""

from sqlalchemy import select
from sqlmodel import col

from coreplex.platform.paging import Listing, Order
from coreplex.serving.log.documents import LIGHT
from coreplex.serving.table import InferenceLog

LOGS = Listing(
    query=select(InferenceLog),
    identity=col(InferenceLog.id),
    order=Order({"created_at": col(InferenceLog.created_at)}),
    parent=col(InferenceLog.deployment_id),
    options=LIGHT,
)
"""The inference logs of deployments the caller may see, newest first, without their documents."""
