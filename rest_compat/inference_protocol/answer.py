"""What a model answered, as tensors: those that are wanted, in the form that is wanted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from coreplex.errors.nearest import hint
from coreplex.errors.tree import BadInput, Message
from rest_compat.inference_protocol.columns import datatype_of
from rest_compat.inference_protocol.request import HEADER, Asked
from rest_compat.inference_protocol.tensors import Tensor, encoded

Predictions = Sequence[Mapping[str, Any]]
WITH_INTERVAL, WITH_REASONS = "interval", "explain_top_k"
OPTIONAL = {
    **dict.fromkeys(("lower", "upper", "prediction_set"), WITH_INTERVAL),
    **dict.fromkeys(("explanation", "contributions"), WITH_REASONS),
}
"""Outputs that there are only with a parameter."""


def answered(result: Mapping[str, Any], asked: Asked, classes: Sequence[Any], name: str, *, as_json: bool) -> Response:
    """The response to an inference request that passed `require_outputs`."""
    made = tensors(result["predictions"], classes)
    wanted = [made[one] for one in asked.outputs or made]
    outputs, binary = encoded(wanted, {one.name: not as_json and asked.binary.get(one.name, asked.binary_else) for one in wanted})
    body: dict[str, Any] = {"model_name": name, "model_version": result["model_id"]}
    if asked.id is not None:
        body["id"] = asked.id
    body |= {"parameters": _parameters(result, asked), "outputs": outputs}
    head = orjson.dumps(body)
    if not binary:
        return Response(head, media_type="application/json")
    return Response(head + binary, headers={HEADER: str(len(head))}, media_type="application/octet-stream")


def tensors(predictions: Predictions, classes: Sequence[Any]) -> dict[str, Tensor]:
    """All that was answered, by name."""
    rows, first = len(predictions), predictions[0]
    found = [Tensor("prediction", datatype_of(classes) if classes else "FP64", [rows], _each(predictions, "prediction"))]
    if classes:
        by_label = [{share["label"]: share["probability"] for share in one["probabilities"]} for one in predictions]
        shares = [one.get(label) for one in by_label for label in classes]
        found.append(Tensor("probability", "FP64", [rows], _each(predictions, "probability")))
        found.append(Tensor("probabilities", "FP64", [rows, len(classes)], shares))
    if first.get("lower") is not None:
        found += [Tensor(end, "FP64", [rows], _each(predictions, end)) for end in ("lower", "upper")]
    if first.get("prediction_set") is not None:
        inside = [label in one["prediction_set"] for one in predictions for label in classes]
        found.append(Tensor("prediction_set", "BOOL", [rows, len(classes)], inside))
    if first.get("explanation") is not None:
        found += _explanation([one["explanation"]["contributions"] for one in predictions])
    return {one.name: one for one in found}


def _each(predictions: Predictions, name: str) -> list[Any]:
    return [one[name] for one in predictions]


def _explanation(rows: Sequence[Sequence[Mapping[str, Any]]]) -> list[Tensor]:
    """The strongest columns of each row, and what each adds to the raw score."""
    shape, parts = [len(rows), len(rows[0])], [part for row in rows for part in row]
    return [
        Tensor("explanation", "BYTES", shape, [part["feature"] for part in parts]),
        Tensor("contributions", "FP64", shape, [part["contribution"] for part in parts]),
    ]


def require_outputs(asked: Asked, classes: Sequence[Any]) -> None:
    """Raise BadInput for the first output that is wanted and will not be there."""
    there = {"prediction", *(("probability", "probabilities") if classes else ())}
    if "interval" in asked.options:
        there |= {"prediction_set"} if classes else {"lower", "upper"}
    if "explain" in asked.options:
        there |= {"explanation", "contributions"}
    for name in asked.outputs:
        if name not in there:
            raise BadInput(_no_output(name, there))


def _no_output(name: str, there: Collection[str]) -> Message:
    if name in OPTIONAL and OPTIONAL[name] not in {OPTIONAL.get(one) for one in there}:
        return Message(
            "output_needs_parameter",
            "there is no output '{name}' without the parameter {parameter}",
            name=name,
            parameter=OPTIONAL[name],
        )
    return Message("output_unknown", "there is no output '{name}'.", name=name[:100]).then(hint(name, sorted(there)))


def _parameters(result: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """Beside the tensors: the request's id in the log, and the warnings as a JSON text, for the protocol knows no lists here."""
    warnings = [*result["warnings"], *({"kind": "unknown_option", "message": one} for one in asked.unknown)]
    found = {"request_id": result["request_id"]}
    return found | ({"warnings": orjson.dumps(warnings).decode()} if warnings else {})
