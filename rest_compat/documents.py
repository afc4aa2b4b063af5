"""Documents as REST spells them, out of the typed fields of the contract: rows become columns, and names with values objects.

Each function also takes what `response_schema` puts in place of values, from which OpenAPI is derived.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rest_compat.response_schema import Listed, Typed, schema_of

Found = dict[str, Any]
FOLDS = "Mean and deviation of each metric over the folds."
PROMISES = "What each metric will be on a new holdout."


def columns(rows: Sequence[Mapping[str, Any]], *names: str) -> dict[str, list[Any]]:
    """Rows as lists side by side."""
    return {name: [row[name] for row in rows] for name in names}


def by_name(rows: Sequence[Mapping[str, Any]], name: str, make: Callable[[Any], Any], prefix: str = "", text: str = "") -> Found:
    """An object with a key for each row; `text` describes it, as what the rows say unless it is given."""
    if isinstance(rows, Listed):
        each = {"type": "object", "additionalProperties": schema_of(make(rows[0])), "description": text or rows.text}
        return Typed({**each, "nullable": rows.nullable})
    return {f"{prefix}{row[name]}": make(row) for row in rows}


def with_word(rows: Sequence[Found], name: str, word: str) -> Sequence[Found]:
    """For OpenAPI: a word of REST's own beside those of the contract."""
    if isinstance(rows, Listed):
        said = rows[0][name].schema
        rows[0][name] = Typed({**said, "enum": [*said["enum"], word]})
    return rows


def text(found: Any) -> Any:
    """A text, empty where there is nothing to say."""
    if isinstance(found, Typed):
        return Typed({"type": "string", "description": found.schema["description"]})
    return found or ""


def sentence(notice: Mapping[str, Any] | None) -> Any:
    """What a notice says, if there is one."""
    if isinstance(notice, Typed):
        return Typed({"type": "string", "description": notice.schema["description"], "nullable": notice.schema["nullable"]})
    return None if notice is None else notice["message"]


def sentences(notices: Sequence[Mapping[str, Any]]) -> Any:
    """What notices say: REST has no words for programs beside it."""
    return like(notices, [Typed({"type": "string"}) if isinstance(notices, Listed) else one["message"] for one in notices])


def present(found: Mapping[str, Any]) -> Found:
    """Without what there is not: REST has no key for it."""
    return {name: value for name, value in found.items() if value is not None}


def maybe(found: Any, make: Callable[[Any], Any]) -> Any:
    """`make(found)`, of nothing nothing."""
    return None if found is None else _as(found, make(found), _nullable(found))


def optional(found: Any, made: Any) -> Any:
    """What is made of something that need not be there."""
    return _as(found, made, nullable=True)


def _as(found: Any, made: Any, nullable: bool) -> Any:
    """For OpenAPI what was made is described as what it was made of."""
    if isinstance(found, Listed) and isinstance(made, list):
        return Listed(made, found.text, nullable)
    if isinstance(made, Typed):
        return Typed({**made.schema, "nullable": nullable}, made)
    if isinstance(found, Typed | Listed):
        text = found.text if isinstance(found, Listed) else found.schema.get("description", "")
        return Typed({"description": text, "nullable": nullable, "members": True}, made)
    return made


def _nullable(found: Any) -> bool:
    return found.nullable if isinstance(found, Listed) else isinstance(found, Typed) and found.schema.get("nullable", False)


def model(found: Found) -> Found:
    """A model, in a list (its metrics) or by itself (also how they were over the folds, and will be)."""
    metrics = found["metrics"]
    if metrics and "fold_mean" in metrics[0]:
        judged = _kept(metrics, "fold_mean")
        found["cv_metrics"] = by_name(judged, "name", lambda one: {"mean": one["fold_mean"], "std": one["fold_std"]}, text=FOLDS)
        promised = _kept(metrics, "interval")
        intervals = [{"metric": one["name"], "value": one["value"], **one["interval"]} for one in promised]
        found["metric_intervals"] = like(metrics, intervals, PROMISES)
    elif not metrics and "threshold" in found:
        found["cv_metrics"], found["metric_intervals"] = {}, []
    found["metrics"] = values(metrics)
    return found


def experiment(found: Found) -> Found:
    """An experiment: the metric that ranks is an empty text before there is one, and warnings are sentences."""
    found["warnings"] = sentences(found["warnings"])
    found["sort_metric"] = text(found["sort_metric"])
    return found


def batch(found: Found) -> Found:
    """A batch of predictions: warnings are sentences."""
    found["warnings"] = sentences(found["warnings"])
    odd = found["column_warnings"]
    found["column_warnings"] = like(odd, [present(one) for one in odd])
    return found


def job(found: Found) -> Found:
    """A job, and what came of it. Those that callers see are given nothing but the thing they work on."""
    described = isinstance(found, Typed)
    found["payload"] = Typed({"type": "object", "description": "What it was given."}) if described else {}
    if not described and found["result"] is not None:
        found["result"] = present(found["result"])
    return found


def values(metrics: Sequence[Mapping[str, Any]]) -> Found:
    """Metrics by their names."""
    return by_name(metrics, "name", lambda one: one["value"])


