"""What is loaded of deployments and their inference logs."""

from collections.abc import Mapping

from coreplex.deployment import service
from coreplex.platform.database import ReadSession
from coreplex.serving.log.listing import Documents, Key, documents
from resolvers.loading import Asking, Batch, batch

serving_stages = batch(service.serving_stages, missing=frozenset())
"""Stages in which an active deployment serves a model, by model id."""


async def _documents(session: ReadSession, keys: list[Key], asking: Asking) -> Mapping[Key, Documents | None]:
    with asking.size().reading() as counted:
        return await documents(session, keys, counted.add)


log_documents = Batch(_documents)
"""What was asked and answered, by id and time of a row of the inference log; never more than an answer may hold."""
