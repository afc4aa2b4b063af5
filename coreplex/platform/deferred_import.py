"""Functions named as `module:function` where the process that names them must not import what they work with, yet or at all.

The name is looked up when the module that names it is imported: a module or function that is not there fails the start of the
process, not the first use.
"""

import symtable
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NewType

ChildTask = NewType("ChildTask", str)


def child_task(target: str) -> ChildTask:
    """The name of what a child process runs. Raises ImportError when there is none of it."""
    look_up(target)
    return ChildTask(target)


def look_up(target: str) -> tuple[str, str]:
    """The module and the function. Raises ImportError when the module, which is read but not run, has no such name."""
    module, _, function = target.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"`{target}` is named: there is no module `{module}`")
    names = symtable.symtable(Path(spec.origin).read_text(), spec.origin, "exec")
    if function not in names.get_identifiers():
        raise ImportError(f"`{target}` is named: `{module}` has no `{function}`")
    return module, function


def later(target: str) -> Callable[..., Awaitable[Any]]:
    """The coroutine function `module:function`, looked up now, imported when called. Raises ImportError when there is none."""
    module, function = look_up(target)

    async def call(*arguments: Any) -> Any:
        return await getattr(import_module(module), function)(*arguments)

    return call
