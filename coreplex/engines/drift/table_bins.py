"""The entry point of a child that puts the columns of a stored table in bins, for models from before training did.

python -m coreplex.engines.child coreplex.engines.drift.table_bins:run
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coreplex.engines.drift import layout
from coreplex.engines.encoding.choice import wordy_as_text
from coreplex.engines.messages import Listener
from coreplex.engines.tabular import frame
from coreplex.engines.tabular.schema import TableSchema


def run(request: Mapping[str, Any], _report: Listener) -> dict[str, Any]:
    """Request: table, schema, and the columns to leave out. Returns {"features"}, as `layout.Feature.to_json` has them."""
    schema = TableSchema.from_json(request["schema"])
    columns = [column for column in schema if column.name not in request["without"]]
    table = frame.load(Path(request["table"]), schema).select([column.name for column in columns])
    return {"features": [one.to_json() for one in layout.of_table(table, wordy_as_text(columns, table))]}
