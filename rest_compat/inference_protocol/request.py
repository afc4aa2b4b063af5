"""An inference request: its tensors, its options, and which outputs are wanted in which form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coreplex.errors.nearest import hint, ignored
from coreplex.errors.tree import BadInput, Message
from edge.body import decode_json
from rest_compat.inference_protocol.columns import Field, rows_of
from rest_compat.inference_protocol.tensors import SIZE, Binary, decoded

HEADER = "Inference-Header-Content-Length"
OPTIONS: Mapping[str, str] = {"explain_top_k": "explain", "threshold": "threshold", "interval": "interval", "strict": "strict"}
"""Parameters of a request that are options of a prediction."""
AS_BYTES, ALL_AS_BYTES = "binary_data", "binary_data_output"
_OF_THE_PROTOCOL = frozenset(
    {ALL_AS_BYTES, "sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers", "content_type"}
)
"""Further parameters that clients send; those about sequences and queues mean nothing here."""


@dataclass(frozen=True)
class Asked:
    """`outputs`: the names wanted, none for all; `binary`: those of which it is said whether they come as bytes."""

    rows: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]
    outputs: Sequence[str] = ()
    binary: Mapping[str, bool] = field(default_factory=dict)
    binary_else: bool = False
    id: str | None = None
    unknown: Sequence[Message] = ()


def asked(raw: bytes, header: str | None, fields: Sequence[Field]) -> Asked:
    """What a body says. Raises BadInput for what is no inference request for a model with these columns."""
    length = _length(raw, header)
    said = decode_json(raw[:length], "The inference request", BadInput)
    if not isinstance(said, dict):
        raise BadInput(Message("request_no_object", "an inference request is a JSON object"))
    binary = Binary(raw[length:])
    tensors = [decoded(one, binary) for one in _objects(said.get("inputs"), "inputs", least=1)]
    binary.end()
    parameters = _parameters(said)
    wanted = _objects(said.get("outputs") or [], "outputs")
    identity = said.get("id")
    if identity is not None and not isinstance(identity, str):
        raise BadInput(Message("request_id_no_text", "id must be a text"))
    return Asked(
        rows_of(tensors, fields),
        _options(parameters),
        [_name(one) for one in wanted],
        {_name(one): _flag(_parameters(one), AS_BYTES) for one in wanted if AS_BYTES in _parameters(one)},
        _flag(parameters, ALL_AS_BYTES),
        identity,
        [*_unknown(parameters), *_of_tensors(said["inputs"], SIZE, parameters), *_of_tensors(wanted, AS_BYTES, parameters)],
    )


def _length(raw: bytes, header: str | None) -> int:
    """Where the JSON ends and the bytes of tensors begin."""
    if header is None:
        return len(raw)
    if not (header.isascii() and header.isdigit() and 0 < int(header[:20]) <= len(raw)):
        raise BadInput(
            Message(
                "inference_header_length_wrong",
                "{header} must be the length of the JSON, from 1 to the {length} bytes of the body",
                header=HEADER,
                length=len(raw),
            )
        )
    return int(header)


def _objects(said: Any, name: str, least: int = 0) -> list[dict[str, Any]]:
    if not isinstance(said, list) or len(said) < least or not all(isinstance(one, dict) for one in said):
        raise BadInput(Message("no_list_of_tensors", "{name} must be a list of tensors", name=name))
    return said


def _parameters(said: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {} if said.get("parameters") is None else said["parameters"]
    if not isinstance(found, dict):
        raise BadInput(Message("parameters_no_object", "parameters must be an object"))
    return found


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    """A parameter that is true or false; false where it is left out. Raises BadInput for another value."""
    found = parameters.get(name, False)
    if not isinstance(found, bool):
        raise BadInput(Message("parameter_no_flag", "{parameter} must be true or false", parameter=name))
    return found


def _of_tensors(tensors: Sequence[Mapping[str, Any]], known: str, parameters: Mapping[str, Any]) -> list[Message]:
    """What is said of parameters of tensors that mean nothing. Raises BadInput for the first where the request is `strict`, and
    where a client would look for its answer in memory that it shares with the server."""
    names = dict.fromkeys(name for one in tensors for name in _parameters(one) if name != known)
    if any(name.startswith("shared_memory") for name in names):
        raise BadInput(
            Message("no_shared_memory", "there is no shared memory here: tensors come with the request and the answer")
        )
    if names and parameters.get("strict") is True:
        raise BadInput(_no_parameter(next(iter(names)), [known]))
    return ignored(names, [known], _ignored)


def _name(said: Mapping[str, Any]) -> str:
    name = said.get("name")
    if not isinstance(name, str):
        raise BadInput(Message("output_without_name", "every output needs a name"))
    return name


def _options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    found = {option: parameters[name] for name, option in OPTIONS.items() if parameters.get(name) is not None}
    if "explain" in found:
        found["explain"] = {"top_k": found["explain"]}
    return found


def _unknown(parameters: Mapping[str, Any]) -> list[Message]:
    """What is said of parameters that mean nothing. Raises BadInput for the first where the request is `strict`."""
    names = [name for name in parameters if name not in _OF_THE_PROTOCOL and name not in OPTIONS]
    if names and parameters.get("strict") is True:
        raise BadInput(_no_parameter(names[0], list(OPTIONS)))
    return ignored(names, list(OPTIONS), _ignored)


def _no_parameter(name: str, known: Sequence[str]) -> Message:
    return Message("no_such_parameter", "there is no parameter '{name}'.", name=name[:100]).then(hint(name, known))


def _ignored(name: str) -> Message:
    return Message("inference_parameter_ignored", "there is no parameter '{name}', which is ignored.", name=name)
