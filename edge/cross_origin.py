"""Pages of other origins (CORS): Starlette's answers, with a refused preflight in the form of every other refusal."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coreplex.errors.tree import Forbidden, Message
from edge.body import error_answer
from edge.request import STATE, Exchange

ADVICE = {
    "origin": "pages of this origin may not use the API (the setting CORS_ORIGINS names those that may)",
    "method": "the method is not one of the API's",
    "headers": "one of the headers is not one the API takes",
    "private-network": "the server is not offered to pages of other networks",
}


class CrossOrigin(CORSMiddleware):
    """The middleware for the origins of `CORS_ORIGINS`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                response = self.preflight_response(headers)
                if response.status_code >= 400:
                    response = _refused(response, scope[STATE])
                return await response(scope, receive, send)
        return await super().__call__(scope, receive, send)


def _refused(response: Response, exchange: Exchange) -> Response:
    """The same refusal with our body."""
    failed = bytes(response.body).decode().removeprefix("Disallowed CORS ").split(", ")
    advice = "; ".join(ADVICE[one] for one in failed)
    message = Message("preflight_refused", "Refused preflight: {advice}.", advice=advice)
    answer = error_answer(Forbidden(message), exchange.request_id)
    answer.headers.update({name: value for name, value in response.headers.items() if not name.startswith("content-")})
    return answer
