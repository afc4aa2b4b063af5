"""The journey `scripts/start --demo` shows: a bundled table, a project, a training, a prediction, and how to repeat it.

It speaks to the running server as any program would, over REST with the standard library. Only its account is made through the
domain, so that no mail is needed: an ordinary one, with a password and a key made for this journey.
"""

import asyncio
import csv
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from coreplex.account import one_time, passwords, service
from coreplex.account.inputs import Register
from coreplex.account.table import TokenPurpose
from coreplex.command import recipes
from coreplex.command.environment import beside, read_settings
from coreplex.command.rest import Refused, Rest
from coreplex.platform.database import Database
from coreplex.platform.settings import Mode, Settings

TABLE = Path(__file__).with_name("demo.csv")
TARGET, IDENTIFIER = "cancelled", "customer"
CONFIG = {"max_runtime_secs": 60, "max_models": 8, "nfolds": 5, "seed": 42}
LONGEST_SECS = 600
BAR_WIDTH = 30
FINAL = {"succeeded", "failed", "error"}


def main() -> int:
    """Run the journey against the server whose address is in the environment. Returns 0, or 1 with a sentence why not."""
    settings = beside(read_settings())
    try:
        _journey(settings, Rest(settings.base_url))
    except Refused as refused:
        print(f"\nThe demo ends here: {refused}", file=sys.stderr, flush=True)
        return 1
    return 0


def _journey(settings: Settings, rest: Rest) -> None:
    _say(f"Demo: will a customer cancel? {sum(1 for _ in TABLE.open()) - 1} invented customers, column `{TARGET}`.\n")
    email, password = asyncio.run(_account(settings))
    key = _key(rest, email, password)
    rest.key = key
    _step("account", f"{email}, password {password}")
    project = rest.post("/api/projects", {"name": "Demo: customers who cancel", "description": "Made by scripts/start --demo."})
    _step("project", project["project_id"])
    upload = rest.upload("/api/datasets/upload", TABLE, project_id=project["project_id"], name="Customers")
    _step("dataset", f"{upload['dataset_id']}, quality {upload['quality']['overall_score']:.0f} of 100")
    experiment = rest.post("/api/experiments", _experiment(project["project_id"], upload["dataset_version_id"]))
    _follow(rest, experiment["experiment_id"])
    best = _leaderboard(rest, experiment["experiment_id"])
    row = _row()
    answer = rest.post(f"/api/models/{best}/predict", {"inputs": row, "options": {}})["predictions"][0]
    _say(f"\nPrediction for {row}:\n  {TARGET} = {answer['prediction']}, with probability {answer['probability']:.2f}\n")
    _say(recipes.three_ways(rest.url, key, best, row))
    _say(f"To look around: {rest.url}/docs is the reference of the REST API{_explorer(settings, rest.url)}.")
    _say("The server keeps running; Ctrl-C stops it.")


def _explorer(settings: Settings, url: str) -> str:
    shown = settings.mode is Mode.development
    return f", {url}/graphql an explorer of the GraphQL API that takes the key above" if shown else ""


def _experiment(project_id: str, version_id: str) -> dict[str, Any]:
    named = {"project_id": project_id, "dataset_version_id": version_id, "name": "Who cancels?"}
    return named | {"target_column": TARGET, "problem_type": "classification", "config": CONFIG}


async def _account(settings: Settings) -> tuple[str, str]:
    """An ordinary account whose e-mail counts as confirmed: we are on the machine itself."""
    email, password = f"demo-{secrets.token_hex(3)}@demo.localhost", secrets.token_urlsafe(12)
    silent = settings.model_copy(update={"smtp_url": None, "require_email_verification": False})
    hashed = await passwords.hashed(password, email)
    database = Database(settings.database_url or "", pool_size=1)
    try:
        async with database.transaction() as session:
            user = await service.register(session, silent, Register(email=email, name="Demo", password=password), hashed)
            token = await one_time.issue(session, user, TokenPurpose.verify_email)
            await service.verify_email(session, silent, token or "")
    finally:
        await database.close()
    return email, password


def _key(rest: Rest, email: str, password: str) -> str:
    """Sign in as a browser would and make a key, as in the page of keys."""
    csrf = rest.post("/api/auth/login", {"email": email, "password": password})["csrf_token"]
    wanted = {"name": "Demo", "scopes": ["read", "write", "predict"]}
    return str(rest.post("/api/auth/api-keys", wanted, {"X-CSRF-Token": csrf})["key"])


def _follow(rest: Rest, experiment_id: str) -> None:
    """Draw the training's progress (REST counts it in per cent) until it ends."""
    deadline = time.monotonic() + LONGEST_SECS
    while True:
        state = rest.get(f"/api/experiments/{experiment_id}/status")
        done = 1.0 if state["status"] == "succeeded" else float(state.get("progress") or 0) / 100
        _draw(done, f"{state['status']}, {state.get('models_trained') or 0} models")
        if state["status"] in FINAL:
            break
        if time.monotonic() > deadline:
            raise Refused("the training takes too long; see the logs and `coreplexml-server doctor`.")
        time.sleep(0.5)
    _say("")
    if state["status"] != "succeeded":
        raise Refused(f"the training failed: {state.get('error') or 'no reason given'}")


def _draw(done: float, words: str) -> None:
    """One line that is drawn over itself in a terminal; elsewhere only the end is written."""
    full = round(BAR_WIDTH * min(1.0, max(0.0, done)))
    line = f"  training   [{'#' * full}{'.' * (BAR_WIDTH - full)}] {100 * done:3.0f} %  {words}"
    if sys.stdout.isatty():
        print(f"\r{line:<78}", end="", flush=True)
    elif done >= 1:
        print(line, end="", flush=True)


def _leaderboard(rest: Rest, experiment_id: str) -> str:
    """Print the models, best first; returns the best one's id."""
    models = rest.get(f"/api/models?experiment_id={experiment_id}&limit=10")["items"]
    if not models:
        raise Refused("the training made no model.")
    _say("\nLeaderboard (best first)")
    _say(f"  {'model':<36}{'AUC':>8}{'log loss':>10}{'accuracy':>10}")
    for model in models:
        metrics = model["metrics"]
        cells = "".join(
            f"{_number(metrics.get(name)):>{width}}" for name, width in (("auc", 8), ("logloss", 10), ("accuracy", 10))
        )
        _say(f"  {model['name']:<36.36}{cells}")
    return str(models[0]["id"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _row() -> dict[str, str]:
    """The first customer, as if new."""
    with TABLE.open(newline="") as file:
        return {name: value for name, value in next(csv.DictReader(file)).items() if name not in {TARGET, IDENTIFIER}}


def _step(name: str, words: str) -> None:
    _say(f"  {name:<10} {words}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
