"""The Open Inference Protocol as Triton's own client speaks it, in an environment of its own."""

import os
import random
from pathlib import Path

import orjson
import pytest

from tests.clients.conftest import PROGRAMS
from tests.clients.tools import python_with, run
from tests.factories.experiment import trained
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs
TRITON = "tritonclient[http]==2.73.0"


def test_tritons_client_gets_the_answers_of_the_predict_endpoint(stack: Stack, tmp_path: Path) -> None:
    python, rng = python_with(TRITON), random.Random(1)
    rows = [
        {"size": rng.uniform(0, 6), "weight": rng.randint(0, 9), "kind": rng.choice("abc"), "amount": rng.uniform(-2, 8)}
        for _ in range(1_000)
    ]
    with trained(stack) as lab:
        body = {"model_id": lab.models[0]["id"], "name": "triton", "stage": "staging"}
        deployment = lab.client.post(f"/api/mlops/projects/{lab.project_id}/deployments", json=body).json()["deployment_id"]
        answer = lab.client.post(f"/api/mlops/deployments/{deployment}/predict", json={"inputs": rows})
        sent = tmp_path / "rows.json"
        sent.write_bytes(orjson.dumps({"rows": rows, "answers": answer.json()["predictions"]}))
        said = {"BASE_URL": stack.base_url, "KEY": lab.key, "DEPLOYMENT": deployment, "ROWS": str(sent)}
        printed = run([str(python), str(PROGRAMS / "triton_infer.py")], tmp_path, **os.environ, **said)
    assert printed.strip().endswith("every call was answered as the predict endpoint answers it")
