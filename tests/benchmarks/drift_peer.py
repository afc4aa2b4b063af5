"""What Evidently says of counts in bins, and what it takes for a table: runs in an environment of its own (see drift.py)."""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

from evidently import Report  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402


def distances(pairs):
    """PSI and Jensen-Shannon distance of two vectors of counts: each bin is a category."""
    from importlib import import_module

    base = "evidently.legacy.calculations.stattests."
    psi, js = import_module(f"{base}psi")._psi, import_module(f"{base}jensenshannon")._jensenshannon
    found = []
    for expected, actual in pairs:
        series = [pd.Series(np.repeat(np.arange(len(one)), one)) for one in (expected, actual)]
        found.append([float(test(*series, ColumnType.Categorical, 0.1)[0]) for test in (psi, js)])
    return found


def report(reference, current):
    """CPU seconds of the drift report of two tables."""
    frames = [pd.read_parquet(path) for path in (reference, current)]
    began = time.process_time()
    Report([DataDriftPreset()]).run(frames[1], frames[0])
    return time.process_time() - began


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump({"distances": distances(asked["pairs"]), "seconds": [report(*asked["tables"]) for _ in range(3)]}, sys.stdout)
