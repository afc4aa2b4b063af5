"""The operator's list of documents: read once, each checked as if a caller sent it.

A JSON file `{id: document}` as relay-compiler and graphql-codegen write it, or the manifest of Apollo's generator. An id is the
text the file has; every document answers to its SHA-256 too. `python -m schema.door.document_list FILE` names those that are
refused.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
import structlog

from coreplex.errors.tree import Message
from coreplex.supervisor.trouble import Trouble
from schema.door.message import MAX_ID
from schema.door.own_documents import OWN
from schema.errors import BadRequest
from schema.execution import check_document

log = structlog.get_logger()
REMEDY = "It is a JSON object of documents by id, as relay-compiler and graphql-codegen write it (GRAPHQL_DOCUMENT_LIST)."
APOLLO = "apollo-persisted-query-manifest"


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class DocumentList:
    """Documents by id, and why others are not among them."""

    documents: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """The list in a file, and what our own pages send; that alone for None. Raises Trouble for a file that is none."""
        documents = {digest_of(text): text for text in OWN}
        if path is None:
            return cls(documents)
        refused: dict[str, str] = {}
        for id, text in _entries(path).items():
            try:
                _check(id, text)
            except BadRequest as error:
                refused[id] = error.message
            else:
                documents[id] = documents[digest_of(text)] = text
        return cls(documents, refused)

    def find(self, id: str) -> str | None:
        """The document of an id, whose text may be spelled `sha256:…`. Raises BadRequest for one that is listed and invalid."""
        for name in (id, id.removeprefix("sha256:")):
            if name in self.documents:
                return self.documents[name]
            if name in self.refused:
                raise BadRequest(
                    Message(
                        "listed_document_not_valid",
                        "The document '{name}' in the list of this server is not valid: {why}",
                        name=name,
                        why=self.refused[name],
                    )
                )
        return None

    def tell(self) -> None:
        """Name in the log what is refused."""
        for id, reason in self.refused.items():
            log.warning("document_refused", document=id[:MAX_ID], reason=reason)


def _entries(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise Trouble(f"The list of documents {path} cannot be read: {error.strerror}.", REMEDY) from None
    except orjson.JSONDecodeError as error:
        raise Trouble(f"The list of documents {path} is not JSON: {error}.", REMEDY) from None
    if isinstance(found, dict) and found.get("format") == APOLLO:
        operations = found.get("operations")
        pairs = [(one.get("id"), one.get("body")) for one in operations if isinstance(one, dict)] if operations else []
        found = {id: text for id, text in pairs if isinstance(id, str)}
    if not isinstance(found, dict) or not found:
        raise Trouble(f"The list of documents {path} holds none.", REMEDY)
    return found


def _check(id: str, text: Any) -> None:
    if not 0 < len(id) <= MAX_ID:
        raise BadRequest(Message("document_id_length", "An id has 1 to {most} characters.", most=MAX_ID))
    if not isinstance(text, str):
        raise BadRequest(Message("document_no_text", "A document is a text."))
    check_document(text)


def main(path: str) -> int:
    """Print what is refused, a line each."""
    try:
        found = DocumentList.read(Path(path))
    except Trouble as trouble:
        print(f"{trouble.what} {trouble.remedy}")  # noqa: T201 a command
        return 2
    for id, reason in found.refused.items():
        print(f"{id}: {reason}")  # noqa: T201
    return 1 if found.refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
