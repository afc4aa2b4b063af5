"""Entry points of the child process (`coreplex.engines.child`): JSON in, JSON out, the heavy imports inside.

The caller gives a temporary destination and renames it; nothing here deletes or replaces a file the caller did not
name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coreplex.engines.child import Report
    from coreplex.engines.tabular.schema import ColumnType


def ingest(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """Reads, profiles and judges an upload.

    request: `source`, `filename`, `destination`, optional `overrides` {column: type}, `missing` {column: values},
    `everywhere` (values missing in all columns), `force`, `schema` (of a stored table that is read again), `sheet` (of
    a workbook), `scratch` (a folder for what is unpacked), `unpacked_bytes` (how much that may be), `left_out` (columns
    of Parquet that stay behind).

    Returns `schema`, `row_count`, `column_count`, `size_bytes`, `format`, `sheet`, `profile`, `quality`.
    """
    from coreplex.engines.tabular.profile.table_profile import profile_table
    from coreplex.engines.tabular.quality.assessment import assess
    from coreplex.engines.tabular.read.interface import Limits
    from coreplex.engines.tabular.read.table import read_table
    from coreplex.engines.tabular.schema import TableSchema

    previous = TableSchema.from_json(request["schema"]) if request.get("schema") else None
    report.progress(0.05, "reading the file")
    reading = read_table(
        Path(request["source"]),
        request["filename"],
        Path(request["destination"]),
        overrides=_types(request.get("overrides") or {}),
        missing=request.get("missing"),
        everywhere=request.get("everywhere") or (),
        force=bool(request.get("force")),
        left_out=request.get("left_out") or (),
        limits=Limits(unpacked_bytes=request.get("unpacked_bytes") or Limits.unpacked_bytes),
        previous=previous,
        sheet=request.get("sheet"),
        scratch=Path(request["scratch"]) if request.get("scratch") else None,
    )
    report.progress(0.6, f"profiling {reading.row_count:,} rows")
    facts = profile_table(reading.path, reading.schema)
    report.progress(0.9, "judging quality")
    quality = assess(facts, reading.findings)
    return {
        "schema": reading.schema.to_json(),
        "row_count": reading.row_count,
        "column_count": len(reading.schema),
        "size_bytes": reading.path.stat().st_size,
        "format": reading.format,
        "sheet": reading.sheet,
        "profile": facts,
        "quality": quality,
    }


def export(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """Writes a stored table for download. request: `table`, `schema`, `format`, `destination`. Returns `size_bytes`."""
    from coreplex.engines.tabular.schema import TableSchema
    from coreplex.engines.tabular.write import export as writer

    destination = Path(request["destination"])
    report.progress(0.05, f"writing {request['format']}")
    writer.export(Path(request["table"]), TableSchema.from_json(request["schema"]), request["format"], destination)
    return {"size_bytes": destination.stat().st_size}


def append(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """Writes a stored table with further rows below it, as Parquet.

    request: `table`, `schema`, `rows` (JSON lines, `{"inputs": {…}, "outcome": …}`), `target` (the column that the outcome is
    of), `destination`, `scratch` (a folder). Returns `appended` and `left_out`, of the rows.
    """
    from coreplex.engines.tabular.schema import TableSchema
    from coreplex.engines.tabular.write import append as writer

    report.progress(0.05, "appending rows")
    table, rows, destination, scratch = (Path(request[name]) for name in ("table", "rows", "destination", "scratch"))
    schema = TableSchema.from_json(request["schema"])
    appended, left_out = writer.append(table, schema, rows, request["target"], destination, scratch)
    return {"appended": appended, "left_out": left_out}


def _types(overrides: Mapping[str, str]) -> "dict[str, ColumnType]":
    from coreplex.engines.tabular.schema import ColumnType
    from coreplex.errors.tree import Invalid, Message

    found: dict[str, ColumnType] = {}
    for name, kind in overrides.items():
        try:
            found[name] = ColumnType(kind)
        except ValueError:
            raise Invalid.field(
                Message(
                    "unknown_column_type",
                    "There is no column type {type!r}; use one of {choices}.",
                    type=kind,
                    choices=list(ColumnType),
                ),
                "overrides",
                name,
            ) from None
    return found
