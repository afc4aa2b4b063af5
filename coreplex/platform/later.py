"""Functions that are imported with their first call: the libraries they work with are no weight of an idle process."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from coreplex.platform.child_task import look_up


def later(target: str) -> Callable[..., Awaitable[Any]]:
    """The coroutine function `module:function`, looked up now, imported when called. Raises ImportError when there is none."""
    module, function = look_up(target)

    async def call(*arguments: Any) -> Any:
        return await getattr(import_module(module), function)(*arguments)

    return call
