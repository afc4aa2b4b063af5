"""Predictions: what a resolver has to say to the one place that predicts."""

from coreplex.serving import service
from coreplex.serving.inputs import Predict, PredictModel
from coreplex.serving.service import Predicted
from resolvers.guard import Info
from resolvers.once import asked


async def predict(info: Info, input: Predict) -> Predicted:
    """Answer rows through a deployment and write each to its inference log."""
    return await service.predict(info.context.services, info.grant, input, asked(info))


async def predict_model(info: Info, input: PredictModel) -> Predicted:
    """Answer rows with a model itself; nothing is logged."""
    return await service.predict_model(info.context.services, info.grant, input, asked(info))
