"""docs/adding-a-concept.md is true: its concept is made from its blocks, in a copy of the code, and works; by so many files."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from coreplex.migrations.migrate import head

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adding-a-concept.md"
CODE = ("asgi.py", "pyproject.toml", "CHANGELOG.md", "coreplex", "edge", "resolvers", "rest_compat", "schema", "tests", "workers")
MOST_CREATED, MOST_TOUCHED = 9, 5
RUN = (
    "tests/graphql/test_note.py",
    "tests/contract/test_migrations.py::test_the_tables_are_what_the_migrations_make",
    "tests/contract/test_migrations.py::test_every_reference_has_an_index",
    "tests/contract/test_growth.py::test_every_table_has_a_bound",
    "tests/contract/test_sdl.py",
    "tests/graphql/test_node.py::test_every_type_with_an_identifier_is_a_node",
    "tests/graphql/test_node.py::test_each_type_is_had_by_its_id_by_those_who_may[Note]",
    "tests/jobs/test_kinds.py::test_the_list_of_concepts_is_that_of_the_layers",
)
"""What the page promises, and some of what the tests hold of each concept."""


class Block(NamedTuple):
    """A fenced block with a path behind its language."""

    language: str
    path: str
    text: str


def blocks() -> Iterator[Block]:
    return (Block(*found) for found in re.findall(r"^```(\w+) (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S))


def copy(folder: Path) -> None:
    """The files of the project as they are here."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *CODE]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for source in (ROOT / name for name in filter(None, listed.split("\0"))):
        # With what Python compiled of it, which holds as long as its time of change does.
        for one in (source, *(source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")):
            if one.is_file():
                target = folder / one.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one, target)


def change(path: Path, difference: str) -> None:
    """Lines with `-` become those with `+`, between lines that stay; what is to be changed is there once."""
    lines = difference.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] != other) for other in "+-")
    text = path.read_text()
    assert text.count(before) == 1, f"the page changes lines that {path.name} has {text.count(before)} times, not once: {before}"
    path.write_text(text.replace(before, after))


@pytest.mark.slow
@pytest.mark.skipif((ROOT / "coreplex/note").exists(), reason="the concept of the page was added to this tree already")
def test_the_concept_of_the_page_works_and_takes_so_many_files(tmp_path: Path, addresses: dict[str, str]) -> None:
    copy(tmp_path)
    created, touched = {"coreplex/note/__init__.py"}, set()
    (tmp_path / "coreplex/note").mkdir()
    (tmp_path / "coreplex/note/__init__.py").touch()
    for block in blocks():
        path = tmp_path / block.path
        if block.language == "diff":
            change(path, block.text)
            touched.add(block.path)
        else:
            assert not path.exists()
            path.write_text(block.text.replace("NEWEST", head()))
            created.add(block.path)
    by_hand = {name for name in created if "/migrations/" not in name}
    assert len(by_hand) <= MOST_CREATED, by_hand
    assert len(touched) <= MOST_TOUCHED, touched
    lint = [sys.executable, "-m", "ruff", "check", "--no-cache", *(name for name in created if name.endswith(".py"))]
    checked = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    generate = "import runpy, sys, pytest; [runpy.run_module(f'{name}.export', run_name='__main__') for name in sys.argv[1:3]]"
    program = [sys.executable, "-c", f"{generate}; sys.exit(pytest.main(sys.argv[3:]))", "schema", "rest_compat"]
    servers = {"DATABASE_URL": addresses["database"], "REDIS_URL": addresses["redis"], "TESTS_REDIS_OFFSET": "15"}
    # None of the plugins of the outer run, which would wait for its controller.
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    options = ("-q", "-p", "no:cacheprovider", "-n", "0", "-W", "ignore::pytest.PytestAssertRewriteWarning")
    command = [*program, *RUN, *options]
    ran = subprocess.run(command, cwd=tmp_path, env=outer | servers, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    sdl = (tmp_path / "schema/schema.graphql").read_text()
    assert "createNote(" in sdl
    assert "  NOTE_COUNT\n" in sdl
    assert "note_recount" not in sdl, "what runs by the clock is nobody's to see"
    assert '"/api/notes"' in (tmp_path / "rest_compat/openapi.json").read_text()
