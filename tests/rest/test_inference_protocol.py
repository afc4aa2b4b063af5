"""The Open Inference Protocol at `/v2`: what a standard client sends is answered as the predict endpoint answers it."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from httpx import Response
from hypothesis import given
from hypothesis import strategies as st

from coreplex.errors.tree import BadInput
from rest_compat.inference_protocol import datatypes
from rest_compat.inference_protocol.tensors import Binary, Tensor, decoded, encoded
from tests.factories.asking import Asker
from tests.factories.world import ROW, TABLE

HEADER = "Inference-Header-Content-Length"
TYPES = {"amount": "FP64", "age": "INT64", "member": "BOOL"}
ROWS = [ROW, {**ROW, "age": 20, "plan": "basic", "amount": 3.5}, {**ROW, "town": "T030", "member": False}]


def inputs(rows: Sequence[Mapping[str, Any]], shape: Any = None, **more: Any) -> list[dict[str, Any]]:
    """The columns of rows as tensors; `more`: what differs in one of them."""
    found = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        tensor = {"name": name, "shape": shape or [len(rows)], "datatype": TYPES.get(name, "BYTES"), "data": values}
        found.append({**tensor, **more.get(name, {})})
    return found


class Protocol:
    """The deployment of a world, asked by the protocol and by the predict endpoint."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.name = asker.world.ids["deployment"]

    async def infer(
        self, wanted: Any = None, *, actor: str = "predict_only", version: str = "", status: int = 200, **headers: str
    ) -> Response:
        content = wanted if isinstance(wanted, bytes) else orjson.dumps({"inputs": inputs(ROWS)} | (wanted or {}))
        path = f"/v2/models/{self.name}{version}/infer"
        told = {**self.asker.world.headers(actor), **headers}
        answer = await self.asker.client.post(path, content=content, headers=told)
        assert answer.status_code == status, answer.text
        return answer

    async def refused(self, wanted: Any, status: int = 400, **more: Any) -> str:
        body = (await self.infer(wanted, status=status, **more)).json()
        assert list(body) == ["error"]
        return str(body["error"])

    async def predicted(self, rows: Any = ROWS, **options: Any) -> list[dict[str, Any]]:
        answer = await self.asker.client.post(
            f"/api/mlops/deployments/{self.name}/predict",
            json={"inputs": rows, "options": options},
            headers=self.asker.world.headers("owner"),
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["predictions"])


@pytest.fixture
def protocol(asker: Asker) -> Protocol:
    return Protocol(asker)


def named(body: Mapping[str, Any]) -> dict[str, Any]:
    return {one["name"]: one for one in body["outputs"]}


async def test_health_and_the_server_need_no_key(asker: Asker) -> None:
    assert (await asker.client.get("/v2/health/live")).json() == {"live": True}
    ready = await asker.client.get("/v2/health/ready")
    assert ready.json() == {"ready": (await asker.client.get("/ready")).json()["ready"]}
    assert ready.status_code == (await asker.client.get("/ready")).status_code
    about = (await asker.client.get("/v2")).json()
    assert (about["name"], about["extensions"]) == ("coreplexml-server", ["binary_tensor_data"])


async def test_what_is_not_there_is_said_as_the_protocol_says_it(asker: Asker) -> None:
    """A standard client asks for what other servers have, and reads `error`."""
    for method, path, status in (
        ("GET", "/v2/models/x/config", 404),
        ("POST", "/v2/repository/index", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/models/x/infer", 405),
    ):
        answer = await asker.client.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), path
    assert "detail" in (await asker.client.get("/v20")).json()


