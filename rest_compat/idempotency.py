"""`Idempotency-Key` on POST, around whatever the endpoint does."""

import hashlib
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from coreplex.idempotency import service
from schema.session import Context

Act = Callable[[], Awaitable[Response]]
SECRET_PATHS = ("/api/auth/",)
"""Their answers hold secrets that are stored nowhere; the key is ignored there."""


class Idempotent:
    """One request under its key. Without the header, or without a signed-in caller, it simply runs."""

    def __init__(self, context: Context, request: Request, content: Callable[[], bytes]) -> None:
        self.context = context
        self.request = request
        self.content = content
        """What the request says, asked for only when there is a key."""

    @property
    def key(self) -> str | None:
        return self.request.headers.get("idempotency-key") if self.request.method == "POST" else None

    def _fingerprint(self) -> str:
        url = self.request.url
        what = b"\n".join((self.request.method.encode(), url.path.encode(), url.query.encode(), self.content()))
        return hashlib.sha256(what).hexdigest()

    async def once(self, act: Act) -> Response:
        key, principal = self.key, self.context.principal
        if key is None or principal is None or self.request.url.path.startswith(SECRET_PATHS):
            return await act()
        database = self.context.services.database
        claim = await service.begin(database, str(principal.user_id), key, self._fingerprint())
        if claim.replay is not None:
            status, body = claim.replay
            return Response(body, status, {"Idempotent-Replayed": "true"}, "application/json")
        try:
            response = await act()
        except BaseException:
            await service.abandon(database, claim)
            raise
        await service.finish(database, claim, response.status_code, bytes(response.body))
        return response
