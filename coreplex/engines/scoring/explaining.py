"""Explaining rows in a child process: what the web process does by itself for a few of them."""

from typing import Any

from coreplex.engines.child import Report
from coreplex.engines.scoring.scorer import Scorer


def run(request: dict[str, Any], _report: Report) -> dict[str, Any]:
    """`{bundle, sha256, rows, top}` → `{contributions}`, one entry per row (see `Scorer.contributions`)."""
    scorer = Scorer.load(request["bundle"], request["sha256"])
    return {"contributions": scorer.contributions(request["rows"], request["top"])}