async def test_metadata_of_a_model(protocol: Protocol) -> None:
    world, client = protocol.asker.world, protocol.asker.client
    model = world.ids["model"]
    for path in (f"/v2/models/{protocol.name}", f"/v2/models/{protocol.name}/versions/{model}"):
        body = (await client.get(path, headers=world.headers("predict_only"))).json()
        assert (body["name"], body["versions"], body["platform"]) == (protocol.name, [model], "coreplexml")
        kinds = {one["name"]: one["datatype"] for one in body["inputs"]}
        assert kinds == {name: TYPES.get(name, "BYTES") for name in ROW}
        assert [one["name"] for one in body["outputs"]] == ["prediction", "probability", "probabilities"]
        assert named(body)["probabilities"] == {
            "name": "probabilities",
            "datatype": "FP64",
            "shape": [-1, 2],
            "parameters": {"classes": ["no", "yes"]},
        }
        assert (await client.get(f"{path}/ready", headers=world.headers("predict_only"))).json()["ready"] is True
    other = f"/v2/models/{protocol.name}/versions/{world.ids['spare_model']}"
    for path in (other, f"{other}/ready"):
        answer = await client.get(path, headers=world.headers("predict_only"))
        assert (answer.status_code, answer.json()) == (404, {"error": "Model version not found"})
    idle = await client.get(f"/v2/models/{world.ids['idle']}/ready", headers=world.headers("predict_only"))
    assert (idle.status_code, list(idle.json())) == (409, ["error"])


@pytest.mark.parametrize("shape", [None, [3, 1]], ids=["n", "n,1"])
async def test_answers_are_those_of_the_predict_endpoint(protocol: Protocol, shape: Any) -> None:
    body = (await protocol.infer({"inputs": inputs(ROWS, shape), "id": "mine"})).json()
    expected = await protocol.predicted()
    model = protocol.asker.world.ids["model"]
    assert (body["model_name"], body["model_version"], body["id"]) == (protocol.name, model, "mine")
    found = named(body)
    assert list(found) == ["prediction", "probability", "probabilities"]
    assert (found["prediction"]["datatype"], found["prediction"]["shape"]) == ("BYTES", [3])
    assert found["prediction"]["data"] == [one["prediction"] for one in expected]
    assert found["probability"]["data"] == [one["probability"] for one in expected]
    assert found["probabilities"]["shape"] == [3, 2]
    assert found["probabilities"]["data"] == [share for one in expected for share in one["probabilities"].values()]
    nested = inputs(ROWS, [3, 1], age={"data": [[row["age"]] for row in ROWS]})
    again = (await protocol.infer({"inputs": nested}, version=f"/versions/{model}")).json()
    assert "id" not in again
    assert again["outputs"] == body["outputs"]


async def test_a_category_may_come_as_a_number(protocol: Protocol) -> None:
    """As a float, too, which a column of codes is where some are missing."""
    kinds = []
    for kind in ("FP32", "FP64", "INT8"):
        body = (await protocol.infer({"inputs": inputs(ROWS, plan={"datatype": kind, "data": [7, 8, 9]})})).json()
        kinds.append([(one["kind"], one["message"]) for one in orjson.loads(body["parameters"]["warnings"])])
    assert kinds[0] == kinds[1] == kinds[2]
    assert "“7”" in kinds[0][0][1]


async def test_each_row_is_logged_and_counted_as_those_of_the_predict_endpoint(protocol: Protocol) -> None:
    answer = await protocol.infer()
    await protocol.asker.world.settled()
    logs = "query($id: ID!) { deployment(id: $id) { requestCount logs { nodes { requestId rowIndex inputs } } } }"
    found = (await protocol.asker.data(logs, id=protocol.name))["deployment"]
    entries = sorted(found["logs"]["nodes"], key=lambda one: one["rowIndex"])
    assert [one["inputs"] for one in entries] == ROWS
    assert {one["requestId"] for one in entries} == {answer.json()["parameters"]["request_id"]}
    assert (
        answer.headers["X-RateLimit-Limit"]
        == (
            await protocol.asker.client.post(
                f"/api/mlops/deployments/{protocol.name}/predict",
                json={"inputs": ROW},
                headers=protocol.asker.world.headers("predict_only"),
            )
        ).headers["X-RateLimit-Limit"]
    )


