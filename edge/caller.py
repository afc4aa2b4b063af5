"""Who sends a request, and what its transport knows: the same for both doors."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from coreplex.errors.tree import Forbidden, Message
from coreplex.idempotency.service import Attempt
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Category, Credential, Grant, Permission, Principal, authorize
from coreplex.platform.rate import Window, identity
from coreplex.platform.services import Services

HTTP, WEBSOCKET, EVENT_STREAM = "http", "websocket", "event stream"
"""How an answer goes out: the response to the request, or over a connection that was there before."""


def known_payer(account: UUID) -> str:
    """Whose budget the sign-ins of browsers known to an account use."""
    return f"known:{account}"


@dataclass(slots=True)
class RequestFacts:
    """What the transport knows."""

    id: str = field(default_factory=lambda: str(new_id()))
    address: str = ""
    user_agent: str = ""
    transport: str = HTTP
    csrf_header: str | None = None
    session_cookie: str | None = None
    known_cookie: str | None = None
    last_event_id: int | None = None
    """Cursor a resumed event stream sends by itself."""


@dataclass
class Caller:
    """Of one request."""

    services: Services
    principal: Principal | None = None
    request: RequestFacts = field(default_factory=RequestFacts)
    cookies: list[Any] = field(default_factory=list)
    """Cookies the answer sets (login, logout); each door writes them into its response."""
    secret: bool = False
    """Whether the answer holds a credential; nothing may tell of it then, not even its length."""
    attempt: Attempt | None = None
    """The request under its `Idempotency-Key`, when it has one."""
    known_account: UUID | None = None
    """The account this browser has signed in to before: whose budget it uses to sign in, whatever others at its address do."""
    unspent: dict[Category, Window] = field(default_factory=dict)
    """Charges for something that is not made yet, as `FOR_WHAT_IS_MADE` has them; the answer gives back what is left of them."""
    _grants: dict[Permission, Grant] = field(default_factory=dict)

    def set_cookies(self, *cookies: Any) -> None:
        """Have the answer set these; raises Forbidden where it cannot. Called in the transaction that makes what they are for."""
        if self.request.transport != HTTP:
            raise Forbidden(
                Message(
                    "cookies_need_post",
                    "This sets cookies, which an answer over a {transport} cannot: send it by POST.",
                    transport=self.request.transport,
                )
            )
        self.cookies.extend(cookies)

    def grant(self, permission: Permission) -> Grant:
        """The caller's grant by a permission that is not public, authorised once a request. Raises Unauthenticated, Forbidden."""
        found = self._grants.get(permission)
        if found is None or found.principal is not self.principal:
            authorize(self.principal, permission)
            assert self.principal is not None, "only what demands a scope may ask for a grant"
            found = self._grants[permission] = Grant(self.principal, permission)
        return found

    def admit(self, permission: Permission) -> None:
        """Raise Unauthenticated or Forbidden unless the caller may use a field with this permission."""
        if not permission.public:
            self.grant(permission)

    @property
    def identity(self) -> str:
        """Whose rate budget this request uses."""
        return identity(self.principal, self.request.address)

    def payer(self, category: Category) -> str:
        """The same for one category. Who signs in pays as the stranger they still are: an account must not buy guesses.

        A known browser has a budget apart, for guesses at that account (`resolvers.account.login` sees to it).
        """
        if category is not Category.authentication:
            return self.identity
        return known_payer(self.known_account) if self.known_account else self.stranger

    @property
    def stranger(self) -> str:
        return identity(None, self.request.address)

    @property
    def by_cookie(self) -> bool:
        return self.principal is not None and self.principal.credential is Credential.session
