"""The README's journey in GraphQL with clients of others: caches are right after each step, and a restart loses no event."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schema.execution import core_schema
from tests.clients.conftest import PROGRAMS
from tests.clients.tools import PYTHON, python_with, run
from tests.factories.account import PASSWORD
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(600)  # the first run installs
IRIS = ROOT / "docs" / "samples" / "iris.csv"


def travel(stack: Stack, command: Sequence[str], folder: Path, log: Path) -> None:
    """Run a program whose lines say `restart`, when the server must die and come back, and at last `done`."""
    email = f"{uuid4().hex}@example.com"
    stack.key(email)
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*command, str(IRIS), email, PASSWORD],
            cwd=folder,
            env={**stack.environment, "BASE_URL": stack.base_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as program,
    ):
        assert program.stdin is not None
        assert program.stdout is not None
        said = []
        for line in program.stdout:
            said.append(line.strip())
            if said[-1] == "restart":
                stack.kill("web")
                stack.start("web")
                program.stdin.write("\n")
                program.stdin.flush()
    assert said == ["restart", "done"], log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("client", ["apollo", "urql"])
def test_a_normalised_cache(programs: Path, stack: Stack, tmp_path: Path, client: str) -> None:
    travel(stack, ["node", f"{client}.mjs"], programs, tmp_path / "log")


def test_everything_with_an_id_is_refetchable(programs: Path, tmp_path: Path) -> None:
    """The compiler makes a query by `node(id)` for a fragment on each type, and on `Node` itself."""
    node: Any = core_schema.type_map["Node"]
    names = [node.name, *(kind.name for kind in core_schema.get_possible_types(node))]
    assert len(names) > 15
    fragment = 'graphql`fragment Each%s on %s @refetchable(queryName: "Each%sQuery") { id }`;'
    (tmp_path / "Each.js").write_text("\n".join(fragment.replace("%s", name) for name in names))
    for name in ("relay.config.json", "schema.graphql"):
        shutil.copy(programs / name, tmp_path)
    run([str(programs / "node_modules" / ".bin" / "relay-compiler")], tmp_path)
    made = {path.name for path in (tmp_path / "__generated__").iterdir()}
    assert made >= {f"Each{name}Query.graphql.js" for name in names}


@pytest.mark.slow
def test_relay(programs: Path, stack: Stack, tmp_path: Path) -> None:
    run([str(programs / "node_modules" / ".bin" / "relay-compiler")], programs)
    (programs / "__generated__" / "package.json").write_text("{}")  # CommonJS, as the compiler writes it
    travel(stack, ["node", "relay.mjs"], programs, tmp_path / "log")


@pytest.mark.slow
def test_gql(stack: Stack, tmp_path: Path) -> None:
    travel(stack, [str(python_with(*PYTHON)), "gql_journey.py"], PROGRAMS, tmp_path / "log")
