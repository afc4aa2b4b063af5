"""What comments and pages point at is there: sections of the contract, security decisions, ADRs, files, endpoints."""

import re
from collections.abc import Iterator
from pathlib import Path

from rest_compat.openapi.document import document
from rest_compat.stored import snake
from schema.execution import core_schema
from tests.stack import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TOP = ("coreplex", "edge", "resolvers", "rest_compat", "schema", "workers", "tests", "docs", "scripts")
OUTSIDE = re.compile(
    r"\bdecisions? \d+\b|\((?:[DFRSV]\d{1,2})(?:, [DFRSV]\d{1,2})*\)|\bcontract,? [A-Z]\d|\b[Ss]ection \d"
    r"|rest-contract|house\.md|design\.md"
)
"""How documents used to be cited that are not in this repository."""


HIDDEN = re.compile(
    r"sys\.modules\[|gc\.(?:set_threshold|freeze)|field_size_limit\(|os\.umask|setrlimit\("
    r"|sys\.(?:setswitchinterval|excepthook) ?[(=]|warnings\.simplefilter|structlog\.configure"
    r"|faulthandler\.enable|\bprctl\(|signal\.signal\(|add_signal_handler|ContextVar\("
    r"|^\w+: WeakValueDictionary|^_\w+ = ThreadPoolExecutor|^[A-Za-z_]\w*(?:\.\w+)+ = |^\s+global ",
    re.M,
)
"""How a process changes what belongs to all of it."""


def sources() -> Iterator[tuple[str, str]]:
    """Path and text of each Python file, this one excepted."""
    for path in (ROOT / "asgi.py", *(path for package in TOP for path in sorted((ROOT / package).rglob("*.py")))):
        if path != Path(__file__):
            yield str(path.relative_to(ROOT)), path.read_text()


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(), re.M)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def missing(pattern: str, known: set[str]) -> list[str]:
    """Where the code cites by `pattern` what is not known."""
    return [f"{name}: {cited}" for name, text in sources() for cited in re.findall(pattern, text) if cited not in known]


def test_sections_of_the_contract() -> None:
    text = (DOCS / "contract.md").read_text()
    sections = set(re.findall(r"^(?:## |- )([A-D]\.\d+) ", text, re.M))
    assert len(sections) > 20
    cited = r"\b[Cc]ontract ([A-D]\.\d+)"
    assert missing(cited, sections) == []
    assert missing(r"\b[Cc]ontract [A-D]\.\d+, ([A-D]\.\d+)", sections) == []
    assert sum(len(re.findall(cited, source)) for _, source in sources()) > 20
    assert set(re.findall(r"\b([A-D]\.\d+)\b", text)) == sections


def test_security_decisions_and_adrs() -> None:
    assert missing(r"docs/security\.md#([\w-]+)", anchors(DOCS / "security.md")) == []
    assert missing(r"docs/decisions/(\d+)", {path.name[:4] for path in (DOCS / "decisions").glob("*.md")}) == []
    assert missing(r"\b(docs/[\w/-]+\.md)", {str(page.relative_to(ROOT)) for page in PAGES}) == []


def test_nothing_outside_is_cited() -> None:
    assert [f"{name}: {found[0]}" for name, text in sources() for found in OUTSIDE.finditer(text)] == []


def test_endpoints_of_the_contract() -> None:
    """Whole for each resource of the contract it describes; one of ours alone is described by OpenAPI."""
    written = set(re.findall(r"^\| ([A-Z]+) `(/api/[^`]+)` ", (DOCS / "contract.md").read_text(), re.M))
    served = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert written <= served, "the page has endpoints that are not there"
    described = {path.split("/")[2] for _, path in written}
    missing = {(method, path) for method, path in served - written if path.split("/")[2] in described}
    assert not missing, f"docs/contract.md describes the resource, and has no row for {missing}"


def test_what_is_not_available_says_so_in_the_schema() -> None:
    listed = re.search(r"^- D\.1 .*?(?=^- D\.3)", (DOCS / "contract.md").read_text(), re.M | re.S)
    assert listed
    names = set(re.findall(r"`([a-z]+_\w+|strategy)`", listed[0])) - {"not_available"}
    fields: dict[str, list[bool]] = {name: [] for name in names}
    for kind in (kind for name, kind in core_schema.type_map.items() if re.search(r"(Deployment|Experiment)(Input)?$", name)):
        for name, field in getattr(kind, "fields", {}).items():
            said = "in this version" in (field.description or "")
            assert not said or snake(name) in names, f"{kind.name}.{name} is not in the contract's list"
            if snake(name) in names:
                fields[snake(name)].append(said)
    assert {name for name, said in fields.items() if not said or not all(said)} == set()


def test_hidden_state_is_listed() -> None:
    section = (DOCS / "architecture.md").read_text().partition("## Hidden state")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([\w/]+\.py)`", section))
    found = {name for name, text in sources() if not name.startswith(("tests/", "coreplex/migrations/")) and HIDDEN.search(text)}
    assert len(found) > 10
    assert found - listed == set()


def test_files_named_in_pages() -> None:
    """Those of the concept that docs/adding-a-concept.md makes excepted."""
    named = re.compile(rf"(?:`|\()((?:{'|'.join(TOP)})/[\w./*-]+)(?:`|\))")
    gone = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in (*PAGES, *sorted((ROOT / "tests").rglob("*.md")))
        for path in named.findall(page.read_text())
        if not list(ROOT.glob(path.rstrip("/"))) and not (page.name == "adding-a-concept.md" and "note" in path)
    ]
    assert gone == []
