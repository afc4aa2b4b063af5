"""What is loaded of experiments."""

from coreplex.experiment import service
from coreplex.experiment.table import Experiment
from resolvers.loading import batch, rows

experiments = rows(Experiment)
engine_runs = batch(service.engine_runs)
"""The runs of an experiment's engines, in their order, by experiment id."""
