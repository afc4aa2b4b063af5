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
    assert refused.status_code == 422
    assert refused.json()["message"] == "name: Field required; you sent 'nam'"
    other = await post("/api/projects", json={"colour": "blue", "x" * 100_000: 1})
    assert other.json()["message"] == "name: Field required"


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


def ignored_parameters(answer: Any) -> list[str]:
    """The unknown parameters of a query that an answer names, each with what was probably meant."""
    assert answer.status_code < 300, answer.text
    begun = "This endpoint takes no parameter "
    warnings = [one if isinstance(one, str) else one["message"] for one in answer.json().get("warnings", ())]
    return [one.removeprefix(begun).replace(", which is ignored.", "") for one in warnings if one.startswith(begun)]


async def test_of_a_query(ada: Person) -> None:
    get = ada.client.get
    page = await get("/api/projects?limitt=1&Offset=0&colour=")
    assert ignored_parameters(page) == ["'limitt' Did you mean 'limit'?", "'Offset' Did you mean 'offset'?", "'colour'"]
    assert page.json()["limit"] == 50
    filtered = await get(f"/api/experiments?projectId={ada.project_id}&sort_dir=asc")
    assert ignored_parameters(filtered) == ["'projectId' Did you mean 'project_id'?"]
    assert len(ignored_parameters(await get("/api/projects?" + "&".join(f"k{number}=1" for number in range(100))))) == 20
    one = f"/api/projects/{ada.project_id}"
    assert ignored_parameters(await get(f"{one}?limit=3&project_id={ada.project_id}")) == ["'limit'", "'project_id'"]
    renamed = await ada.client.put(f"{one}?nam=x", json={"name": "Loss", "colour": 1})
    assert (len(renamed.json()["warnings"]), ignored_parameters(renamed)) == (2, ["'nam'"])
    made = await ada.client.post("/api/projects", json={"name": "Gone"})
    assert ignored_parameters(await ada.client.delete(f"/api/projects/{made.json()['id']}?forced=1")) == [
        "'forced' Did you mean 'force'?"
    ]


async def test_what_the_published_client_sends_in_a_query_is_known(ada: Person) -> None:
    paged = {"limit": 50, "offset": 0}
    of_project = {**paged, "project_id": ada.project_id}
    for path, sent in {
        "/api/projects": {**paged, "search": "a"},
        "/api/datasets": of_project,
        "/api/experiments": of_project,
        "/api/models": of_project,
        f"/api/mlops/projects/{ada.project_id}/deployments": paged,
        f"/api/projects/{ada.project_id}/timeline": {},
    }.items():
        answer = await ada.client.get(path, params=sent)
        assert "items" in answer.json(), path
        assert "warnings" not in answer.json(), path


async def test_of_a_query_for_a_file_and_with_one(ada: Person) -> None:
    fields = {"project_id": ada.project_id, "name": "People"}
    upload = await ada.client.post("/api/datasets/upload?nme=x", files={"file": ("p.csv", PEOPLE)}, data=fields)
    assert ignored_parameters(upload) == ["'nme'"]
    raw = await ada.client.post("/api/uploads?filename=p.csv&sheet=2", content=PEOPLE)
    assert ignored_parameters(raw) == ["'sheet'"]
    file = f"/api/datasets/{upload.json()['id']}/download"
    typo = await ada.client.get(file, params={"fromat": "parquet", 'a"\\é\r\nX-Made-Up: 1': ""})
    assert typo.status_code == 200
    assert "X-Made-Up" not in typo.headers
    first, second = typo.headers["Warning"].removeprefix("299 - ").strip('"').split(" This endpoint")
    assert first == "This endpoint takes no parameter 'fromat', which is ignored. Did you mean 'format'?"
    assert second == " takes no parameter 'a?????X-Made-Up: 1', which is ignored."
    assert "Warning" not in (await ada.client.get(file, params={"format": "csv"})).headers
