"""A shadow that hangs or is killed costs no answer: what it owes is logged as failed or counted as skipped, and it comes back."""

import signal
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import deploy, project
from tests.rest.test_rollout import predict, shadow, start, until

__all__ = ["project"]


def scoring(lab: Lab) -> "psutil.Process":
    """The process of the web process that asks shadows."""
    web = psutil.Process(lab.stack.children["web"].pid)
    return next(one for one in web.children(recursive=True) if "coreplex.engines.scoring.shadow:run" in one.cmdline())


def owed(found: dict[str, Any]) -> int:
    return int(found["candidate_row_count"] + found["skipped_row_count"])


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGSTOP, id="hangs", marks=pytest.mark.slow), pytest.param(signal.SIGKILL, id="dies")]
)
def test_a_shadow_that_fails_costs_no_answer(project: Lab, number: signal.Signals) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, "shadow", candidate_deployment_id=new)
    expected = predict(project, before, ROW)["predictions"]
    until(lambda: shadow(project, before), lambda found: found["compared_row_count"] == 1)
    child = scoring(project)
    child.send_signal(number)
    for _ in range(50):
        answer = predict(project, before, ROW)
        assert (answer["predictions"], answer["deployment_id"]) == (expected, before)
    failed = until(lambda: shadow(project, before), lambda found: owed(found) == 51, 40)
    assert failed["candidate_error_count"] + failed["skipped_row_count"] > 0 or number is signal.SIGKILL
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE or number is signal.SIGKILL

    def asked() -> dict[str, Any]:
        predict(project, before, ROW)
        return shadow(project, before)

    back = until(asked, lambda found: found["compared_row_count"] > failed["compared_row_count"], 30)
    assert back["status"] == "running"
    assert scoring(project).pid != child.pid
