"""What a caller sends and the endpoint does not take is said in the answer, with the nearest key that it does take."""

from typing import Any

from tests.factories.dataset import PEOPLE, Person


def said(answer: Any) -> list[str]:
    """The unknown keys an answer names, each with what was probably meant."""
    assert answer.status_code < 300, answer.text
    warnings = [warning for warning in answer.json().get("warnings", ()) if "takes no key" in warning]
    return [warning.removeprefix("This endpoint takes no key ").replace(", which is ignored.", "") for warning in warnings]


async def test_of_a_body(ada: Person) -> None:
    post, put = ada.client.post, ada.client.put
    made = await post("/api/projects", json={"name": "Twice", "descripton": "who leaves", "colour": None})
    assert said(made) == ["'descripton' Did you mean 'description'?", "'colour'"]
    assert made.json()["project"]["description"] == ""
    again = await post("/api/projects", json={"name": "twice", "x": 1})
    assert len(again.json()["warnings"]) == 2, "beside the warnings an answer has anyway"
    one = f"/api/projects/{made.json()['id']}"
    assert said(await put(one, json={"name": "Loss", "description": "d", "project_id": made.json()["id"]})) == []
    assert said(await put(one, json={"name": "Loss", "project_id": "another"})) == ["'project_id'"]
    assert "warnings" not in (await put(one, json={"name": "Loss"})).json()
    many = await put(one, json={"name": "Loss", **{f"k{number}": 1 for number in range(100)}, "x" * 5_000: 1})
    assert len(said(many)) == 20
    refused = await post("/api/projects", json={"nam": "x"})
    assert refused.status_code == 422, "the key that is missing is named"


async def test_of_a_form(ada: Person) -> None:
    fields = {"project_id": ada.project_id, "name": "People", "colum_types": '{"age": "float"}'}
    upload = await ada.client.post("/api/datasets/upload", files={"file": ("p.csv", PEOPLE)}, data=fields)
    assert said(upload) == ["'colum_types' Did you mean 'column_types'?"]
    one = f"/api/datasets/{upload.json()['id']}"
    version = await ada.client.post(f"{one}/versions", files={"file": ("p.csv", PEOPLE)}, data={"sheets": "2"})
    assert said(version) == ["'sheets' Did you mean 'sheet'?"]
    inbox = await ada.client.post("/api/uploads", files={"file": ("p.csv", PEOPLE)}, data={"sheet": "2"})
    assert said(inbox) == ["'sheet'"]
    by_id = {"project_id": ada.project_id, "name": "Again", "upload_id": inbox.json()["upload_id"], "columns": []}
    assert said(await ada.client.post("/api/datasets/upload", json=by_id)) == ["'columns' Did you mean 'column_types'?"]
    both = await ada.client.post("/api/datasets/upload", files={"file": ("p.csv", PEOPLE)}, data={**fields, "upload_id": "x"})
    assert (both.status_code, both.json()["detail"][0]["loc"]) == (422, ["body", "upload_id"])
    assert (await ada.client.get("/api/datasets")).json()["total"] == 2
    read = await ada.client.post(f"{one}/columns", json={"column_types": {}, "missing_values": ["?"], "forced": True})
    assert said(read) == ["'forced' Did you mean 'force'?"]
