"""Estimates are those of NannyML 0.13.1, on the same chunks: where an environment with it is at hand (`NANNYML_PYTHON`)."""

import os

import numpy as np
import pytest

from tests.benchmarks.performance_estimation import REFERENCES, differences, drawn, theirs

PYTHON = os.environ.get("NANNYML_PYTHON")


@pytest.mark.slow
@pytest.mark.skipif(PYTHON is None, reason="NANNYML_PYTHON names no Python with NannyML")
@pytest.mark.parametrize("rows", REFERENCES)
def test_estimates_are_within_half_a_hundredth_of_nannymls(rows: int) -> None:
    cases = list(drawn(0, rows))
    for case, found in zip(cases, theirs(cases, str(PYTHON)), strict=True):
        for name, apart, *_ in differences(case, found):
            assert np.abs(apart).max() <= 0.005, (case.name, name)
