"""Which document a request means, and whether this server runs it: sent in full, by hash, or by its id in the operator's list."""

from dataclasses import dataclass

from coreplex.errors.tree import DomainError, Message
from coreplex.platform.services import Services
from coreplex.platform.settings import Documents as Rule
from coreplex.platform.shared_documents import SharedDocuments
from schema.door.document_list import DocumentList, digest_of
from schema.door.message import GraphQLRequest
from schema.errors import BadRequest

PREFIX = "sha256:"


class PersistedQueryNotFound(DomainError):
    """Spelled as clients expect it, which send the document in full then."""

    code, status = "persisted_query_not_found", 400

    def __init__(self) -> None:
        super().__init__(Message("persisted_query_not_found", "PersistedQueryNotFound"))


class PersistedQueryNotSupported(DomainError):
    """The same for clients that then stop to send hashes."""

    code, status = "persisted_query_not_supported", 400

    def __init__(self) -> None:
        super().__init__(Message("persisted_query_not_supported", "PersistedQueryNotSupported"))


class DocumentNotFound(DomainError):
    code, status = "document_not_found", 404


class DocumentNotListed(DomainError):
    """The server runs the operator's documents only."""

    code, status = "document_not_listed", 403


@dataclass(frozen=True, slots=True)
class Found:
    """A request with its document, and whether the operator listed it."""

    message: GraphQLRequest
    listed: bool


class Documents:
    """The documents of one process."""

    def __init__(self, services: Services) -> None:
        self.rule = services.settings.graphql_documents
        self.list = DocumentList.read(services.settings.graphql_document_list)
        self.shared = SharedDocuments.of(services)
        self.list.tell()

    async def find(self, message: GraphQLRequest) -> Found:
        """The request with its document. Raises the refusal of one that is unknown, or not run here."""
        if message.document_id is not None:
            return await self._by_id(message, message.document_id)
        if message.query is None:
            return await self._by_hash(message)
        if self.rule is Rule.required:
            return self._listed(message, message.query)
        if message.sha256 is not None and digest_of(message.query) != message.sha256:
            raise BadRequest(
                Message("hash_of_other_document", "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`.")
            )
        return Found(message, False)

    async def keep(self, found: Found, *, stranger: bool) -> None:
        """Keep a valid document whose sender will name it by its hash."""
        message = found.message
        if message.sha256 is not None and self.rule is Rule.preferred and not found.listed:
            await self.shared.keep(message.sha256, message.text, stranger=stranger)

    async def _by_id(self, message: GraphQLRequest, id: str) -> Found:
        if self.rule is Rule.off:
            raise DocumentNotFound(
                Message(
                    "no_documents_by_id",
                    "This server keeps no documents by id (GRAPHQL_DOCUMENTS=off); send the document as `query`.",
                )
            )
        text = self.list.find(id)
        if text is not None:
            return Found(message.found(text), True)
        if id.startswith(PREFIX) and self.rule is Rule.preferred:
            text = await self.shared.get(id.removeprefix(PREFIX))
        if text is None:
            raise DocumentNotFound(Message("no_such_document", "There is no document of this `documentId` on this server."))
        return Found(message.found(text), False)

    async def _by_hash(self, message: GraphQLRequest) -> Found:
        assert message.sha256 is not None, "a request names its document somehow"
        if self.rule is Rule.off:
            raise PersistedQueryNotSupported
        text = self.list.find(message.sha256)
        if text is not None:
            return Found(message.found(text), True)
        if self.rule is Rule.required:
            raise PersistedQueryNotSupported
        text = await self.shared.get(message.sha256)
        if text is None:
            raise PersistedQueryNotFound
        return Found(message.found(text), False)

    def _listed(self, message: GraphQLRequest, text: str) -> Found:
        if self.list.find(digest_of(text)) is None:
            raise DocumentNotListed(
                Message(
                    "document_not_listed",
                    "This server runs the documents its operator listed and no others (GRAPHQL_DOCUMENTS=required); name "
                    "one by `documentId`, or have this one listed.",
                )
            )
        return Found(message, True)
