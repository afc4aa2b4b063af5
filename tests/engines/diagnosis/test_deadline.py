"""The time a diagnosis takes: little to load, processor time before the clock, and what was cut short is said."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.splits import split
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.leakage import univariate
from coreplex.engines.diagnosis.request import CpuDeadline
from coreplex.errors.tree import Message

HEAVY = ("pandas", "sklearn", "scipy.stats")


def test_a_diagnosis_loads_no_library_it_does_not_use() -> None:
    asked = f"import coreplex.engines.diagnosis.diagnose, sys; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]", "they are five sixths of the time before the first row is looked at"


@given(st.lists(st.one_of(st.integers(-3, 3), st.floats(allow_nan=False)), max_size=40))
def test_ranks(values: list[float]) -> None:
    numbers = np.array(values, np.float64)
    assert np.array_equal(univariate.average_ranks(numbers), rankdata(numbers))
    assert np.array_equal(univariate.dense_ranks(numbers), rankdata(numbers, method="dense") - 1)


def test_the_clock_alone_makes_it_rushed() -> None:
    idle = CpuDeadline(3600.0, wall_per_cpu=0.0)
    assert idle.over
    assert idle.rushed
    worked = CpuDeadline(0.0, wall_per_cpu=1e9)
    assert worked.over
    assert not worked.rushed
    patient = CpuDeadline(3600.0)
    assert (patient.over, patient.rushed) == (False, False)


def test_what_was_not_looked_at_is_said() -> None:
    left = Message("columns_left", "{left} of 9 columns were not looked at: the time was over.", left=2)
    found = {"target": "y", "step": None, "leaks": [], "unfinished": [left.to_json()]}
    (said,) = experiment_warnings.warnings(found, drop_leaks=True)
    assert said == "The table was looked at in part only: 2 of 9 columns were not looked at: the time was over."
    assert said.as_dict() == left.as_dict()
    late = Message("too_late", "It took too long.")
    assert "drop_leaks leaves nothing out" in experiment_warnings.not_diagnosed(late, drop_leaks=True)
    assert "drop_leaks" not in experiment_warnings.not_diagnosed(late, drop_leaks=False)
    config = AutoMLConfig()
    reasons = [split.choose(config, one).reason for one in (None, {}, {"strategy": None, "unfinished": True}, {"strategy": None})]
    assert "is not known" in reasons[0] == reasons[1]
    assert "no time to try" in reasons[2]
    assert reasons[3] == "Rows seem independent of each other."
