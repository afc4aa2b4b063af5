"""Which way imports go: what the contracts of `lint-imports` in pyproject.toml cannot say, and that they hold without it."""

import sys
from functools import cache

import grimp
import pytest

NUMERIC = frozenset(
    {
        *("numpy", "scipy", "sklearn", "polars", "pandas", "pyarrow"),
        *("lightgbm", "xgboost", "flaml"),
        *("charset_normalizer", "orjson", "pydantic", "psutil", "xlsxwriter", "zstandard"),
    }
)
"""What engines may import beside themselves, their errors and the standard library: arrays, learners, file formats, what
checks and measures them. No database, no queue, no web."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("coreplex", include_external_packages=True)


def test_engines_import_themselves_their_errors_and_numeric_libraries() -> None:
    known = NUMERIC | sys.stdlib_module_names
    for module in {"coreplex.engines", *graph().find_descendants("coreplex.engines")}:
        for imported in graph().find_modules_directly_imported_by(module):
            root = imported.split(".")[0]
            ours = imported.startswith(("coreplex.engines", "coreplex.errors"))
            assert ours or (root in known and root != "coreplex"), f"{module} imports {imported}"


def test_no_circle_among_the_packages_of_the_domain() -> None:
    packages = sorted(graph().find_children("coreplex"))
    below = {
        one: {
            two for two in packages if two != one and graph().direct_import_exists(importer=one, imported=two, as_packages=True)
        }
        for one in packages
    }

    def reach(one: str, seen: frozenset[str]) -> None:
        assert one not in seen, f"a circle of packages: {sorted(seen)}"
        for two in below[one]:
            reach(two, seen | {one})

    for package in packages:
        reach(package, frozenset())


@pytest.mark.parametrize("module", ["coreplex.platform", "coreplex.errors"])
def test_the_ground_floor_knows_no_concept(module: str) -> None:
    for one in {module, *graph().find_descendants(module)}:
        for imported in graph().find_modules_directly_imported_by(one):
            assert not imported.startswith("coreplex.") or imported.startswith(("coreplex.platform", "coreplex.errors")), (
                f"{one} imports {imported}"
            )
