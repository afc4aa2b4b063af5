"""The calls that follow an issue's advice, ready to be sent: they stand in the issue's evidence."""

import json
from typing import Any

from coreplex.dataset.table import DatasetVersion


def attach(version: DatasetVersion) -> None:
    """Puts `graphql` and `rest` into the evidence of each issue that one call settles."""
    for issue in version.quality["issues"]:
        call = _call(version, issue)
        if call is not None:
            issue["evidence"] = {**issue["evidence"], **call}


def _call(version: DatasetVersion, issue: dict[str, Any]) -> dict[str, Any] | None:
    name, evidence = issue["column"], issue["evidence"]
    column = f"name: {json.dumps(name)}"
    if issue["kind"] in ("sentinel_values", "missing_words") and "values" in evidence:
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
