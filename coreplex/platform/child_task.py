"""Names of what child processes run, looked up when the module that names them is imported.

A child's task is named `module:function`, because the process that starts it must not import what the child works with. The name
is checked all the same: a module or function that is not there fails the start of the process, not the first child.
"""

import symtable
from importlib.util import find_spec
from pathlib import Path
from typing import NewType

ChildTask = NewType("ChildTask", str)


def child_task(target: str) -> ChildTask:
    """The task `module:function`. Raises ImportError when the module, which is read but not run, has no such name."""
    module, _, function = target.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"the task `{target}` of a child process: there is no module `{module}`")
    names = symtable.symtable(Path(spec.origin).read_text(), spec.origin, "exec")
    if function not in names.get_identifiers():
        raise ImportError(f"the task `{target}` of a child process: `{module}` has no `{function}`")
    return ChildTask(target)
