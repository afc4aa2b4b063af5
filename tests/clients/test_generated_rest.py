"""Clients that others' generators make from our OpenAPI: made without a warning, and the README's journey works with them."""

import shutil
import sys
from pathlib import Path

import pytest

from rest_compat.export import PATH as DESCRIPTION
from tests.clients.tools import node_with, python_with, run
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.timeout(1500)  # the first run installs the generators
PROGRAMS = Path(__file__).parent / "programs"
IRIS = ROOT / "docs" / "samples" / "iris.csv"
PYTHON = ("openapi-python-client==0.29.1",)
NODE = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@22.19.1")
STRICT = ("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext")


@pytest.fixture
def python() -> Path:
    return python_with(*PYTHON)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder to work in, with the packages in reach."""
    tools = node_with(*NODE)
    shutil.copy(tools / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    return tmp_path


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


def test_openapi_typescript(node: Path, stack: Stack) -> None:
    # What has a default may be left out of a body.
    generate = ["npx", "--no-install", "openapi-typescript", str(DESCRIPTION), "--default-non-nullable=false"]
    said = run([*generate, "-o", "coreplexml.d.ts"], node)
    assert "warn" not in said.lower(), said
    shutil.copy(PROGRAMS / "generated_client.ts", node)
    run(["npx", "--no-install", "tsc", *STRICT, "generated_client.ts"], node)
    printed = run(["node", "generated_client.js", str(IRIS)], node, BASE_URL=stack.base_url, KEY=stack.key())
    assert printed.splitlines() == ["setosa", "Project not found"]
