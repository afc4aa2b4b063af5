"""Writes the calls that follow an issue's advice, ready to be sent, into the issue's evidence."""

import json
from typing import Any

from coreplex.dataset.table import DatasetVersion

SENTINELS = "sentinel_values"


def attach(version: DatasetVersion) -> None:
    """Puts `graphql` and `rest` into the evidence of each issue that one call settles."""
    for issue in version.quality["issues"]:
        call = _call(version, issue)
        if call is not None:
            issue["evidence"] = {**issue["evidence"], **call}


def target_warnings(version: DatasetVersion, target: str) -> list[str]:
    """What an experiment on the version is warned of when its target has suspected sentinels: they are trained on as values.

    A cap looks the same, so nothing is left out on suspicion.
    """
    found = [i for i in version.quality["issues"] if i["kind"] == SENTINELS and i["column"] == target]
    return [_warning(target, issue["evidence"], issue["affected_rows"], version.row_count) for issue in found]


def _warning(target: str, evidence: dict[str, Any], cells: int, rows: int) -> str:
    others, rest = evidence["others"], evidence["rest"]
    return (
        f"The target {target!r} holds {_counted(evidence)}, far outside the rest ({others['min']} to {others['max']}), in "
        f"{cells:,} of {rows:,} rows. They are trained on and scored as values. If they stand for missing ones, train on the "
        f"version that this call makes: {evidence['graphql']} (REST: POST {rest['path']})."
    )


def _counted(evidence: dict[str, Any]) -> str:
    return " and ".join(f"{value} ({count:,} times)" for value, count in evidence["counts"].items())


def _call(version: DatasetVersion, issue: dict[str, Any]) -> dict[str, Any] | None:
    name, evidence = issue["column"], issue["evidence"]
    column = f"name: {json.dumps(name)}"
    if issue["kind"] in (SENTINELS, "missing_words") and "values" in evidence:
        columns = f"{column}, values: {json.dumps(evidence['values'])}"
        return _both(version, "markMissing", columns, "missing", {"missing_values": {name: evidence["values"]}})
    if evidence.get("read_as") == "missing":
        return _both(version, "overrideColumnTypes", f"{column}, missingValues: []", "columns", {"missing_values": {name: []}})
    if evidence.get("read_as") == "boolean":
        columns, body = f"{column}, type: categorical", {"column_types": {name: "categorical"}}
        return _both(version, "overrideColumnTypes", columns, "columns", body)
    return None


def _both(version: DatasetVersion, mutation: str, column: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    said = {"version_id": str(version.id), **body}
    made = f'{mutation}(input: {{versionId: "{version.id}", columns: [{{{column}}}]}})'
    return {
        "graphql": f"mutation {{ {made} {{ version {{ id }} }} }}",
        "rest": {"method": "POST", "path": f"/api/datasets/{version.dataset_id}/{path}", "body": said},
    }
