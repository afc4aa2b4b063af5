"""What is kept of a model's out-of-fold answers so that its metrics can be estimated later, without outcomes: one small file.

manifest.json          what kind it is, on how many rows it was learned, what out-of-fold promised, calibration or error model, or
                       of which class there were too few rows
members/0/model.txt    regression: expected absolute error; members/1: expected squared error
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from coreplex.engines.estimation.class_calibration import ClassCalibration, ScarceClass
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.errors.tree import BadInput, Message

LEAST_ROWS = 50
"""Rows that must have been judged out-of-fold: of fewer nothing can be learned."""
_MOST_BYTES = 64 << 20
_ABSOLUTE, _SQUARED = "members/0/model.txt", "members/1/model.txt"


@dataclass(frozen=True, eq=False)
class Estimation:
    """`rows`: judged out-of-fold. `promised`: every metric on them. Neither calibration nor error model: too few rows, of all or
    of the class `scarce`, or it could not be learned."""

    rows: int
    promised: Mapping[str, float | None] = field(default_factory=dict)
    calibration: ClassCalibration | None = None
    errors: ErrorModel | None = None
    scarce: ScarceClass | None = None

    @property
    def kind(self) -> Literal["confidence", "errors", "none"]:
        """How it estimates: by the confidence of the answers, by a model of their errors, or not at all."""
        return "confidence" if self.calibration is not None else "errors" if self.errors is not None else "none"

    def dumps(self) -> bytes:
        """The bytes of the file."""
        manifest: dict[str, Any] = {"format": 1, "kind": self.kind, "rows": self.rows, "promised": dict(self.promised)}
        files: dict[str, bytes] = {}
        if self.calibration is not None:
            manifest["calibration"] = self.calibration.to_json()
        if self.scarce is not None:
            manifest["scarce"] = self.scarce._asdict()
        if self.errors is not None:
            manifest["errors"] = self.errors.head()
            files = {_ABSOLUTE: self.errors.absolute.text.encode(), _SQUARED: self.errors.squared.text.encode()}
        return archive.pack({"manifest.json": orjson.dumps(manifest, option=orjson.OPT_SERIALIZE_NUMPY), **files})

    @classmethod
    def loads(cls, data: bytes) -> "Estimation":
        """What `dumps` wrote. Raises BadInput for bytes that are none of it."""
        files = archive.unpack(data, most_bytes=_MOST_BYTES)
        try:
            manifest = orjson.loads(files["manifest.json"])
            calibration, head, scarce = (manifest.get(name) for name in ("calibration", "errors", "scarce"))
            return cls(
                int(manifest["rows"]),
                manifest["promised"],
                None if calibration is None else ClassCalibration.from_json(calibration),
                None if head is None else _errors(head, files),
                None if scarce is None else ScarceClass(int(scarce["code"]), int(scarce["rows"])),
            )
        except (KeyError, ValueError, TypeError) as error:
            message = Message("estimation_unreadable", "What estimates stand on cannot be read: {error}", error=str(error))
            raise BadInput(message) from error


def _errors(head: Mapping[str, Any], files: Mapping[str, bytes]) -> ErrorModel:
    absolute, squared = (LightGbm.from_files({"model.txt": files[name]}) for name in (_ABSOLUTE, _SQUARED))
    return ErrorModel(
        tuple(head["columns"]), absolute, squared, float(head["absolute_deviation"]), float(head["squared_deviation"])
    )
