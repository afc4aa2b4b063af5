"""Finds what many ask for at once together, and remembers it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any


class Round:
    """Keys that are looked for together, and what was found of them."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.found: asyncio.Future[Mapping[Any, Any]] = asyncio.get_running_loop().create_future()

    async def run(self, find: Callable[[list[Any]], Awaitable[list[Any]]]) -> None:
        try:
            self.found.set_result(dict(zip(self.keys, await find(self.keys), strict=True)))
        except BaseException as error:
            self.found.set_exception(error)
            self.found.exception()  # nobody may wait any more; asyncio would complain of an error that nobody looked at
            if not isinstance(error, Exception):
                raise


class Loader:
    """Finds what is asked for in one turn of the loop together, and each key once; `kept=False`: once a turn.

    Results survive those who wait: when one field fails, graphql-core cancels the fields beside it, and a cancelled result would
    be kept and end every later field that asks for the same key.
    """

    def __init__(self, find: Callable[[list[Any]], Awaitable[list[Any]]], *, kept: bool = True) -> None:
        self._find, self._kept = find, kept
        self._rounds: dict[Any, Round] = {}
        self._open: Round | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def load(self, key: Any) -> Any:
        """Raises what was found where that is an error."""
        (found,) = await self.load_many((key,))
        return found

    async def load_many(self, keys: Iterable[Any]) -> list[Any]:
        rounds = [(key, self._round(key)) for key in keys]
        for one in {id(one): one for _, one in rounds}.values():
            await asyncio.shield(one.found)
        found = [one.found.result()[key] for key, one in rounds]
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return found

    def _round(self, key: Any) -> Round:
        found = self._rounds.get(key)
        if found is None:
            if self._open is None:
                self._open = Round()
                task = asyncio.create_task(self._run(self._open))  # which begins once all that can ask now have asked
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            found = self._rounds[key] = self._open
            found.keys.append(key)
        return found

    async def _run(self, round: Round) -> None:
        self._open = None
        if not self._kept:
            self._rounds.clear()
        await round.run(self._find)
