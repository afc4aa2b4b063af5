"""A model to take along: whole, checked by its own hashes, loaded as its README says, the same bytes each time."""

import asyncio
import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from coreplex.engines.scoring.scorer import Scorer
from tests.factories.asking import Asker
from tests.factories.world import ROW
from tests.stack import ROOT

NAMES = ["SHA256SUMS", "schema.json", "README.md", "manifest.json", "model.zip"]
FILE = "query($id: ID!) { model(id: $id) { artifact { sha256 } file { url filename contentType sizeBytes sha256 } } }"


async def downloaded(asker: Asker, who: str = "viewer") -> bytes:
    identity = asker.world.ids["model"]
    answer = await asker.client.get(f"/api/models/{identity}/download", headers=asker.world.headers(who))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="GBM_0.zip"' in answer.headers["content-disposition"]
    return answer.content


async def test_what_is_in_it_and_that_it_is_whole(asker: Asker, tmp_path: Path) -> None:
    data = await downloaded(asker)
    told = (await asker.data(FILE, "viewer", id=asker.world.ids["model"]))["model"]
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        assert box.namelist() == NAMES
        assert box.testzip() is None
        box.extractall(tmp_path)
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in NAMES[1:]}
    manifest = orjson.loads((tmp_path / "manifest.json").read_bytes())
    assert manifest["model"]["id"] == asker.world.ids["model"]
    assert manifest["files"]["model.zip"]["sha256"] == told["artifact"]["sha256"]
    for name, one in manifest["files"].items():
        content = (tmp_path / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (one["sha256"], one["size_bytes"])
    schema = orjson.loads((tmp_path / "schema.json").read_bytes())
    assert Draft202012Validator(schema["json_schema"]).is_valid(ROW)
    assert schema["output"]["problem_type"] == "classification"
    answers, _ = Scorer.load(tmp_path / "model.zip", told["artifact"]["sha256"]).predict_rows([ROW])
    asked = await asker.client.post(
        f"/api/models/{asker.world.ids['model']}/predict", json={"inputs": ROW}, headers=asker.world.headers("owner")
    )
    assert orjson.loads(orjson.dumps(answers)) == asked.json()["predictions"]


async def test_the_read_me_runs(asker: Asker, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(await downloaded(asker))) as box:
        box.extractall(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    said = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    ran = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], **said)  # type: ignore[call-overload]
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("{'prediction': ")


async def test_the_same_bytes_for_everybody_each_time(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await downloaded(asker)
    assert await downloaded(asker, "owner") == first
    folders = list(asker.world.services.staging.root.glob("export-*"))
    for folder in folders:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert await downloaded(asker) == first
    told = (await asker.data(FILE, id=asker.world.ids["model"]))["model"]["file"]
    assert (told["sha256"], told["sizeBytes"]) == (hashlib.sha256(first).hexdigest(), len(first))
    assert (await asker.client.get(told["url"], headers=asker.world.headers("owner"))).content == first


async def test_strangers_and_keys_that_may_not_read_get_none(asker: Asker) -> None:
    path = f"/api/models/{asker.world.ids['model']}/download"
    assert (await asker.client.get(path, headers=asker.world.headers("stranger"))).status_code == 404
    assert (await asker.client.get(path, headers=asker.world.headers("predict_only"))).status_code == 403
    assert (await asker.client.get(path)).status_code == 401


async def test_a_damaged_model_is_not_handed_out(asker: Asker) -> None:
    await downloaded(asker)
    root = asker.world.services.settings.storage_dir
    (file,) = [one for one in root.rglob("model.zip") if asker.world.ids["model"] in str(one)]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    for folder in asker.world.services.staging.root.glob("export-*"):
        folder.rename(folder.with_suffix(".gone"))
    answer = await asker.client.get(f"/api/models/{asker.world.ids['model']}/download", headers=asker.world.headers("owner"))
    assert (answer.status_code, answer.json()["code"]) == (409, "damaged")
