"""How many accounts a server, and how many keys an account may have."""

from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlmodel import col

from coreplex.account.table import ApiKey, User
from coreplex.errors.tree import QuotaExceeded
from coreplex.membership.quota import count, exceeded, lock_account
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.settings import Settings

ACCOUNTS = 0x6163636F756E7473  # "accounts"


async def take_account(session: WriteSession, settings: Settings) -> None:
    """A place for one more account."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ACCOUNTS})
    used = await count(session, select(func.count()).select_from(User))
    if used >= settings.max_accounts:
        raise QuotaExceeded(f"This server has {used:,} accounts, and MAX_ACCOUNTS allows no more; ask its administrator.")


async def take_key(session: WriteSession, settings: Settings, user_id: UUID) -> None:
    """A place for one more API key that can be used."""
    await lock_account(session, user_id)
    ends = col(ApiKey.expires_at)
    usable = (col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None), or_(ends.is_(None), ends > now()))
    used = await count(session, select(func.count()).where(*usable))
    if used >= settings.max_api_keys:
        raise exceeded(f"You have {used:,} API keys", "MAX_API_KEYS", settings.max_api_keys, "Revoke one that is not used")