def _kept(rows: Sequence[Mapping[str, Any]], name: str) -> Sequence[Mapping[str, Any]]:
    return rows if isinstance(rows, Listed) else [row for row in rows if row[name] is not None]


def like(rows: Sequence[Any], made: list[Any], text: str = "") -> list[Any]:
    """For OpenAPI: a list that is described as another."""
    return Listed(made, text or rows.text, rows.nullable) if isinstance(rows, Listed) else made


def evaluation(found: Found) -> Found:
    """A model on labelled rows that came later."""
    warnings = found["warnings"]
    return {
        **found,
        "metrics": values(found["metrics"]),
        "curves": curves(found["curves"]),
        "warnings": like(warnings, [present(one) for one in warnings]),
    }


def curves(found: Found) -> Found:
    """Curves: each with its coordinates side by side."""
    made = present(
        {
            "labels": found["labels"],
            "confusion_matrix": found["confusion_matrix"],
            "roc": maybe(found["roc"], lambda all: [_curve(one, "fpr", "tpr", "threshold") for one in all]),
            "pr": maybe(found["pr"], lambda all: [_curve(one, "recall", "precision", "threshold") for one in all]),
            "calibration": maybe(found["calibration"], lambda all: [_calibration(one) for one in all]),
            "thresholds": maybe(found["thresholds"], _thresholds),
            "residuals": maybe(found["residuals"], _residuals),
            "predicted_actual": maybe(found["predicted_actual"], lambda rows: columns(rows, "actual", "predicted", "residual")),
            "intervals": maybe(found["intervals"], lambda rows: by_name(rows, "level", lambda one: one["half_width"])),
        }
    )
    return {"kind": "regression" if "residuals" in made else "classification", **made}


def _curve(found: Found, *names: str) -> Found:
    return {"label": found["label"], **columns(found["points"], *names)}


def _calibration(found: Found) -> Found:
    error = found["expected_calibration_error"]
    bins = columns(found["bins"], "predicted", "observed", "count")
    return {"label": found["label"], **bins, "expected_calibration_error": error}


def _thresholds(rows: Sequence[Mapping[str, Any]]) -> Found:
    return by_name(rows, "metric", lambda one: {"threshold": one["threshold"], "value": one["value"]}, prefix="max_")


def _residuals(found: Found) -> Found:
    return {**found, "histogram": histogram(found["histogram"]), "quantiles": quantiles(found["quantiles"])}


def histogram(bars: Sequence[Mapping[str, Any]]) -> Found:
    """Counts, and the edges between them."""
    return {
        "counts": [bar["count"] for bar in bars],
        "edges": [*(bar["lower"] for bar in bars[:1]), *(bar["upper"] for bar in bars)],
    }


def quantiles(rows: Sequence[Mapping[str, Any]]) -> Found:
    """Values by the share of rows below."""
    return by_name(rows, "probability", lambda one: one["value"])


def explanation(found: Found) -> Found:
    """What a model goes by."""
    importance = found["feature_importance"]
    if not isinstance(importance, Listed) and found["method"] != "permutation":
        importance = [{name: value for name, value in one.items() if name != "std"} for one in importance]
    found["error"] = sentence(found["error"])
    return {**present(found), "feature_importance": importance, "shap": maybe(found["shap"], _shap)}


def _shap(found: Found) -> Found:
    bases = found["base_values"]
    several = len(bases) > 1
    made = {
        **found,
        **columns(found["features"], "feature", "mean_abs"),
        "base_value": bases if several else bases[0],
        "sample": [_explained(one, several or isinstance(bases, Listed)) for one in found["sample"]],
    }
    made["features"] = made.pop("feature")
    del made["base_values"]
    if isinstance(bases, Listed):
        made["base_value"] = Typed({"type": ["number", "array"], "items": {"type": "number"}, "description": bases.text})
    elif found["method"] != "sampling":
        del made["mean_std_error"]
    return made


def _explained(row: Found, of_class: bool) -> Found:
    parts = columns(row["contributions"], "value", "contribution")
    made: Found = {"values": parts["value"], "contributions": parts["contribution"]}
    return {**made, "class": row["class"]} if of_class else made


def answer(found: Found) -> Found:
    """The answer for a row."""
    made = {name: value for name, value in found.items() if value is not None}
    made.setdefault("prediction", None)
    if "probabilities" in made:
        made["probabilities"] = _shares(made["probabilities"])
    if "explanation" in made:
        said = made["explanation"]
        made["contributions"] = optional(said["contributions"], [_part(one) for one in said["contributions"]])
        made["residual"] = optional(said["residual"], said["residual"])
        made["explanation"] = maybe(said, _why)
    return made


def _shares(rows: Sequence[Found]) -> Found:
    """Classes as keys, which are texts."""
    if isinstance(rows, Listed):
        return by_name(rows, "label", lambda one: one["probability"])
    return {one["label"] if one["label"].__class__ is str else _key(one["label"]): one["probability"] for one in rows}


def _key(label: Any) -> str:
    return str(label).lower() if label.__class__ is bool else str(label)


def _part(found: Found) -> Found:
    return {name: value for name, value in found.items() if name != "std_error" or value is not None}


def _why(said: Found) -> Found:
    return {name: value for name, value in said.items() if name not in {"contributions", "residual"} and value is not None}
