"""What is loaded of models."""

from coreplex.model import service
from coreplex.model.table import Model
from resolvers.loading import batch, rows

models = rows(Model)
model_counts = batch(service.counts, missing=0)
"""How many models are finished, by experiment id."""
