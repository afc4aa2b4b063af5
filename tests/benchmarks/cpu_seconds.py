"""Training whose budget is counted in CPU seconds of its process: what a busy neighbour takes is not lost.

For `suite.py --cpu` alone: two states of the engine are compared fairly while other programs run.
"""

import time
from collections.abc import Mapping
from typing import Any

from coreplex.engines.automl import train
from coreplex.engines.automl.budget import Clock
from coreplex.engines.automl.trial.costs import Costs
from coreplex.engines.messages import Listener


def run(request: Mapping[str, Any], report: Listener) -> dict[str, Any]:
    """`train.run` with another clock, and with what a fit takes measured by it."""
    Clock.__init__.__kwdefaults__["now"] = time.process_time
    Costs.measure.__defaults__ = Costs.measure_words.__defaults__ = (time.process_time,)
    train._age = time.perf_counter = time.process_time
    return train.run(request, report)
