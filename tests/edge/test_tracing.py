"""What traces do where a collector or a caller misbehaves."""

import threading
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from coreplex.platform import tracing
from edge.tracing import Traced


def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(tracing, "_provider", SimpleNamespace(shutdown=never.wait))
    monkeypatch.setattr(tracing, "FLUSH_MS", 20)
    tracing.stop()
    assert not tracing.is_on()
    never.set()


@pytest.mark.parametrize(("sent", "named"), [("POST", "POST"), ("MADE-UP", "_OTHER")])
async def test_callers_make_up_no_names_of_spans(sent: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    def span(name: str, *_: Any) -> Any:
        names.append(name)
        return nullcontext()

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(tracing, "span", span)
    await Traced(nothing)({"type": "http", "path": "/graphql", "method": sent, "headers": []}, nothing, nothing)
    assert names == [named]
