"""Webhooks as others' libraries verify them, of PyPI and of npm: each signed one is accepted, each changed byte is refused."""

import json
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coreplex.platform.clock import now
from coreplex.platform.identifier import new_id
from coreplex.platform.settings import Settings
from coreplex.webhook.signing import envelope, headers, secret_of, secrets_of, spelled
from coreplex.webhook.table import Webhook, WebhookDelivery, new_salt
from tests.clients.tools import python_with

LIBRARIES = ("standardwebhooks==1.1.0", "svix==2.9.1")
Asked = dict[str, Any]


def signed(tmp_path: Path) -> tuple[Asked, Asked, list[Asked]]:
    """A webhook's message by its present secret and by the one before, and messages that are not its server's."""
    settings, project = Settings(data_dir=tmp_path), new_id()
    webhook = Webhook(project_id=project, url="https://receiver.example/", previous_salt=new_salt(), rotated_at=now())
    event = {"type": "canary.stopped", "subject": "deployment/1", "data": {"message": "“Zürich” was stopped: 1 < 2"}}
    delivery = WebhookDelivery(project_id=project, webhook_id=webhook.id, event_id=new_id(), **event)
    body = envelope(settings, delivery)
    said = headers(secrets_of(settings, webhook), delivery, body, now())
    newer, older = (
        {"secret": spelled(secret), "headers": said, "body": body.decode()} for secret in secrets_of(settings, webhook)
    )
    stale = headers(secrets_of(settings, webhook), delivery, body, now() - timedelta(minutes=6))
    wrong = [
        {**newer, "secret": spelled(secret_of(settings, webhook.id, new_salt()))},
        {**newer, "headers": stale},
        *({**newer, "headers": {**said, name: "9" + said[name][1:]}} for name in said if name.startswith("webhook-")),
        *({**newer, "body": newer["body"][:n] + "~" + newer["body"][n + 1 :]} for n in range(len(newer["body"]))),
    ]
    return newer, older, wrong


def verdicts(command: Sequence[str], folder: Path, asked: Sequence[Asked]) -> list[dict[str, bool]]:
    said = "\n".join(map(json.dumps, asked))
    done = subprocess.run(command, cwd=folder, input=said, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow  # tests/graphql/test_webhook.py verifies with the library of PyPI
@pytest.mark.parametrize("language", ["python", "node"])
def test_libraries_take_what_is_signed_and_nothing_else(language: str, programs: Path, tmp_path: Path) -> None:
    command = ["node", "verify.mjs"] if language == "node" else [str(python_with(*LIBRARIES)), "verify.py"]
    newer, older, wrong = signed(tmp_path)
    good, also, *bad = verdicts(command, programs, [newer, older, *wrong])
    assert good == also == {"standardwebhooks": True, "svix": True}
    assert len(bad) == len(wrong) > 300
    assert {accepted for one in bad for accepted in one.values()} == {False}