async def test_parameters_are_options(protocol: Protocol) -> None:
    asked = {"parameters": {"explain_top_k": 2, "threshold": 0.0}}
    body = (await protocol.infer(asked)).json()
    expected = await protocol.predicted(explain={"top_k": 2}, threshold=0.0)
    found = named(body)
    assert found["prediction"]["data"] == ["yes"] * 3
    assert found["explanation"]["shape"] == found["contributions"]["shape"] == [3, 2]
    parts = [part for one in expected for part in one["contributions"]]
    assert found["explanation"]["data"] == [part["feature"] for part in parts]
    assert found["contributions"]["data"] == pytest.approx([part["contribution"] for part in parts])
    only = (await protocol.infer(asked | {"outputs": [{"name": "contributions"}, {"name": "prediction"}]})).json()
    assert [one["name"] for one in only["outputs"]] == ["contributions", "prediction"]
    odd = {"inputs": inputs([{**ROW, "plan": "gold"}])}
    warned = (await protocol.infer(odd)).json()
    assert orjson.loads(warned["parameters"]["warnings"])[0]["kind"] == "unseen_category"
    assert "inputs.0.plan" in await protocol.refused(odd | {"parameters": {"strict": True}})
    typo = (await protocol.infer({"parameters": {"explain_topk": 2}})).json()["parameters"]["warnings"]
    assert "Did you mean 'explain_top_k'?" in typo
    assert "Did you mean" in await protocol.refused({"parameters": {"explain_topk": 2, "strict": True}})
    asked = {"outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]}
    assert "no parameter 'classification', which is ignored" in (await protocol.infer(asked)).json()["parameters"]["warnings"]
    assert "top_k" in await protocol.refused({"parameters": {"explain_top_k": 0}})
    assert "intervals" in await protocol.refused({"parameters": {"interval": 0.9}}), "this model keeps none"


NO_PLAN = [one for one in inputs(ROWS) if one["name"] != "plan"]
REFUSED: list[tuple[Any, str]] = [
    ({"inputs": inputs(ROWS, age={"datatype": "FP99"})}, "no datatype 'FP99'."),
    ({"inputs": inputs(ROWS, age={"datatype": "BYTES", "data": ["1", "2", "3"]})}, "'age' is BYTES; the column is integer"),
    ({"inputs": inputs(ROWS, note={"datatype": "FP32", "data": [1, 2, 3]})}, "'note' is FP32; the column is text"),
    ({"inputs": inputs(ROWS, age={"data": [1, "x", 3]})}, "'age': x is no INT64"),
    ({"inputs": inputs(ROWS, age={"data": [1, 2.5, 3]})}, "'age': 2.5 is no INT64"),
    ({"inputs": inputs(ROWS, age={"datatype": "UINT8", "data": [1, 256, 3]})}, "'age': 256 is no UINT8"),
    ({"inputs": inputs(ROWS, age={"data": [1, 2]})}, "'age' has 2 values and the shape 3"),
    ({"inputs": inputs(ROWS, age={"data": None})}, "'age' has no data"),
    ({"inputs": inputs(ROWS, age={"shape": [3, 2]})}, "'age' has the shape [3, 2]; one tensor is one column"),
    ({"inputs": inputs(ROWS, age={"shape": [1, 3]})}, "'age' has the shape [1, 3]"),
    ({"inputs": inputs(ROWS, age={"shape": [-1]})}, "'age' has the shape [-1]"),
    ({"inputs": inputs(ROWS, age={"shape": [0], "data": []})}, "'age' has the shape [0]"),
    ({"inputs": inputs(ROWS, age={"shape": [2], "data": [1, 2]})}, "different numbers of rows: 2, 3"),
    ({"inputs": inputs(ROWS, age={"name": "agee"})}, "no input 'agee'. Did you mean 'age'?"),
    ({"inputs": [*inputs(ROWS), inputs(ROWS)[0]]}, "an input is there twice"),
    ({"inputs": inputs(ROWS, age={"parameters": {"binary_data_size": 24}})}, "has no 24 bytes behind the JSON: 0 are left"),
    ({"inputs": []}, "inputs must be a list of tensors"),
    ({"inputs": None}, "inputs must be a list of tensors"),
    ({"inputs": [{"shape": [1]}]}, "every input needs a name"),
    ({"outputs": [{"name": "probabilitys"}]}, "no output 'probabilitys'. Did you mean 'probabilit"),
    ({"outputs": [{"name": "contributions"}]}, "without the parameter explain_top_k"),
    ({"outputs": [{"name": "lower"}]}, "without the parameter interval"),
    ({"id": 7}, "id must be a text"),
    ({"parameters": [1]}, "parameters must be an object"),
    ({"parameters": []}, "parameters must be an object"),
    ({"parameters": {"binary_data_output": 1}}, "binary_data_output must be true or false"),
    ({"outputs": [{"name": "prediction", "parameters": {"binary_data": "true"}}]}, "binary_data must be true or false"),
    ({"outputs": [{"name": "prediction", "parameters": {"shared_memory_region": "r"}}]}, "there is no shared memory here"),
    ({"parameters": {"strict": True}, "outputs": [{"name": "probability", "parameters": {"classification": 2}}]}, "no parameter"),
    (b"[]", "is a JSON object"),
    (b"{", "The inference request is not JSON"),
    (b"", "The inference request is not JSON"),
]


@pytest.mark.parametrize(("wanted", "says"), REFUSED, ids=lambda value: value[:40] if isinstance(value, str) else "")
async def test_what_is_wrong_is_said(protocol: Protocol, wanted: Any, says: str) -> None:
    assert says in await protocol.refused(wanted)


async def test_who_may_not_and_what_is_not_there(protocol: Protocol) -> None:
    world = protocol.asker.world
    assert await protocol.refused({}, 401, actor="anonymous")
    assert await protocol.refused({}, 403, actor="read_only")
    assert await protocol.refused({}, 404, actor="stranger") == "Deployment not found"
    protocol.name = world.ids["idle"]
    assert "only an active one predicts" in await protocol.refused({}, 409)
    protocol.name = "nonsense"
    assert await protocol.refused({}, 404) == "Deployment not found"
    metadata = await protocol.asker.client.get(f"/v2/models/{world.ids['deployment']}", headers=world.headers("stranger"))
    assert (metadata.status_code, metadata.json()) == (404, {"error": "Deployment not found"})


async def test_columns_that_may_be_missing_may_be_left_out(protocol: Protocol) -> None:
    """Each column of this table misses some values; null, NaN and no tensor are all the same."""
    short = [{name: value for name, value in row.items() if name != "age"} for row in ROWS]
    body = (await protocol.infer({"inputs": inputs(short)})).json()
    for kind in ({"data": [None] * 3}, {"datatype": "FP64", "data": [None] * 3}):
        assert (await protocol.infer({"inputs": inputs(ROWS, age=kind)})).json()["outputs"] == body["outputs"]
    assert named(body)["prediction"]["data"] == [one["prediction"] for one in await protocol.predicted(short)]


def binary(rows: Sequence[Mapping[str, Any]], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request with all its tensors behind the JSON."""
    told, parts = [], []
    for one in inputs(rows):
        parts.append(datatypes.to_bytes(one["datatype"], one.pop("data")))
        told.append({**one, "parameters": {"binary_data_size": len(parts[-1])}})
    head = orjson.dumps({"inputs": told, **more})
    return head + b"".join(parts), {HEADER: str(len(head))}


async def test_bytes_behind_the_json_both_ways(protocol: Protocol) -> None:
    plain = named((await protocol.infer()).json())
    content, headers = binary(ROWS, parameters={"binary_data_output": True}, id="b")
    answer = await protocol.infer(content, **headers)
    length = int(answer.headers[HEADER])
    body, rest = orjson.loads(answer.content[:length]), Binary(answer.content[length:])
    assert (answer.headers["content-type"], body["id"]) == ("application/octet-stream", "b")
    for one in body["outputs"]:
        assert "data" not in one
        raw = rest.take(one["name"], one["parameters"]["binary_data_size"])
        count = int(np.prod(one["shape"]))
        assert datatypes.from_bytes(one["name"], one["datatype"], raw, count) == plain[one["name"]]["data"]
    rest.end()
    wanted = [{"name": "probability", "parameters": {"binary_data": True}}, {"name": "prediction"}]
    some = await protocol.infer({"outputs": wanted})
    body = orjson.loads(some.content[: int(some.headers[HEADER])])
    assert body["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert body["outputs"][1]["data"] == plain["prediction"]["data"]
    assert np.frombuffer(some.content[-24:], "<f8").tolist() == plain["probability"]["data"]


async def test_bytes_that_do_not_fit(protocol: Protocol) -> None:
    content, headers = binary(ROWS)
    for length in ("0", "x", "-1", str(len(content) + 1), "9" * 40):
        assert HEADER in await protocol.refused(content, **{HEADER: length})
    assert "uncompressed here, not as gzip" in await protocol.refused(content, **headers, **{"Content-Encoding": "gzip"})
    assert "1 bytes behind the JSON belong to no input" in await protocol.refused(content + b"x", **headers)
    assert "are left" in await protocol.refused(content[:-1], **headers)
    head = {"inputs": [{"name": "plan", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}}]}
    for raw, says in ((struct.pack("<I", 9) + b"x", "not the 1 values"), (struct.pack("<I", 1) + b"\xff", "not UTF-8")):
        told = orjson.dumps(head)
        assert says in await protocol.refused(told + raw, **{HEADER: str(len(told))})


async def test_a_thousand_rows(protocol: Protocol) -> None:
    rows = [{**ROW, "age": 18 + i % 70, "amount": i / 10} for i in range(1_000)]
    content, headers = binary(rows)
    found = named((await protocol.infer(content, **headers)).json())
    expected = await protocol.predicted(rows)
    assert found["prediction"]["data"] == [one["prediction"] for one in expected]
    assert found["probability"]["data"] == [one["probability"] for one in expected]
    assert "10,001" in (await protocol.refused({"inputs": inputs([ROW] * 10_001)})).replace("10001", "10,001")


async def test_under_a_key_it_is_done_once(protocol: Protocol) -> None:
    key = {"Idempotency-Key": "01a22800-0000-7000-8000-00000000000a"}
    content, headers = binary(ROWS, parameters={"binary_data_output": True})
    first, again = [await protocol.infer(content, **headers, **key) for _ in range(2)]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.content == again.content
    assert HEADER not in again.headers


VALUES: Mapping[str, Any] = {
    "BOOL": st.booleans(),
    "BYTES": st.text(st.characters(exclude_categories=["Cs"])),
    **{name: st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for name, kind in datatypes.INTEGERS.items()},
    "FP16": st.none()
    | st.floats(width=16, allow_nan=False, allow_infinity=False).map(lambda value: float(str(np.float16(value)))),
    "FP32": st.none()
    | st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda value: float(str(np.float32(value)))),
    "FP64": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "BF16": st.none() | st.integers(-127, 127).map(float),
}


@given(st.data())
def test_what_is_written_is_read_again(data: Any) -> None:
    kinds = data.draw(st.lists(st.sampled_from(datatypes.DATATYPES), min_size=1, max_size=5))
    tensors = []
    for place, kind in enumerate(kinds):
        values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=6))
        shape = data.draw(st.sampled_from([[len(values)], [len(values), 1]]))
        tensors.append(Tensor(f"t{place}", kind, shape, values))
    as_bytes = {one.name: data.draw(st.booleans()) for one in tensors}
    told, raw = encoded(tensors, as_bytes)
    rest = Binary(raw)
    assert [decoded(one, rest) for one in orjson.loads(orjson.dumps(told))] == tensors
    rest.end()


def test_floats_of_few_bits_mean_what_the_table_has() -> None:
    values = [0.1, 59.6, 1e-3, -2.5]
    for kind in ("FP16", "FP32", "FP64"):
        assert datatypes.from_bytes("x", kind, np.array(values, datatypes.FLOATS[kind]).tobytes(), 4) == values
    assert datatypes.from_bytes("x", "BF16", b"\x80\x3f\x20\xc0\xc0\x7f\x80\x7f", 4) == [1.0, -2.5, None, None]


@given(st.sampled_from(datatypes.DATATYPES), st.binary(max_size=40), st.integers(1, 5))
def test_any_bytes_are_values_or_refused(kind: str, raw: bytes, count: int) -> None:
    try:
        found = datatypes.from_bytes("x", kind, raw, count)
    except BadInput:
        return
    assert len(found) == count
    again = datatypes.from_bytes("x", kind, datatypes.to_bytes(kind, found), count)
    assert again == found


KEYS = ("name", "datatype", "shape", "data", "parameters")
LEAF = st.sampled_from([None, True, 0, 1, -1, 2**70, 0.5, "", "x", "BYTES", "INT8", {}, {"binary_data_size": 0}])


@given(st.dictionaries(st.sampled_from(KEYS), LEAF | st.lists(LEAF | st.lists(LEAF, max_size=2), max_size=3)))
def test_any_tensor_is_one_or_refused(said: dict[str, Any]) -> None:
    try:
        found = decoded({"name": "x", "datatype": "FP64", "shape": [1], **said}, Binary(b""))
    except BadInput:
        return
    assert len(found.values) == found.shape[0]


def test_the_table_of_these_tests_has_each_kind_of_column() -> None:
    assert set(ROW) < set(TABLE.columns)
