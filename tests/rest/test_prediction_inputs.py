"""Whatever a prediction is asked with, at each of its doors: answered and logged, or refused with what is wrong."""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from tests.factories.account import bearer
from tests.factories.experiment import Lab
from tests.rest.test_deployment import deploy, one
from tests.rest.test_rollout import until

FULL = b'{"size": 3.5, "weight": 1, "kind": "b", "amount": 1}'
MB = 1 << 20
DOCUMENT = """mutation P($input: PredictInput!) {
  predict(input: $input) { predictions { prediction } warnings { kind message } requestId }
}"""


@dataclass
class Doors:
    """A deployment, asked with bytes that no client library would send."""

    lab: Lab
    client: httpx.Client
    deployment: str

    def rest(self, body: bytes, content_type: str = "application/json") -> httpx.Response:
        return self.client.post(f"{one(self.deployment)}/predict", content=body, headers={"Content-Type": content_type})

    def graphql(self, inputs: bytes, options: bytes = b"{}") -> httpx.Response:
        said = b'{"deploymentId": "%s", "inputs": %s, "options": %s}' % (self.deployment.encode(), inputs, options)
        body = b'{"query": %s, "variables": {"input": %s}}' % (orjson.dumps(DOCUMENT), said)
        return self.client.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    def both(self, inputs: bytes, options: bytes = b"{}") -> list[tuple[int, str]]:
        """Status and text of the answer at each door; of GraphQL's the status it says."""
        rest = self.rest(b'{"inputs": %s, "options": %s}' % (inputs, options))
        graphql = self.graphql(inputs, options)
        errors = graphql.json().get("errors")
        return [(rest.status_code, rest.text), (errors[0]["extensions"]["status"] if errors else 200, graphql.text)]

    def infer(self, *tensors: bytes, parameters: bytes = b"{}") -> httpx.Response:
        body = b'{"inputs": [%s], "parameters": %s}' % (b", ".join(tensors), parameters)
        return self.client.post(f"/v2/models/{self.deployment}/infer", content=body)

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        def entries() -> list[dict[str, Any]]:
            found = self.client.get(f"{one(self.deployment)}/logs", params={"request_id": request_id}).json()
            return list(found["items"])

        return list(until(entries, bool))


@pytest.fixture(scope="module")
def doors(trained: Lab) -> Iterator[Doors]:
    deployment = deploy(trained, "hostile", "staging")
    with httpx.Client(base_url=trained.stack.base_url, headers=bearer(trained.key), timeout=60) as client:
        yield Doors(trained, client, deployment)
        client.post(f"{one(deployment)}/deactivate")
        client.delete(one(deployment))


def row(**cells: bytes) -> bytes:
    """A good row with cells of raw JSON in the place of its own."""
    values = {"size": b"3.5", "weight": b"1", "kind": b'"b"', "amount": b"1", **cells}
    return b"{%s}" % b", ".join(b'"%s": %s' % (name.encode(), value) for name, value in values.items())


def text(length: int, letter: str = "x") -> bytes:
    return b'"%s"' % (letter.encode() * length)


