"""Where the C library of a booster lies: loaded by itself it spares a web process what its Python package imports."""

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_FOLDERS = ("lib", "bin", "")
_ENDINGS = (".so", ".dylib", ".dll")


@lru_cache(maxsize=8)
def library_path(package: str, stem: str, *, told_by: str) -> str:
    """The file of the library `stem` within the installed `package`; where the build is unusual, the module `told_by` of the
    package is imported, which has loaded it as `_LIB`."""
    spec = find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for folder in _FOLDERS:
            for ending in _ENDINGS:
                if (found := Path(root, folder, stem + ending)).is_file():
                    return str(found)
    return str(import_module(told_by)._LIB._name)
