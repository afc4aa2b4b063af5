"""What an alert on a metric says: which basis, what was promised, and what waiting costs."""

from uuid import UUID

import pytest

from coreplex.alert.judging import every
from coreplex.alert.metric_look import drift_cost, metric_cost, reason_of
from coreplex.alert.table import AlertKind
from coreplex.monitoring.current_metric import CurrentMetric, Loss
from coreplex.monitoring.table import Basis
from tests.factories.outside import alert_of

RIGHT = CurrentMetric("accuracy", 0.85, Basis.realised, 400, 0.02, promised=0.91)
OFF = CurrentMetric("mae", 2.5, Basis.estimated, 400, 0.1, promised=2.0)


def test_the_reason_says_what_the_value_stands_on() -> None:
    assert reason_of(RIGHT, 0.9) == ("accuracy is 0.85 by the outcomes of 400 rows (the limit is 0.9). Training promised 0.91.")
    said = reason_of(CurrentMetric("mae", 2.5, Basis.estimated, 400, None, promised=None), 2.2)
    assert said.startswith("mae is estimated to be 2.5 for the 400 rows that were answered, whose outcomes are not known yet")
    assert "promised" not in said


@pytest.mark.parametrize(
    ("now", "rows", "metric", "drift"),
    [
        (RIGHT, 200.0, "About 12 more wrong answers an hour than training promised.", "About 12 more of them are wrong"),
        (RIGHT, 2.0, "About 2 rows an hour are answered so.", None),
        (
            CurrentMetric("accuracy", 0.95, Basis.realised, 400, None, 0.91),
            200.0,
            "About 200 rows an hour are answered so.",
            None,
        ),
        (
            OFF,
            50.0,
            "About 50 answers an hour are off by 2.5 on average, 0.5 more than training promised.",
            "They are off by 0.5",
        ),
        (CurrentMetric("mae", 1.5, Basis.estimated, 400, None, 2.0), 50.0, "About 50 rows an hour are answered so.", None),
        (CurrentMetric("accuracy", 0.5, Basis.realised, 400, None, None), 50.0, "About 50 rows an hour are answered so.", None),
    ],
)
def test_what_waiting_costs(now: CurrentMetric, rows: float, metric: str, drift: str | None) -> None:
    loss = Loss(now, rows)
    assert metric_cost(loss) == metric
    said = drift_cost(loss)
    assert (said is None) if drift is None else (said is not None and said.startswith(drift))


def test_of_an_unknown_loss_nothing_is_said() -> None:
    assert metric_cost(None) is None


@pytest.mark.parametrize(
    ("kind", "window_secs", "secs"),
    [
        (AlertKind.metric, 7 * 86400, 60480),
        (AlertKind.metric, 60, 60),
        (AlertKind.error_rate, 7 * 86400, 60),
        (AlertKind.drift, 20, 5),
    ],
)
def test_a_metric_is_looked_at_no_more_than_ten_times_in_its_window(kind: AlertKind, window_secs: int, secs: int) -> None:
    alert = alert_of(UUID(int=1), UUID(int=2), 0)
    alert.kind, alert.window_secs = kind, window_secs
    assert every(alert).total_seconds() == secs
