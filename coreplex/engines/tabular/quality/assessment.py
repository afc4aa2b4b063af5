"""Rates a table by a score (0..100) and a list of issues that a person understands and can act on.

The score weighs completeness, uniqueness, validity and consistency. Each rule reads the profile, none reads a row.
What depends on the column to be predicted is said only when one is named: `for_target` adds what a diagnosis of it
found. An issue has `kind` (contract C.5), `severity`, `column`, `message`, `evidence`, `affected_rows`,
`affected_pct`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from coreplex.engines.tabular.findings import Finding, percent
from coreplex.engines.tabular.quality import rules

_ORDER = {"high": 0, "medium": 1, "low": 2}
_MOST_PER_KIND = 100
_INVALID = frozenset(
    ["mixed_types", "invalid_dates", "empty_column", "constant_column", "target_leak", "bad_lines", "encoding_errors"]
)
_INCONSISTENT = frozenset(
    [
        "whitespace_or_case_variants",
        "outliers",
        "high_cardinality",
        "short_lines",
        "misplaced_quotes",
        "ambiguous_dates",
        "mixed_units",
        "separator_unclear",
        "mixed_dates",
        "ambiguous_numbers",
    ]
)
_WEIGHT = {"high": 1.0, "medium": 0.6, "low": 0.25}


def assess(profile: dict[str, Any], of_reader: Sequence[Finding]) -> dict[str, Any]:
    """`{"overall_score": 0..100, "issues": [...]}` for a profiled table, gravest first; `of_reader`: what was found
    while reading it.
    """
    issues = [*of_reader]
    for column in profile["columns"]:
        issues += rules.column_findings(column, profile["row_count"])
    issues += [*rules.table_findings(profile), *rules.sentinel_findings(profile)]
    return _judged(profile, [_as_dict(issue, profile["row_count"]) for issue in issues])


def for_target(quality: Mapping[str, Any], profile: Mapping[str, Any], target: str, found: Sequence[Finding]) -> dict[str, Any]:
    """The same report with what was `found` for one target. That a feature goes together with the target is no issue."""
    kept = [issue for issue in quality["issues"] if not _with_target(issue, target)]
    return _judged(profile, [*kept, *(_as_dict(issue, profile["row_count"]) for issue in found)])


def _with_target(issue: Mapping[str, Any], target: str) -> bool:
    pair = issue["evidence"]
    return issue["kind"] == "high_correlation" and target in (pair.get("column_a"), pair.get("column_b"))


def _judged(profile: Mapping[str, Any], issues: list[dict[str, Any]]) -> dict[str, Any]:
    issues = _shortened(sorted(issues, key=lambda issue: _ORDER[issue["severity"]]))
    return {"overall_score": score(profile, issues), "issues": issues}


def _shortened(issues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most a hundred issues of one kind: a table of 5,000 empty columns needs no longer list."""
    seen: dict[str, int] = {}
    kept: list[dict[str, Any]] = []
    for issue in issues:
        kind = issue["kind"]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _MOST_PER_KIND:
            kept.append(issue)
    return kept


def _as_dict(issue: Finding, rows: int) -> dict[str, Any]:
    return {
        "kind": issue.kind,
        "severity": issue.severity,
        "column": issue.column,
        "message": issue.message,
        "evidence": issue.evidence,
        "affected_rows": issue.affected_rows,
        "affected_pct": percent(min(issue.affected_rows, rows), rows),
    }


def score(profile: Mapping[str, Any], issues: Sequence[Mapping[str, Any]]) -> float:
    """0..100: 40 % completeness, 20 % uniqueness of rows, 25 % validity, 15 % consistency. Sentinels count as missing
    values.
    """
    coded = sum(issue["affected_rows"] for issue in issues if issue["kind"] == "sentinel_values")
    cells = profile["row_count"] * profile["column_count"]
    completeness = 1 - profile["missing"]["pct"] / 100 - coded / max(cells, 1)
    uniqueness = 1 - profile["duplicates"]["pct"] / 100
    width = max(1, profile["column_count"])
    validity = 1 - _burden(issues, _INVALID, width)
    consistency = 1 - _burden(issues, _INCONSISTENT, width)
    return round(100 * (0.4 * completeness + 0.2 * uniqueness + 0.25 * validity + 0.15 * consistency), 1)


def _burden(issues: Sequence[Mapping[str, Any]], kinds: frozenset[str], width: int) -> float:
    """The share of columns in trouble, by severity; a narrow table is not condemned for one."""
    worst: dict[str, float] = {}
    for issue in issues:
        if issue["kind"] in kinds:
            key = issue["column"] or issue["kind"]
            worst[key] = max(worst.get(key, 0.0), _WEIGHT[issue["severity"]])
    return min(1.0, sum(worst.values()) / (width + 2))
