"""Names of what an envelope makes anew, so that no type or fragment of GraphQL's names it: by operation and keys."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "CreateApiKey.api_key": "NewApiKey",
    "ListMembers.item": "Member",
    "GetModel.cv_metrics": "CvMetrics",
    "GetModel.metric_interval": "MetricInterval",
    "EvaluateModel.evaluation": "Evaluation",
    "EvaluateModel.evaluation.warning": "EvaluationWarning",
    "ModelEvaluations.item": "Evaluation",
    "ModelExplain.shap": "ShapValues",
    "ModelExplain.shap.sample": "ShapSample",
    "ModelCurves.curves": "Curves",
    "ModelCurves.curves.calibration": "CalibrationCurve",
    "ModelCurves.curves.pr": "PrecisionRecallCurve",
    "ModelCurves.curves.predicted_actual": "PredictedActual",
    "ModelCurves.curves.residuals": "Residuals",
    "ModelCurves.curves.residuals.histogram": "ResidualHistogram",
    "ModelCurves.curves.roc": "RocCurve",
    "ModelCurves.curves.thresholds": "ThresholdCurve",
    "Predict.prediction": "Prediction",
    "Predict.prediction.contribution": "Contribution",
    "Predict.prediction.explanation": "PredictionExplanation",
}
