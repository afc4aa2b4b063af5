"""Clients that others' generators make from our OpenAPI: made without a warning, and the README's journey works with them."""

import shutil
import sys
from pathlib import Path

import pytest

from rest_compat.export import PATH as DESCRIPTION
from tests.clients.conftest import PROGRAMS
from tests.clients.tools import PYTHON, node_modules, python_with, run
from tests.stack import ROOT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs the generators
IRIS = ROOT / "docs" / "samples" / "iris.csv"
STRICT = ("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext")


@pytest.fixture
def python() -> Path:
    return python_with(*PYTHON)


def test_openapi_python_client(python: Path, stack: Stack, tmp_path: Path) -> None:
    options = "project_name_override: coreplexml-rest\npackage_name_override: coreplexml_rest\n"
    (tmp_path / "options.yaml").write_text(options)
    generate = [str(python.parent / "openapi-python-client"), "generate", "--fail-on-warning"]
    command = [*generate, "--path", str(DESCRIPTION), "--output-path", "made", "--config", "options.yaml"]
    said = run(command, tmp_path, path=Path(sys.executable).parent)  # where the formatter is that it looks for
    assert said.split() == ["Generating", "made"], said
    program = [str(python), str(PROGRAMS / "generated_client.py"), str(IRIS)]
    printed = run(program, tmp_path, BASE_URL=stack.base_url, KEY=stack.key(), PYTHONPATH=str(tmp_path / "made"))
    assert printed.splitlines() == ["setosa", "Project not found"]


def test_openapi_typescript(stack: Stack, tmp_path: Path) -> None:
    tools = tmp_path / "node_modules"
    tools.symlink_to(node_modules())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    # What has a default may be left out of a body.
    generate = [str(tools / ".bin" / "openapi-typescript"), str(DESCRIPTION), "--default-non-nullable=false"]
    said = run([*generate, "-o", "coreplexml.ts"], tmp_path)
    assert "warn" not in said.lower(), said
    shutil.copy(PROGRAMS / "generated_client.ts", tmp_path)
    run([str(tools / ".bin" / "tsc"), *STRICT, "--skipLibCheck", "generated_client.ts"], tmp_path)  # ours, not Node's own
    printed = run(["node", "generated_client.js", str(IRIS)], tmp_path, BASE_URL=stack.base_url, KEY=stack.key())
    assert printed.splitlines() == ["setosa", "Project not found"]
