"""Whatever has an identifier of its own, by that identifier.

One statement finds which tables the ids belong to, and one for each of these reads what the caller may see: a row is opened
with the rights its own field asks for, and what is another person's is as unknown as what is not there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, literal_column, select, union_all

from coreplex.errors.tree import DomainError, Forbidden, Invalid, Message, NotFound
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import READ, Grant, Permission, Principal, authorize
from resolvers.context import Info
from resolvers.loading import Asking, Batch

MAX_IDS = 100
MAX_NUMBER = 2**63 - 1
Key = UUID | int


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """How rows of a table are opened: by the column `identity`, those the caller has `seen`, under a permission."""

    identity: Any
    seen: Callable[[Grant], Select[Any]]
    permission: Permission = READ

    @property
    def numbered(self) -> bool:
        return self.identity.type.python_type is int


class Nodes:
    """All that can be had by id."""

    def __init__(self) -> None:
        self.kinds: list[Opened] = []
        self.elsewhere: list[Callable[[Info, str], Awaitable[Any]]] = []
        """What is in no table; each raises NotFound for what it does not know."""
        self.rows = Batch(self._load)
        """Rows by the text of their ids; an error for one the caller may not have in this way."""
        self.seen = Batch(self._seen)
        """The same, without those, and nothing for a caller who may not ask."""

    async def one(self, info: Info, identity: str) -> Any:
        """Raises NotFound, and Forbidden for what is the caller's own but cannot be had with this credential."""
        found = await info.context.loaders[self.rows].load(identity)
        return await self._beside(info, identity) if found is None else found

    async def many(self, info: Info, ids: Sequence[str]) -> list[Any]:
        """In the order of the ids; an error in the place of one that cannot be had. Raises Invalid for too many."""
        if len(ids) > MAX_IDS:
            raise Invalid.field(Message("too_many_ids", "at most {most} ids at once", most=MAX_IDS), "ids")
        found = await asyncio.gather(*(self.one(info, identity) for identity in ids), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, DomainError):
                raise one
        return found

    async def _beside(self, info: Info, identity: str) -> Any:
        for look in self.elsewhere:
            try:
                return await look(info, identity)
            except NotFound:
                continue
        raise NotFound.of("Node")

    async def _load(self, session: ReadSession, ids: list[str], asking: Asking) -> Mapping[str, Any]:
        assert asking.principal is not None, "the fields demand a scope"
        grant, keys = Grant(asking.principal), {text: key for text in ids if (key := _key(text)) is not None}
        found: dict[Key, Any] = {}
        for kind, wanted in await self._tables(session, set(keys.values())):
            for row in await session.scalars(kind.seen(grant).where(kind.identity.in_(wanted))):
                found[getattr(row, kind.identity.key)] = _refusal(kind.permission, grant.principal) or row
        return {text: found[key] for text, key in keys.items() if key in found}

    async def _seen(self, session: ReadSession, ids: list[str], asking: Asking) -> Mapping[str, Any]:
        if asking.principal is None or _refusal(READ, asking.principal) is not None:
            return {}
        found = await self._load(session, ids, asking)
        return {text: row for text, row in found.items() if not isinstance(row, DomainError)}

    async def _tables(self, session: ReadSession, keys: set[Key]) -> Iterable[tuple[Opened, Sequence[Key]]]:
        """Which ids may be in which tables: numbers in those whose rows are numbered."""
        numbers = [key for key in keys if isinstance(key, int)]
        found: dict[Opened, list[Key]] = {kind: [*numbers] for kind in self.kinds if kind.numbered and numbers}
        if wanted := [key for key in keys if isinstance(key, UUID)]:
            ids = bindparam("ids", wanted, ARRAY(Uuid))
            named = [(number, kind.identity) for number, kind in enumerate(self.kinds) if not kind.numbered]
            parts = [select(literal_column(str(number)), column).where(column == any_(ids)) for number, column in named]
            for number, key in await session.execute(union_all(*parts)):
                found.setdefault(self.kinds[number], []).append(key)
        return found.items()


def _key(text: str) -> Key | None:
    try:
        return UUID(text)
    except ValueError:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
        return number if str(number) == text and number <= MAX_NUMBER else None


def _refusal(permission: Permission, principal: Principal) -> Forbidden | None:
    try:
        authorize(principal, permission)
    except Forbidden as refusal:
        return refusal
    return None
