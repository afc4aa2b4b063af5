"""Acts in the name of people who are not there, by what they have ordered: as long as they might still do it themselves."""

from uuid import UUID

from coreplex.account.table import User
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Credential, Grant, Permission, Principal, Scope


async def grant_of(session: ReadSession, user_id: UUID | None, permission: Permission) -> Grant | None:
    """What an account may do itself when it is signed in; None for one that is gone, or was shut off.

    What it may do in a project is asked where that is opened, as ever.
    """
    user = None if user_id is None else await session.get(User, user_id)
    if user is None or not user.is_active:
        return None
    scopes = frozenset({Scope.read, Scope.write})
    who = Principal(user.id, user.email, user.name, user.role, user.plan, Credential.session, user.id, scopes)
    return Grant(who, permission)
