"""Calls a deployment with Triton's own client, with BASE_URL, KEY, DEPLOYMENT and ROWS in the environment.

ROWS is a JSON file: `rows` of the table `tests.factories.experiment.leaves`, and the `answers` of the predict endpoint to them.
"""

import json
import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

COLUMNS = {"size": "FP64", "weight": "INT64", "kind": "BYTES", "amount": "FP64"}
KINDS = {"FP64": np.float64, "BYTES": np.object_, "INT64": np.int64, "INT32": np.int32}
HEADERS = MappingProxyType({"Authorization": f"Bearer {os.environ['KEY']}"})
"""To be copied for each call: the client writes into what it is given."""
NAME = os.environ["DEPLOYMENT"]
SAID = json.loads(Path(os.environ["ROWS"]).read_text())
client = triton.InferenceServerClient(os.environ["BASE_URL"].removeprefix("http://"))


def tensor(name: str, values: list[object], kind: str, shape: list[int], binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, shape, kind)
    made.set_data_from_numpy(np.array(values, dtype=KINDS[kind]).reshape(shape), binary_data=binary)
    return made


def inputs(rows: list[dict[str, object]], wide: bool = False, binary: bool = True, **kinds: str) -> list[triton.InferInput]:
    shape = [len(rows), 1] if wide else [len(rows)]
    columns = {name: kind for name, kind in (COLUMNS | kinds).items() if name in rows[0]}
    return [tensor(name, [row[name] for row in rows], kind, shape, binary) for name, kind in columns.items()]


def refused(says: str, sent: list[triton.InferInput], status: str = "400", **more: object) -> None:
    said = None
    try:
        client.infer(NAME, sent, **{"headers": dict(HEADERS), **more})
    except InferenceServerException as error:
        said = error
    assert said is not None, f"nobody said {says}"
    assert says in str(said), said
    assert said.status() == status, said.status()


def same(found: triton.InferResult, answers: list[dict[str, object]]) -> None:
    labels = [label.decode() if isinstance(label, bytes) else label for label in found.as_numpy("prediction").tolist()]
    assert labels == [one["prediction"] for one in answers]
    shares = [list(one["probabilities"].values()) for one in answers]
    assert found.as_numpy("probabilities").tolist() == shares


assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready(NAME, headers=dict(HEADERS))
about = client.get_model_metadata(NAME, headers=dict(HEADERS))
assert {one["name"]: one["datatype"] for one in about["inputs"]} == COLUMNS, about
assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
rows, answers = SAID["rows"], SAID["answers"]
assert len(rows) == 1_000

for wide in (False, True):
    for binary in (True, False):
        same(client.infer(NAME, inputs(rows, wide, binary), headers=dict(HEADERS)), answers)
same(client.infer(NAME, inputs(rows, weight="INT32"), headers=dict(HEADERS)), answers)
few = rows[:3]
told = client.infer(
    NAME, inputs(few), about["versions"][0], request_id="mine", headers=dict(HEADERS), parameters={"explain_top_k": 2}
)
assert told.get_response()["id"] == "mine"
assert told.as_numpy("explanation").shape == told.as_numpy("contributions").shape == (3, 2)
outputs = [triton.InferRequestedOutput("probability"), triton.InferRequestedOutput("prediction", binary_data=False)]
part = client.infer(NAME, inputs(few), outputs=outputs, headers=dict(HEADERS))
assert np.allclose(part.as_numpy("probability"), [one["probability"] for one in answers[:3]], rtol=1e-9)
assert part.as_numpy("probabilities") is None

texts = tensor("size", ["a", "b", "c"], "BYTES", [3])
refused("'size' is BYTES; the column is float", [*(one for one in inputs(few) if one.name() != "size"), texts])
refused("these inputs are missing: size", [one for one in inputs(few) if one.name() != "size"])
flat = tensor("size", [1.0, 2.0, 3.0], "FP64", [1, 3])
refused("has the shape [1, 3]", [*(one for one in inputs(few) if one.name() != "size"), flat])
refused("never saw", inputs([{**few[0], "kind": "ultraviolet"}]), parameters={"strict": True})
refused("no output 'probabilitys'", inputs(few), outputs=[triton.InferRequestedOutput("probabilitys")])
refused("", inputs(few), "401", headers={})
print("every call was answered as the predict endpoint answers it")
