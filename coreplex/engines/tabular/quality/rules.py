"""Finds issues in a profile, by one small rule each: when it is one, how bad, and the sentence that says what to do."""

from collections.abc import Callable, Iterator
from typing import Any

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.schema import SET_BY_USER, ColumnType

MANY_LEVELS = 100
_CLOSE = 0.95
_SAME = 0.9995
Facts = dict[str, Any]


def column_findings(column: Facts, rows: int) -> Iterator[Finding]:
    """The issues of one column (its entry of a profile) of a table of `rows` rows. An empty or constant one has no
    other.
    """
    for final in (_empty, _constant):
        found = final(column, rows)
        if found:
            yield found
            return
    for rule in _RULES:
        found = rule(column, rows)
        if found:
            yield found


def _empty(column: Facts, rows: int) -> Finding | None:
    if column["missing_count"] < rows:
        return None
    return Finding(
        "empty_column",
        "high",
        f"Column {column['name']!r} is empty. Leave it out.",
        column=column["name"],
        evidence={"missing_count": rows},
        affected_rows=rows,
    )


def _constant(column: Facts, rows: int) -> Finding | None:
    if column["unique_count"] != 1 or rows < 2:
        return None
    holes = column["missing_count"]
    value = column["sample_values"][0] if column["sample_values"] else None
    also = f" or is missing ({column['missing_pct']:.1f} %)" if holes else ""
    severity: Severity = "low" if holes else "medium"
    message = (
        f"Column {column['name']!r} always holds {value!r}{also}, so it "
        f"{'tells little' if holes else 'tells nothing'}. Leave it out unless that matters."
    )
    return Finding(
        "constant_column", severity, message, column=column["name"], evidence={"value": value}, affected_rows=rows - holes
    )


def _missing(column: Facts, rows: int) -> Finding | None:
    share = column["missing_pct"]
    if not column["missing_count"]:
        return None
    severity: Severity = "high" if share >= 50 else "medium" if share >= 10 else "low"
    advice = {
        "high": "Find out why, or leave the column out",
        "medium": "Find out whether a reason is behind it; models get a marker for missing values",
        "low": "They are filled in or marked during training",
    }[severity]
    message = f"Column {column['name']!r} lacks {column['missing_count']:,} of its values ({share:.1f} %). {advice}."
    return Finding(
        "missing_values",
        severity,
        message,
        column=column["name"],
        evidence={"missing_count": column["missing_count"]},
        affected_rows=column["missing_count"],
    )


def _id_like(column: Facts, rows: int) -> Finding | None:
    if column["type"] != ColumnType.id or column["reason"] == SET_BY_USER:
        return None
    message = (
        f"Column {column['name']!r} looks like a key ({column['unique_count']:,} different values in {rows:,} "
        "rows). It is not used for training; set its type if it is not one."
    )
    return Finding(
        "id_like_column",
        "low",
        message,
        column=column["name"],
        evidence={"unique_count": column["unique_count"]},
        affected_rows=rows,
    )


def _cardinality(column: Facts, rows: int) -> Finding | None:
    count = column["unique_count"]
    if column["type"] != ColumnType.categorical or (count <= MANY_LEVELS and (count <= 20 or count < 0.5 * rows)):
        return None
    severity: Severity = "medium" if count > 0.5 * rows else "low"
    message = (
        f"Column {column['name']!r} has {count:,} different categories. Group the rare ones, or set its type "
        "to text or id if it is one."
    )
    return Finding(
        "high_cardinality",
        severity,
        message,
        column=column["name"],
        evidence={"unique_count": count},
        affected_rows=rows - column["missing_count"],
    )


def _outliers(column: Facts, rows: int) -> Finding | None:
    found = column.get("outliers") or {"count": 0}
    infinite = column.get("infinite_count", 0)
    if infinite:
        message = (
            f"{infinite:,} values of {column['name']!r} are infinite. They come from a division by zero or a "
            "number too large; correct or remove them."
        )
        return Finding(
            "outliers",
            "high" if infinite > 0.01 * rows else "medium",
            message,
            column=column["name"],
            evidence={"infinite_count": infinite},
            affected_rows=infinite,
        )
    if not found["count"] or column["type"] == ColumnType.id or column["unique_count"] < 10:
        return None
    low, high = found["low"], found["high"]
    severity: Severity = "medium" if found["count"] >= 0.01 * rows else "low"
    message = (
        f"{found['count']:,} values of {column['name']!r} lie far outside the usual range ({low:.4g} to "
        f"{high:.4g}; smallest {found['min']:.4g}, largest {found['max']:.4g}). Check whether they are "
        "errors."
    )
    return Finding("outliers", severity, message, column=column["name"], evidence=dict(found), affected_rows=found["count"])


def _skewed(column: Facts, rows: int) -> Finding | None:
    skew = column.get("skew")
    if skew is None or abs(skew) < 3 or column["unique_count"] < 10 or column["type"] == ColumnType.id:
        return None
    side = "a few very large" if skew > 0 else "a few very small"
    advice = "A logarithm often helps linear models" if skew > 0 and not column["negatives"] else "Check its extremes"
    message = f"The values of {column['name']!r} are lopsided: {side} ones among many others (skewness {skew:.1f}). {advice}."
    return Finding("skewed_distribution", "low", message, column=column["name"], evidence={"skew": skew})


def _variants(column: Facts, rows: int) -> Finding | None:
    groups = column.get("texture", {}).get("variants")
    if not groups or column["type"] in (ColumnType.text, ColumnType.id):
        return None
    shown = " / ".join(repr(value) for value in groups[0][:3])
    message = (
        f"Column {column['name']!r} writes the same thing in several ways, for example {shown}. Make case and "
        "spaces the same, or they count as different categories."
    )
    return Finding("whitespace_or_case_variants", "medium", message, column=column["name"], evidence={"variants": groups[:10]})


