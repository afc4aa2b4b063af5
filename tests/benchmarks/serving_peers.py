"""What predictions are measured beside: `mlflow models serve` and BentoML, with the very same LightGBM booster."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import passes, seed, stack

PEERS = ("mlflow==3.17.2", "bentoml==1.4.40", "lightgbm==4.7.0")
SAVE = "import sys, lightgbm, mlflow.lightgbm as m; m.save_model(lightgbm.Booster(model_file=sys.argv[1]), sys.argv[2])"
BENTO = """
import bentoml, lightgbm, numpy as np

@bentoml.service(workers=1)
class Known:
    def __init__(self):
        self.booster = lightgbm.Booster(model_file="model.txt")

    @bentoml.api(batchable=True, max_batch_size=100)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.booster.predict(rows, num_threads=1)
"""


def interpreter(folder: Path) -> str:
    """A Python that has mlflow and BentoML."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def mlflow_command(python: str, folder: Path, trained: seed.Trained, port: int) -> list[str]:
    """Give the booster to mlflow, and how it is served."""
    text, model = folder / f"{port}.txt", folder / f"{port}"
    text.write_text(trained.booster.model_to_string())
    subprocess.run([python, "-c", SAVE, text, model], check=True, capture_output=True)
    command = [str(Path(python).with_name("mlflow")), "models", "serve", "-m", str(model), "-p", str(port)]
    return [*command, "--env-manager", "local", "--workers", "1"]


def mlflow_contestants(
    folder: Path, python: str, trained: seed.Trained, running: ExitStack, rows: int = 1
) -> list[passes.Contestant]:
    """The same model on two mlflow servers (with and without its own threads), asked in two ways."""
    named = {"dataframe_records": [{f"f{number}": value for number, value in enumerate(trained.encoded)}] * rows}
    bare = {"inputs": [trained.encoded] * rows}
    path = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    found: list[passes.Contestant] = []
    for threads, said in (("", "as it comes"), ("1", "one thread")):
        port = stack.free_port()
        environment = os.environ | path | ({"OMP_NUM_THREADS": threads} if threads else {})
        command = mlflow_command(python, folder, trained, port)
        root = running.enter_context(passes.server(command, port, "/ping", environment))
        everyone = [root, *root.children(recursive=True)]
        for body, how in ((named, "named columns"), (bare, "bare numbers")):
            found.append(passes.Contestant(f"mlflow, {how}, {said}", port, passes.post("/invocations", body), everyone))
    return found


def bento_contestant(folder: Path, python: str, trained: seed.Trained, running: ExitStack, rows: int = 1) -> passes.Contestant:
    """BentoML, which may answer several callers with one call of the model."""
    home, port = folder / f"bento{stack.free_port()}", stack.free_port()
    home.mkdir()
    (home / "model.txt").write_text(trained.booster.model_to_string())
    (home / "service.py").write_text(BENTO)
    environment = os.environ | {"PATH": f"{Path(python).parent}:{os.environ['PATH']}", "BENTOML_DO_NOT_TRACK": "true"}
    command = [str(Path(python).with_name("bentoml")), "serve", "service:Known", "-p", str(port), "--working-dir", str(home)]
    root = running.enter_context(passes.server(command, port, "/livez", environment))
    asked = passes.post("/predict", {"rows": [trained.encoded] * rows})
    return passes.Contestant("BentoML, batching on, bare numbers", port, asked, [root, *root.children(recursive=True)])
