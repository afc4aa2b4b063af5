"""What is installed is not older than the fixes we rely on, and no line of ours does what must never be done."""

import ast
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
OURS = ("schema", "resolvers", "rest_compat", "edge", "workers", "coreplex")
FLOORS = {
    "strawberry-graphql": "0.327.2",  # CVE-2026-107727
    "graphql-core": "3.3.2",  # validation and parsing in bounded time
    "starlette": "1.3.1",  # PYSEC-2026-248, PYSEC-2026-249, CVE-2026-48710
    "python-multipart": "0.0.27",  # CVE-2026-42561
    "uvicorn": "0.11.7",  # CVE-2020-7695
    "pyarrow": "14.0.1",  # CVE-2023-47248
    "skops": "0.13",  # CVE-2025-54412, CVE-2025-54886
    "h11": "0.16",
    "jinja2": "3.1.6",
    "aiohttp": "3.14.2",  # CVE-2026-69243
}
REQUIRED = {"strawberry-graphql", "graphql-core", "starlette", "python-multipart", "uvicorn"}


@pytest.mark.parametrize("name", FLOORS)
def test_floor(name: str) -> None:
    try:
        installed = version(name)
    except PackageNotFoundError:
        assert name not in REQUIRED, f"{name} is not installed"
        return
    assert Version(installed) >= Version(FLOORS[name]), f"{name} {installed} is older than {FLOORS[name]}"


def sources() -> list[Path]:
    return [ROOT / "asgi.py", *(path for package in OURS for path in sorted((ROOT / package).rglob("*.py")))]


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


IMPORTS = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "pty",
    "telnetlib",
    "tarfile",
}
IMPORTS |= {"xml", "lxml"}  # the one file of a user that is XML to us is a workbook
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "torch.load"}
CALLS |= {"subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp", "random.seed", "os.chmod"}
METHODS = {"read_pickle", "to_pickle", "load_pickle", "register_extension_type"}
DANGEROUS = {"allow_pickle": True, "verify": False}
TEXTS = {"text", "sqlalchemy.text", "literal_column", "execute", "exec_driver_sql", "fetch", "fetchval", "fetchrow"}


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each thing that must not be."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in IMPORTS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPORTS:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[tuple[int, str]]:
    name = dotted(node.func)
    last = name.rsplit(".", 1)[-1]
    if name in CALLS or last in METHODS:
        yield node.lineno, name
    for keyword in node.keywords:
        value = keyword.value
        if keyword.arg == "shell" and not (isinstance(value, ast.Constant) and value.value is False):
            yield node.lineno, "shell="
        if keyword.arg in DANGEROUS and isinstance(value, ast.Constant) and value.value is DANGEROUS[keyword.arg]:
            yield node.lineno, f"{keyword.arg}={value.value}"
    if last in TEXTS and node.args and _made_of_parts(node.args[0]):
        yield node.lineno, f"{name}(f…)"
    if name == "np.load" and not any(k.arg == "allow_pickle" for k in node.keywords):
        yield node.lineno, "np.load without allow_pickle=False"


def _made_of_parts(node: ast.expr) -> bool:
    """A string put together from variables: an f-string, `+`, `%`, `.format`."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(side, ast.Constant | ast.JoinedStr) for side in (node.left, node.right))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


ALLOWED = {
    ("coreplex/supervisor/postgres.py", "connection.execute(f…)"),  # CREATE DATABASE takes no parameters; the name is a constant
    ("schema/compiler/source.py", "compile"),  # operations become Python: names of a document are literals in it (ADR 13)
    ("schema/compiler/source.py", "exec"),
    ("coreplex/platform/prepared.py", "compile"),  # rows become objects by a function of their columns' names (ADR 30)
    ("coreplex/platform/prepared.py", "exec"),
    ("coreplex/runtime/retention.py", "text(f…)"),  # tables, and conditions of `coreplex.platform.bound`; values are bound
    ("coreplex/serving/log/orphaned_rows.py", "text(f…)"),  # names of partitions, as the database lists them
    ("coreplex/migrations/versions/0006_retention.py", "op.execute(f…)"),  # names of tables, and the Monday it ran before
    ("coreplex/serving/log/batch.py", "text(f…)"),  # an expression that is a constant
    ("coreplex/monitoring/metrics.py", "text(f…)"),  # expressions that are constants
    ("coreplex/monitoring/drift.py", "text(f…)"),
    ("coreplex/monitoring/answered.py", "text(f…)"),
    ("coreplex/monitoring/totals.py", "text(f…)"),
    ("coreplex/migrations/versions/0040_exact_sums.py", "op.execute(f…)"),  # names of tables and columns, and a cast
    ("coreplex/migrations/versions/0029_traffic_totals.py", "op.execute(f…)"),  # edges of bins, which are numbers
    ("coreplex/monitoring/spans.py", "text(f…)"),  # names of tables and columns
    ("coreplex/migrations/versions/0020_log_retention.py", "op.execute(f…)"),  # names of partitions, numbers of their weeks
    ("coreplex/migrations/versions/0014_notices.py", "op.execute(f…)"),  # names of tables, and expressions that are constants
    ("coreplex/engines/tabular/read/workbook.py", "xml.parsers.expat"),  # no document type, so no entities (ADR 15)
}


def test_no_banned_calls() -> None:
    found = []
    assert len(sources()) > 100
    for path in sources():
        for line, what in offences(ast.parse(path.read_text(), str(path))):
            place = str(path.relative_to(ROOT))
            if (place, what) not in ALLOWED:
                found.append(f"{place}:{line} {what}")
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "os.system('x')",
        "pd.read_pickle(p)",
        "subprocess.run(c, shell=True)",
        "np.load(p, allow_pickle=True)",
        "np.load(p)",
        "text(f'SELECT {x}')",
        "session.execute('SELECT %s' % x)",
        "text('SELECT ' + x)",
        "text('SELECT {}'.format(x))",
        "httpx.get(u, verify=False)",
    ],
)
def test_the_check_sees(line: str) -> None:
    assert list(offences(ast.parse(line)))


@pytest.mark.parametrize("line", ["text('SELECT 1')", "re.compile('x')", "subprocess.run(c)", "np.load(p, allow_pickle=False)"])
def test_the_check_lets_be(line: str) -> None:
    assert not list(offences(ast.parse(line)))
