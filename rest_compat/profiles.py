"""What is known of a table as REST spells it, out of the typed fields of the contract. See `documents`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_compat.documents import Found, by_name, histogram, like, maybe, optional, present, quantiles, sentences
from rest_compat.response_schema import Listed, Typed


def quality(found: Found) -> Found:
    """How good a table is: issues with their evidence, and what was found for a target."""
    made = {**found, "issues": like(found["issues"], [_issue(one) for one in found["issues"]])}
    if "diagnosis" in found:
        made["diagnosis"] = maybe(found["diagnosis"], _diagnosis)
    return made


def _issue(found: Found) -> Found:
    """A call that mends it is part of the evidence."""
    made = {name: value for name, value in found.items() if name != "fix"}
    evidence = _evidence(found["evidence"])
    return {**made, "evidence": evidence if isinstance(evidence, Typed) else {**evidence, **present(found["fix"])}}


def _evidence(facts: Sequence[Mapping[str, Any]]) -> Found:
    if isinstance(facts, Listed):
        return Typed({"type": "object", "additionalProperties": True, "description": facts.text})
    return {fact["name"]: _fact(fact) for fact in facts}


def _fact(fact: Mapping[str, Any]) -> Any:
    if fact["entries"] is not None:
        return _entries(fact["entries"])
    if fact["rows"] is not None:
        return [_entries(row["entries"]) for row in fact["rows"]]
    return next((fact[name] for name in ("values", "groups") if fact[name] is not None), fact["value"])


def _entries(entries: Sequence[Mapping[str, Any]]) -> Found:
    return {entry["key"]: entry["value"] for entry in entries}


def _diagnosis(found: Found) -> Found:
    leaks = [{**one, "evidence": _evidence(one["evidence"])} for one in found["leaks"]]
    made = {"leaks": like(found["leaks"], leaks), "dependence": maybe(found["dependence"], _dependence)}
    return {**found, **made, "unfinished": sentences(found["unfinished"])}


def _dependence(found: Found) -> Found:
    """The recommended split is told with the rows; where there is none, that alone."""
    made = {name: value for name, value in found.items() if name != "recommended"}
    best = found["recommended"]
    if best is None:
        return {**made, "strategy": None}
    return {**made, **{name: optional(value, value) for name, value in best.items()}}


def analysis(found: Found) -> Found:
    """The profile of a table."""
    pairs = [present(pair) for pair in found["correlations"]]
    columns = [_column(column) for column in found["columns"]]
    return {**found, "columns": like(found["columns"], columns), "correlations": like(found["correlations"], pairs)}


SAID = ("name", "type", "dtype", "reason", "unit", "form", "nullable")
EVERY = (*SAID, "missing_count", "missing_pct", "unique_count", "sample_values")
ENDS = ("min", "max", "median")


def _column(found: Found) -> Found:
    """What the profile knows of it; what it does not know of such a column has no key."""
    made = {name: found[name] for name in EVERY}
    if isinstance(found, Typed) or found["numbers"] is not None:
        made |= _numbers(found)
    if isinstance(found, Typed) or found["times"] is not None:
        made |= _times(found)
    if isinstance(found, Typed) or found["texts"] is not None:
        made |= _texts(found)
    return made | present({"top_values": found["top_values"]})


def _numbers(found: Found) -> Found:
    own = found["numbers"]
    if own["quantiles"] is None:
        return {"infinite_count": own["infinite_count"]}
    spread = {name: found[name] for name in (*ENDS, "mean", "std")}
    parts = {"quantiles": maybe(own["quantiles"], quantiles), "histogram": maybe(own["histogram"], _any_edges)}
    return spread | _optional({**own, **parts}, found)


def _any_edges(bars: Sequence[Mapping[str, Any]]) -> Found:
    """For OpenAPI: of numbers or of times."""
    made = histogram(bars)
    return {**made, "edges": [Typed({"type": ["number", "string"]})]} if isinstance(bars, Listed) else made


def _times(found: Found) -> Found:
    own = found["times"]
    return {name: found[name] for name in ENDS} | _optional({**own, "histogram": maybe(own["histogram"], _any_edges)}, found)


def _texts(found: Found) -> Found:
    own = found["texts"]
    length = {"min": own["min_length"], "max": own["max_length"], "mean": own["mean_length"]}
    texture = {"almost": maybe(own["nearly"], _nearly), "variants": own["variants"]}
    words = maybe(own["words_for_nothing"], lambda rows: by_name(rows, "word", lambda one: one["count"]))
    more = present({"words_mean": own["mean_words"], "words_for_nothing": words})
    return _optional({"length": length, "texture": texture, **more}, found)


def _nearly(found: Found) -> Found:
    made = {name: value for name, value in found.items() if name != "formats"}
    formats = found["formats"]
    if isinstance(formats, Listed):
        return {**made, "format": Typed({"type": ["string", "array", "null"], "items": {"type": "string"}})}
    several = found["kind"] in ("units", "formats")
    return {**made, "format": formats if several else formats[0] if formats else None}


def _optional(made: Found, found: Found) -> Found:
    """For OpenAPI: what columns of another type do not have."""
    if not isinstance(found, Typed):
        return made
    described = Typed({"description": "", "members": True})
    return {name: optional(value if isinstance(value, Typed | Listed) else described, value) for name, value in made.items()}