NO_NUMBER = "JSON has no NaN, no Infinity and no number beyond 1.8e308: send null where there is none."
NOTHING = "is empty: send the row's columns and their values"
NO_ROWS = "must be one row (an object) or a list of at least one row"
REFUSED: dict[str, tuple[bytes, str]] = {
    **{word: (row(size=word.encode()), NO_NUMBER) for word in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400)},
    "a category that is no number": (row(kind=b"1e999"), NO_NUMBER),
    "lone surrogate": (row(kind=rb'"\ud800"'), "surrogate in string"),
    "lone low surrogate": (row(kind=rb'"\udc00 x"'), "surrogate in string"),
    "NUL itself": (row(kind=b'"a\0b"'), "is not JSON"),
    "cut off": (b'[{"size": 1}, {"si', "is not JSON"),
    "no row": (b"[]", NO_ROWS),
    "a text": (b'"rows"', NO_ROWS),
    "a number": (b"5", NO_ROWS),
    "lists": (b"[[1, 2]]", NO_ROWS),
    "one of them no row": (b"[%s, 3]" % FULL, NO_ROWS),
    "empty row": (b"{}", NOTHING),
    "empty rows": (b"[%s, {}]" % FULL, f"inputs.1: {NOTHING}"),
    "other columns only": (b'{"colour": 1, "shape": 2}', "the model knows no column of this row, such as 'colour'. It has"),
    "one row of others": (b'[%s, {"colour": 1}]' % FULL, "inputs.1: the model knows no column of this row"),
    "one row more": (b"[%s]" % b", ".join([b'{"size": 1}'] * 10_001), "has 10001 rows; send at most 10000 in a call"),
    "deep": (row(size=b"[" * 40 + b"]" * 40), "is nested deeper than 32 levels"),
    "deep beside brackets": (row(size=b"[" * 33 + b'"[[{{"' + b"]" * 33), "is nested deeper than 32 levels"),
    "a bomb": (row(size=b"[" * 200_000 + b"]" * 200_000), "has more than 100000 lists and objects"),
    "a wide bomb": (row(size=b"[%s]" % b", ".join([b"{}"] * 100_001)), "has more than 100000 lists and objects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_are_refused(doors: Doors, case: str) -> None:
    inputs, says = REFUSED[case]
    for status, answer in doors.both(inputs):
        assert (status in {400, 422}, says in answer) == (True, True), (status, answer[:500])


OPTIONS: dict[str, tuple[bytes, str]] = {
    "too few keys": (b'{"keys": ["a"]}', "has 1 keys for 2 rows"),
    "too many keys": (b'{"keys": ["a", "b", "c"]}', "has 3 keys for 2 rows"),
    "no keys": (b'{"keys": []}', "has 0 keys for 2 rows"),
    "a text for keys": (b'{"keys": "ab"}', "should be a valid list"),
    **{
        f"a key that is {said[:12]!r}": (b'{"keys": ["a", %s]}' % said, "each key must be a text of at most 300 characters")
        for said in (b"null", b"true", b"1.5", b"[1]", b"{}", text(301), b"9" * 30)
    },
    "a threshold that is no number": (b'{"threshold": NaN}', NO_NUMBER),
    "a threshold beyond": (b'{"threshold": 1.5}', "less than or equal to 1"),
    "true for how many": (b'{"explain": true}', "options.explain: must be an object, such as"),
    "a number for true": (b'{"strict": 1}', "should be a valid boolean"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_are_refused(doors: Doors, case: str) -> None:
    options, says = OPTIONS[case]
    for status, answer in doors.both(b"[%s, %s]" % (FULL, FULL), options):
        assert (status in {400, 422}, says in answer) == (True, True), (status, answer[:500])
        assert answer.count(says) <= 3, "said once, not of each kind that it is not"


ANSWERED: dict[str, tuple[bytes, str, Any]] = {
    "as it should be": (FULL, "", {"size": 3.5}),
    "minus zero": (row(size=b"-0.0"), "out_of_range", {"size": 0.0}),
    "a number as text": (row(size=b'"3.5"'), "", {"size": "3.5"}),
    "NaN as text": (row(size=b'"NaN"'), "missing_value", {"size": "NaN"}),
    "1e400 as text": (row(size=b'"1e400"'), "unreadable_value", {"size": "1e400"}),
    "a huge integer": (row(size=b"9" * 30), "out_of_range", {"size": 1e30}),
    "true": (row(size=b"true"), "", {"size": True}),
    "null": (row(size=b"null"), "missing_value", {"size": None}),
    "a list": (row(size=b"[1, [2]]"), "unreadable_value", {"size": [1, [2]]}),
    "an object": (row(kind=b'{"a": {"b": 1}}'), "unreadable_value", {"kind": {"a": {"b": 1}}}),
    "a number for a category": (row(kind=b"7"), "unseen_category", {"kind": 7}),
    "a label never seen": (row(kind='"日本"'.encode()), "unseen_category", {"kind": "日本"}),
    "NUL": (row(kind=rb'"a\u0000b"'), "unseen_category", {"kind": "a\ufffdb"}),
    "a pair of surrogates": (row(kind=rb'"\ud83d\ude00"'), "unseen_category", {"kind": "😀"}),
    "a key twice": (row()[:-1] + b', "size": 5}', "", {"size": 5}),
    "another column": (row(colour=b"1"), "extra_column", {"colour": 1}),
    "no name": (b'{"": 1, "size": 2}', "extra_column", {"": 1}),
    "deep enough": (row(size=b"[" * 20 + b"]" * 20), "unreadable_value", {}),
    "dates out of this world": (
        row(size=b'"0000-13-45"', weight=b'"99999-01-01"'),
        "unreadable_value",
        {"weight": "99999-01-01"},
    ),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_rows_that_are_answered(doors: Doors, case: str) -> None:
    inputs, kind, _ = ANSWERED[case]
    rest, graphql = doors.rest(b'{"inputs": %s}' % inputs).json(), doors.graphql(inputs).json()["data"]["predict"]
    assert rest["predictions"][0]["prediction"] == graphql["predictions"][0]["prediction"]
    assert math.isclose(sum(rest["predictions"][0]["probabilities"].values()), 1)
    kinds = {warning["kind"] for warning in rest["warnings"]}
    assert kinds == {warning["kind"].lower() for warning in graphql["warnings"]}
    assert kinds - {"missing_column"} == ({kind} if kind else set()), rest["warnings"]


def test_what_is_answered_is_logged(doors: Doors) -> None:
    asked = [(doors.graphql(inputs).json()["data"]["predict"]["requestId"], kept) for inputs, _, kept in ANSWERED.values()]
    for request, kept in reversed(asked):
        (entry,) = doors.logged(request)
        assert entry["error"] is None
        assert entry["inputs"].items() >= kept.items()


LARGE: dict[str, tuple[bytes, int]] = {
    "10,000 rows": (b"[%s]" % b", ".join([b'{"size": 1}'] * 10_000), 200),
    "a text of 5 MB": (row(kind=text(5 * MB)), 413),
    "digits of 5 MB": (row(size=text(5 * MB, "9")), 413),
    "a name of 5 MB": (b'{"size": 1, %s: 1}' % text(5 * MB), 413),
    "100,000 columns": (b'{"size": 1, %s}' % b", ".join(b'"c%d": 1' % n for n in range(100_000)), 200),
}


@pytest.mark.parametrize("case", LARGE)
def test_large_rows_go_by_rest(doors: Doors, case: str) -> None:
    inputs, at_graphql = LARGE[case]
    rest, graphql = doors.rest(b'{"inputs": %s}' % inputs), doors.graphql(inputs)
    assert (rest.status_code, graphql.status_code) == (200, at_graphql), rest.text[:500]
    assert all(len(warning["message"]) < 500 for warning in rest.json()["warnings"]), "a message is no place for 5 MB"
    if at_graphql == 413:
        assert "go by REST" in graphql.json()["errors"][0]["message"]
    assert doors.logged(rest.json()["request_id"])


BODIES: dict[str, tuple[bytes, str, int, str]] = {
    "byte order mark": (
        b'\xef\xbb\xbf{"inputs": %s}' % FULL,
        "application/json",
        422,
        "Send it as UTF-8, without a byte order mark.",
    ),
    "Latin-1": ('{"inputs": {"kind": "ü"}}'.encode("latin-1"), "application/json; charset=latin-1", 422, "Send it as UTF-8"),
    "UTF-16": ('{"inputs": {"size": 1}}'.encode("utf-16"), "application/json; charset=utf-16", 422, "Send it as UTF-8"),
    "UTF-8, said": (b'{"inputs": %s}' % FULL, "application/json; charset=utf-8", 200, "prediction"),
    "a form": (b"inputs=1", "application/x-www-form-urlencoded", 422, "is not JSON"),
    "nothing": (b"", "application/json", 422, "The body is empty"),
    "no inputs": (b"{}", "application/json", 422, "Field required"),
    "null": (b'{"inputs": null}', "application/json", 422, "Field required"),
    "a list": (b"[]", "application/json", 422, "must be a JSON object"),
    "two of them": (b"{}{}", "application/json", 422, "unexpected content after document"),
    "options in a list": (b'{"inputs": %s, "options": []}' % FULL, "application/json", 422, "should be a valid dictionary"),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies(doors: Doors, case: str) -> None:
    body, content_type, status, says = BODIES[case]
    answer = doors.rest(body, content_type)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text[:500]


def test_a_compressed_body_is_refused_in_words(doors: Doors) -> None:
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for path in (f"{one(doors.deployment)}/predict", "/graphql", f"/v2/models/{doors.deployment}/infer"):
        answer = doors.client.post(path, content=gzip.compress(b'{"inputs": %s}' % FULL), headers=packed)
        assert (answer.status_code, "requests come uncompressed here, not as gzip" in answer.text) == (400, True), answer.text
        assert {"detail", "errors", "error"} & set(answer.json())


def tensor(name: str, datatype: str, data: bytes, shape: bytes = b"[1]") -> bytes:
    return b'{"name": "%s", "datatype": "%s", "shape": %s, "data": %s}' % (name.encode(), datatype.encode(), shape, data)


TENSORS = {
    "size": tensor("size", "FP64", b"[3.5]"),
    "weight": tensor("weight", "INT64", b"[1]"),
    "kind": tensor("kind", "BYTES", b'["b"]'),
    "amount": tensor("amount", "FP64", b"[1]"),
}
INFERRED: dict[str, tuple[dict[str, bytes], int, str]] = {
    "as it should be": ({}, 200, "prediction"),
    **{
        f"{said.decode()} in a tensor": ({"size": tensor("size", "FP64", b"[%s]" % said)}, 400, NO_NUMBER)
        for said in (b"NaN", b"-Infinity", b"1e400")
    },
    "true for a number": ({"size": tensor("size", "FP64", b"[true]")}, 400, "input 'size': True is no FP64"),
    "a text for a number": ({"size": tensor("size", "FP64", b'["3"]')}, 400, "input 'size': 3 is no FP64"),
    "beyond 64 bits": ({"weight": tensor("weight", "INT64", b"[%s]" % (b"9" * 30))}, 400, "is no INT64"),
    "a list for a text": ({"kind": tensor("kind", "BYTES", b'[["a", ["b"]]]')}, 400, "input 'kind': a list is no BYTES"),
    "an object": ({"kind": tensor("kind", "BYTES", b'[{"a": 1}]')}, 400, "input 'kind': an object is no BYTES"),
    "a label never seen": ({"kind": tensor("kind", "BYTES", b'["zzz"]')}, 200, "prediction"),
    "NUL": ({"kind": tensor("kind", "BYTES", rb'["a\u0000b"]')}, 200, "prediction"),
    "lone surrogate": ({"kind": tensor("kind", "BYTES", rb'["\ud800"]')}, 400, "surrogate in string"),
    "a text of 5 MB": ({"kind": tensor("kind", "BYTES", b"[%s]" % text(5 * MB))}, 200, "prediction"),
    "no rows": ({"size": tensor("size", "FP64", b"[]", b"[0]")}, 400, "has the shape [0]"),
    "a huge shape": ({"size": tensor("size", "FP64", b"[1]", b"[1%s]" % (b"0" * 18))}, 400, "has 1 values and the shape 1"),
    "half a shape": ({"size": tensor("size", "FP64", b"[1]", b"[1.5]")}, 400, "has the shape [1.5]"),
    "an input twice": ({"again": tensor("size", "FP64", b"[1]")}, 400, "an input is there twice"),
    "another input": ({"again": tensor("colour", "FP64", b"[1]")}, 400, "the model has no input 'colour'"),
    "none of one column": ({"size": b"null"}, 400, "tensor"),
    "deep": ({"size": b"[" * 40 + b"]" * 40}, 400, "is nested deeper than 32 levels"),
}


@pytest.mark.parametrize("case", INFERRED)
def test_the_open_inference_protocol(doors: Doors, case: str) -> None:
    changed, status, says = INFERRED[case]
    answer = doors.infer(*(TENSORS | changed).values())
    assert (answer.status_code, says in answer.text) == (status, True), answer.text[:500]


@pytest.mark.parametrize(("count", "status"), [(10_000, 200), (10_001, 400)])
def test_rows_of_the_open_inference_protocol(doors: Doors, count: int, status: int) -> None:
    shape, data = b"[%d]" % count, {"FP64": b"1", "INT64": b"1", "BYTES": b'"b"'}
    kinds = {"size": "FP64", "weight": "INT64", "kind": "BYTES", "amount": "FP64"}
    columns = [tensor(name, kind, b"[%s]" % b",".join([data[kind]] * count), shape) for name, kind in kinds.items()]
    answer = doors.infer(*columns)
    assert (answer.status_code, "has 10001 rows" in answer.text) == (status, status == 400), answer.text[:500]