def _words(column: Facts, rows: int) -> Finding | None:
    """Missing words that were kept as categories, since nobody said that they are missing."""
    found = column.get("words_for_nothing")
    if not found:
        return None
    said = ", ".join(f"{word!r} ({count:,})" for word, count in list(found.items())[:3])
    message = (
        f"Cells of {column['name']!r} say {said}: kept as a category of its own, as `None` may mean no garage. If it means that "
        "nothing is known, mark it as missing."
    )
    evidence = {"words": found, "read_as": "category", "values": list(found)}
    return Finding("missing_words", "low", message, column=column["name"], evidence=evidence, affected_rows=sum(found.values()))


# Nearly of a type: kind of the issue, what the other cells are, the type to order.
_NEARLY = {
    "number": ("mixed_types", "numbers", "float"),
    "date": ("invalid_dates", "dates", "datetime"),
    "boolean": ("mixed_types", "yes and no", "boolean"),
}


def _mixed(column: Facts, rows: int) -> Finding | None:
    almost = column.get("texture", {}).get("almost")
    if not almost or column["reason"] == SET_BY_USER:
        return None
    evidence = {"examples": almost["examples"], "format": almost["format"]}
    shown = [repr(str(text)[:40]) for text in almost["examples"][:3]]
    if almost["kind"] == "formats":
        message = (
            f"The dates of {column['name']!r} are written in {len(almost['format'])} ways, such as {' and '.join(shown)}; so it "
            "was kept as text. Write them all alike, best as YYYY-MM-DD."
        )
        return Finding("mixed_dates", "medium", message, column=column["name"], evidence=evidence, affected_rows=almost["cells"])
    if almost["kind"] == "units":
        message = (
            f"The numbers of {column['name']!r} have several units, such as {' and '.join(shown)}; so it was kept as text. "
            "Convert them to one unit, or set the type to float: the cells of all but the commonest unit then count as missing."
        )
        return Finding("mixed_units", "medium", message, column=column["name"], evidence=evidence, affected_rows=almost["cells"])
    kind, what, wanted = _NEARLY[almost["kind"]]
    message = (
        f"Column {column['name']!r} holds {what}, except {almost['cells']:,} cells such as {', '.join(shown)}; so it "
        f"was kept as text. Correct them, or set the type to {wanted}: those cells then count as missing."
    )
    rare: Severity = "low" if almost["kind"] == "boolean" else "high"
    severity: Severity = rare if almost["cells"] <= 0.05 * rows else "medium"
    return Finding(kind, severity, message, column=column["name"], evidence=evidence, affected_rows=almost["cells"])


_RULES: tuple[Callable[[Facts, int], Finding | None], ...] = (
    _missing,
    _id_like,
    _cardinality,
    _outliers,
    _skewed,
    _variants,
    _words,
    _mixed,
)


def table_findings(profile: Facts) -> Iterator[Finding]:
    """The issues of the table as a whole: repeated rows, and columns that say the same."""
    repeated = profile["duplicates"]
    if repeated["count"]:
        severity: Severity = "high" if repeated["pct"] >= 20 else "medium" if repeated["pct"] >= 1 else "low"
        message = (
            f"{repeated['count']:,} rows ({repeated['pct']:.1f} %) repeat an earlier row exactly. Remove them if "
            "they are not separate events."
        )
        yield Finding("duplicate_rows", severity, message, column=None, evidence=dict(repeated), affected_rows=repeated["count"])
    distinct = {column["name"]: column["unique_count"] for column in profile["columns"]}
    for pair in profile["correlations"]:
        if abs(pair["value"]) >= _CLOSE:
            yield _together(pair, distinct)


def _together(pair: Facts, distinct: dict[str, int]) -> Finding:
    a, b, value = pair["column_a"], pair["column_b"], pair["value"]
    same = abs(value) >= _SAME and (pair["method"] in ("pearson", "spearman") or distinct[a] == distinct[b])
    if same:
        said = "say the same thing; one of them is enough"
    elif pair["method"] in ("pearson", "spearman"):
        said = f"move together almost completely ({value:.2f}); one of them may be enough"
    else:
        said = f"nearly settle each other ({value:.2f}); one of them may be enough"
    message = f"Columns {a!r} and {b!r} {said}. Explanations share their effect between both."
    return Finding("high_correlation", "medium" if same else "low", message, column=b, evidence=dict(pair))


def sentinel_findings(profile: Facts) -> Iterator[Finding]:
    """A finding for each column with sentinels: those sure by themselves, and those sure in another column."""
    columns = [column for column in profile["columns"] if column.get("sentinels") and column["type"] != ColumnType.id]
    proven = {one["value"] for column in columns for one in column["sentinels"] if one["sure"]}
    for column in columns:
        found = [one for one in column["sentinels"] if one["value"] in proven]
        if found:
            yield _sentinel(column, found)


def _sentinel(column: Facts, found: list[dict[str, Any]]) -> Finding:
    values = [one["value"] for one in found]
    cells = sum(one["count"] for one in found)
    low, high = found[0]["low"], found[0]["high"]
    counted = " and ".join(f"{one['value']} ({one['count']:,})" for one in found)
    message = (
        f"Column {column['name']!r} repeats {counted}, far outside the rest ({low} to {high}): a code for missing values, "
        "or a cap? If it is a code, mark it as missing; until then it counts as a value."
    )
    evidence = {"values": values, "counts": {one["value"]: one["count"] for one in found}, "others": {"min": low, "max": high}}
    return Finding("sentinel_values", "medium", message, column=column["name"], evidence=evidence, affected_rows=cells)
