"""The process that asks shadows has time to load a model, which it needs once, and little time for each batch."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from coreplex.engines.scoring import bundle
from coreplex.serving import shadows
from coreplex.serving.shadows import Child
from tests.engines.scoring_samples import frame, manifest, member, target


@pytest.fixture
def batch(tmp_path: Path) -> dict[str, Any]:
    table = frame(60)
    data = bundle.dumps(manifest(table, "regression"), [member(table, target(table, "regression"), "regression", "lightgbm")])
    (tmp_path / "model.zip").write_bytes(data)
    rows = frame(2, seed=5).select("amount", "age", "plan").to_dicts()
    answers = [{"prediction": 0.0}] * 2
    return {"bundle": str(tmp_path / "model.zip"), "sha256": hashlib.sha256(data).hexdigest(), "rows": rows, "answers": answers}


async def test_loading_may_take_longer_than_an_answer(batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "PATIENCE_SECS", 0.001)
    child = Child()
    child.start()
    try:
        said = await child.ask(batch)
        assert said is not None
        assert len(said["outputs"]) == 2
        assert await child.ask({**batch, "rows": batch["rows"] * 200, "answers": batch["answers"] * 200}) is None
        assert not child.alive
    finally:
        await child.end()
