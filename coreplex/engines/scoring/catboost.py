"""CatBoost from its own binary format, on servers where it is installed; without it a clear error says what is
missing."""

import importlib
from typing import Any

import numpy as np

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.predictor import Files, Link, Scoring
from coreplex.errors.tree import Message, Unavailable

_LINKS: dict[str, Link] = {
    "Logloss": "logit",
    "CrossEntropy": "logit",
    "MultiClass": "softmax",
    **dict.fromkeys(("RMSE", "MAE", "Huber", "MAPE"), "identity"),
    **dict.fromkeys(("Poisson", "Tweedie"), "log"),
}


class CatBoost(Scoring):
    """Codes of categories are ordinary numbers to it here."""

    kind = "catboost"
    method = "tree_shap"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._library = _library()
        try:
            self._model = self._library.CatBoost().load_model(blob=data, format="cbm")
        except self._library.CatBoostError as error:
            raise ValueError(str(error)[:200]) from error
        loss = str(self._model.get_all_params()["loss_function"]).split(":")[0]
        if loss not in _LINKS:
            raise ValueError(f"the CatBoost loss {loss!r} is not served")
        self.link = _LINKS[loss]
        self.width = len(self._model.feature_names_)
        self.raw_width = len(self._model.classes_) if self.link == "softmax" else 1

    @classmethod
    def of(cls, model: Any) -> "CatBoost":
        """From a trained `catboost.CatBoost` (cut at its best iteration by CatBoost itself)."""
        return cls(model._serialize_model())

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        scores = self._model.predict(matrix, prediction_type="RawFormulaVal", thread_count=1)
        return np.asarray(scores, dtype=np.float64).reshape(len(matrix), self.raw_width)

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        pool = self._library.Pool(matrix)
        found = self._model.get_feature_importance(pool, type="ShapValues", thread_count=1)
        return np.asarray(found, dtype=np.float64).reshape(len(matrix), self.raw_width, self.width + 1)

    def files(self) -> dict[str, bytes]:
        """`model.cbm`, CatBoost's own binary."""
        return {"model.cbm": self.data}

    @classmethod
    def from_files(cls, files: Files) -> "CatBoost":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        return cls(files["model.cbm"])


def _library() -> Any:
    try:
        return importlib.import_module("catboost")
    except ImportError as error:
        raise Unavailable(
            Message("catboost_missing", "This model needs CatBoost, which is not installed on this server.")
        ) from error
