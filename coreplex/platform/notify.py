"""Word to every process that something it may remember has changed. Delivered at commit by PostgreSQL itself."""

from sqlalchemy import text

from coreplex.platform.database import WriteSession

SERVING = "coreplex_serving"
"""A deployment, a model, a membership or a project changed: forget who may reach which model."""


async def notify(session: WriteSession, channel: str, *payloads: str) -> None:
    """Tell all processes at commit, each payload by itself, or just that; nothing is told when the transaction rolls back."""
    told = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
    await session.execute(told, {"channel": channel, "payloads": payloads or ("",)})
