"""XGBoost from its own binary JSON (UBJ), by its C library without its Python package.

Scoring needs a few functions of the C API and nothing else. The package imports pandas, SciPy and scikit-learn (120 MB and
seconds of a process that only serves models). Only scoring is here, on one thread. Training uses the package.
"""

import ctypes
import json
import math
import weakref
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.predictor import Files, Link, Scoring
from coreplex.engines.scoring.shared_library import library_path
from coreplex.engines.scoring.tree_shap import LazyTreeShap, TreeShap
from coreplex.engines.scoring.xgboost_trees import read

# One step inside: float32's own largest value is refused as infinite once text has rounded it up.
_LARGEST = float(np.nextafter(np.finfo(np.float32).max, np.float32(0)))
_LINKS: dict[str, Link] = {
    "binary:logistic": "logit",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    **dict.fromkeys(
        ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror", "reg:quantileerror"),
        "identity",
    ),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), "log"),
}


class XgBoost(Scoring):
    """`XgBoost.of(booster)` after training, `from_files` when loading. It computes in float32, everywhere alike."""

    kind = "xgboost"
    method = "tree_shap"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._booster = Booster(data)
        learner = self._booster.config()["learner"]
        objective = learner["objective"]["name"]
        if objective not in _LINKS:
            raise ValueError(f"the XGBoost objective {objective!r} is not served")
        self.link = _LINKS[objective]
        self.width = self._booster.width
        self.raw_width = max(int(learner["learner_model_param"]["num_class"]), 1)
        self._tables = LazyTreeShap()

    @classmethod
    def of(cls, booster: Any) -> "XgBoost":
        """From a trained `xgboost.Booster`, cut at its best iteration when it was stopped early."""
        best = booster.attr("best_iteration")
        kept = booster[: int(best) + 1] if best is not None else booster
        kept.set_attr(best_iteration=None, best_score=None)
        return cls(bytes(kept.save_raw("ubj")))

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        return self._booster.margins(within_float32(matrix)).astype(np.float64).reshape(len(matrix), self.raw_width)

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        tables = self._tables.get(self._tree_shap)
        if tables is not None:
            return tables.contributions(within_float32(self._booster.checked(matrix)).astype(np.float32).astype(np.float64))
        return self._contributions(matrix)

    def _contributions(self, matrix: Floats) -> Floats:
        """Those of the library."""
        found = self._booster.contributions(within_float32(matrix))
        return found.astype(np.float64).reshape(len(matrix), self.raw_width, self.width + 1)

    def _tree_shap(self) -> TreeShap:
        trees, outputs = read(self._booster.json())
        return TreeShap(trees, outputs, self._contributions(np.zeros((1, self.width)))[0, :, -1], self.width)

    def files(self) -> dict[str, bytes]:
        """`model.ubj`, XGBoost's own binary JSON."""
        return {"model.ubj": self.data}

    @classmethod
    def from_files(cls, files: Files) -> "XgBoost":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        return cls(files["model.ubj"])


def within_float32(matrix: Floats) -> Floats:
    """(n, width) held within the range of float32: XGBoost refuses what does not fit, and beyond it every split says the same
    anyway."""
    return np.clip(matrix, -_LARGEST, _LARGEST)


_MARGIN, _CONTRIBUTIONS = 1, 2
_DENSE = b'{"missing": NaN, "nthread": 1}'


@lru_cache(maxsize=1)
def _library() -> Any:
    library = ctypes.CDLL(library_path("xgboost", "libxgboost", told_by="xgboost.core"))
    library.XGBGetLastError.restype = ctypes.c_char_p
    return library


def _check(code: int) -> None:
    if code:
        message = _library().XGBGetLastError() or b"XGBoost failed"
        raise ValueError(message.decode("utf-8", "replace")[:200])


class Booster:
    """A model read from the bytes of its UBJ or JSON form, for scoring. Shared by threads."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 2:
            raise ValueError("a model of no bytes")  # which ends the process in the library
        self._c = _library()
        self._handle = ctypes.c_void_p()
        _check(self._c.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self._handle)))
        weakref.finalize(self, self._c.XGBoosterFree, self._handle).atexit = False
        _check(self._c.XGBoosterLoadModelFromBuffer(self._handle, data, ctypes.c_uint64(len(data))))
        for name, value in ((b"nthread", b"1"), (b"verbosity", b"0")):
            _check(self._c.XGBoosterSetParam(self._handle, name, value))
        width = ctypes.c_uint64()
        _check(self._c.XGBoosterGetNumFeature(self._handle, ctypes.byref(width)))
        self.width = width.value

    def config(self) -> Any:
        """What the booster knows of itself besides its trees."""
        length, text = ctypes.c_uint64(), ctypes.c_char_p()
        _check(self._c.XGBoosterSaveJsonConfig(self._handle, ctypes.byref(length), ctypes.byref(text)))
        return json.loads(text.value or b"{}")

    def json(self) -> bytes:
        """The model as JSON."""
        length, data = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_char)()
        form = b'{"format": "json"}'
        _check(self._c.XGBoosterSaveModelToBuffer(self._handle, form, ctypes.byref(length), ctypes.byref(data)))
        return ctypes.string_at(data, length.value)

    def margins(self, matrix: NDArray[Any], start: int = 0, end: int = 0) -> NDArray[np.float32]:
        """Raw scores of an (n, width) matrix of float32 or float64, flat, from the iterations of a range (0, 0: all)."""
        data = self.checked(matrix)
        return _made(self._c.XGBoosterPredictFromDense, self._handle, _described(data), _options(_MARGIN, start, end), None)

    def contributions(self, matrix: Floats) -> NDArray[np.float32]:
        """TreeSHAP of an (n, width) matrix, flat, the base value last of each row and output."""
        data, held = self.checked(matrix), ctypes.c_void_p()
        _check(self._c.XGDMatrixCreateFromDense(_described(data), _DENSE, ctypes.byref(held)))
        try:
            return _made(self._c.XGBoosterPredictFromDMatrix, self._handle, held, _options(_CONTRIBUTIONS, 0, 0))
        finally:
            self._c.XGDMatrixFree(held)

    def checked(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """An (n, width) matrix as it can be handed over; ValueError for another."""
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise ValueError(f"expected {self.width} encoded columns, got an array of shape {matrix.shape}")
        return np.ascontiguousarray(matrix)


def _made(function: Any, *arguments: Any) -> NDArray[np.float32]:
    """What a function predicts, copied: the library's memory is the calling thread's until its next call."""
    shape, rank, out = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
    _check(function(*arguments, ctypes.byref(shape), ctypes.byref(rank), ctypes.byref(out)))
    size = math.prod(shape[: rank.value])
    return np.ctypeslib.as_array(out, (size,)).copy() if size else np.empty(0, dtype=np.float32)


@lru_cache(maxsize=1_024)
def _options(what: int, start: int, end: int) -> bytes:
    span = f'"iteration_begin": {start}, "iteration_end": {end}'
    return f'{{"type": {what}, "training": false, {span}, "missing": NaN, "strict_shape": false, "cache_id": 0}}'.encode()


def _described(matrix: NDArray[Any]) -> bytes:
    """NumPy's array interface as JSON: how the library is told where an array lies. The array must outlive the call."""
    rows, columns = matrix.shape
    place, kind = matrix.ctypes.data, matrix.dtype.str
    return (
        f'{{"data": [{place}, true], "shape": [{rows}, {columns}], "strides": null, "typestr": "{kind}", "version": 3}}'.encode()
    )
