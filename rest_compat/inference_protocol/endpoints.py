"""The Open Inference Protocol, version 2, at `/v2`: a deployment as standard clients of inference servers call a model.

The model's name is the deployment's id, its version the id of the model that the deployment serves. Each call is the same stored
operation as the predict endpoint: the same keys, limits and log. Errors are `{"error": …}` with the protocol's statuses.
(https://github.com/open-inference/open-inference-protocol)
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import Conflict, DomainError, Message, NotFound
from coreplex.platform.services import Services
from coreplex.platform.version import NAME, server_version
from edge.body import error_answer, json_answer, read_body
from edge.caller import Caller
from edge.idempotency import has_key
from edge.large_body import LargeBodies
from edge.request import exchange_of
from edge.routing import RouteRow
from rest_compat.adapter import MAX_ROWS_BODY, SEVERAL_CALLS, Handler, admit, done_once, run
from rest_compat.inference_protocol.answer import answered, require_outputs
from rest_compat.inference_protocol.columns import inputs, outputs
from rest_compat.inference_protocol.request import HEADER, Asked, asked
from rest_compat.stored import operations
from schema.errors import domain_error

ROOT = "/v2"
MODEL = f"{ROOT}/models/{{name}}"
VERSIONED = f"{MODEL}/versions/{{version}}"
EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "coreplexml"
Ready = Callable[[], Awaitable[bool]]


class InferenceProtocol:
    """Handles the requests below `/v2`. `ready`: whether this server is."""

    def __init__(self, services: Services, ready: Ready) -> None:
        self.services, self._ready = services, ready
        self.served, self.predict = operations()["ServedModel"], operations()["Predict"]
        self.large = LargeBodies.of(services)

    def rows(self) -> list[RouteRow]:
        """Method, path and what answers."""
        found: list[tuple[str, str, Handler]] = [
            ("GET", ROOT, self.about),
            ("GET", f"{ROOT}/health/live", self.live),
            ("GET", f"{ROOT}/health/ready", self.ready),
        ]
        for path in (MODEL, VERSIONED):
            found += [
                ("GET", path, self.metadata),
                ("GET", f"{path}/ready", self.model_ready),
                ("POST", f"{path}/infer", self.infer),
            ]
        return [(method, path, _answering(handler)) for method, path, handler in found]

    async def about(self, _request: Request) -> Response:
        return json_answer({"name": NAME, "version": server_version(), "extensions": EXTENSIONS})

    async def live(self, _request: Request) -> Response:
        return json_answer({"live": True})

    async def ready(self, _request: Request) -> Response:
        ready = await self._ready()
        return json_answer({"ready": ready}, 200 if ready else 503)

    async def metadata(self, request: Request) -> Response:
        model = await self._model(await admit(self.services, request, self.served), request)
        schema = model["input_schema"]
        return json_answer(
            {
                "name": model["deployment_id"],
                "versions": [model["model_id"]],
                "platform": PLATFORM,
                "inputs": inputs(schema["fields"]),
                "outputs": outputs(schema["output"]),
            }
        )

    async def model_ready(self, request: Request) -> Response:
        model = await self._model(await admit(self.services, request, self.served), request)
        if model["status"] != "active":
            raise Conflict(
                Message("model_not_ready", "The deployment is {status}; only an active one answers.", status=model["status"])
            )
        return json_answer({"name": model["deployment_id"], "ready": True})

    async def infer(self, request: Request) -> Response:
        context = await admit(self.services, request, self.predict)
        model = await self._model(context, request)
        async with self.large.place(request):
            raw = await read_body(request, MAX_ROWS_BODY, SEVERAL_CALLS)
            read = partial(asked, header=request.headers.get(HEADER), fields=model["input_schema"]["fields"])
            wanted = await self.large.parsed(raw, read)
            require_outputs(wanted, model["input_schema"]["output"]["classes"])
            said = [wanted.rows, wanted.options, wanted.outputs, wanted.id]
            return await done_once(context, request, self.predict, said, lambda: self._infer(context, request, model, wanted))

    async def _infer(self, context: Caller, request: Request, model: Any, wanted: Asked) -> Response:
        said = {"deploymentId": model["deployment_id"], "inputs": wanted.rows, "options": wanted.options}
        result = await run(self.predict, {"input": said}, context)
        # What is kept under a key is kept as JSON.
        return answered(
            result, wanted, model["input_schema"]["output"]["classes"], model["deployment_id"], as_json=has_key(request)
        )

    async def _model(self, context: Caller, request: Request) -> Any:
        """What the deployment serves. Raises NotFound for another version of it too."""
        model = await run(self.served, {"deploymentId": request.path_params["name"]}, context)
        if request.path_params.get("version") not in (None, model["model_id"]):
            raise NotFound.of("Model version")
        return model


def _answering(handler: Handler) -> Handler:
    """Errors as the protocol wants them: what is wrong with a request is 400, whatever is wrong with it."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            request_id = exchange_of(request).request_id
            return protocol_error(error if isinstance(error, DomainError) else domain_error(error, request_id), request_id)

    return answer


def protocol_error(error: DomainError, request_id: str) -> Response:
    """An error as the protocol's clients read it."""
    response = error_answer(error, request_id)
    headers = {name: value for name, value in response.headers.items() if name in {"retry-after", "www-authenticate"}}
    status = 400 if response.status_code == 422 else response.status_code
    return Response(orjson.dumps({"error": error.message}), status, headers, media_type="application/json")


def speaks(path: str) -> bool:
    """Whether who asks at a path expects the protocol's answers, though nothing may be there."""
    return path == ROOT or path.startswith(f"{ROOT}/")
