"""Sends a notification to every process at commit: PostgreSQL delivers it, to the `listener` of each."""

from sqlalchemy import text

from coreplex.platform.database import WriteSession


async def notify(session: WriteSession, channel: str, *payloads: str) -> None:
    """Tell all processes at commit, each payload by itself, or just that; nothing is told when the transaction rolls back."""
    told = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
    await session.execute(told, {"channel": channel, "payloads": payloads or ("",)})
