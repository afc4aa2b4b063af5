"""A model as a person takes it along: its bundle, what it wants to be given, hashes, and how to check and load them.

The same model makes the same bytes. The bundle is packed already, so the parts are stored as they are and read piece by piece.
"""

import asyncio
import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from coreplex.artifact.made_files import label, made_once
from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.engines.scoring.input_schema import as_document
from coreplex.errors.disk import refuse_when_full
from coreplex.model.table import Model
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import PIECE_BYTES, StagedFile
from coreplex.platform.storage import disk_errors, gone_on_failure

BUNDLE, SCHEMA, MANIFEST, SUMS, README = "model.zip", "schema.json", "manifest.json", "SHA256SUMS", "README.md"
_WHEN = (1980, 1, 1, 0, 0, 0)
_INDENTED = orjson.OPT_INDENT_2
_READ_ME = """# {name}

A {algorithm} model that predicts `{target}`, taken along from coreplexml-server.

| File | What it is |
|---|---|
| `model.zip` | the model itself: data only, nothing that runs |
| `schema.json` | the columns it reads, with ranges and categories, what it answers, and a JSON Schema of one row |
| `manifest.json` | which model this is, the versions it was trained with, and the size and SHA-256 of each file |
| `SHA256SUMS` | the same hashes for `sha256sum` |

Check that nothing has changed:

```sh
sha256sum -c SHA256SUMS
```

Load it and ask it, where `coreplexml-server` of the same version is installed:

```python
from coreplex.engines.scoring.scorer import Scorer

scorer = Scorer.load("model.zip", "{sha256}")
row = {row}
predictions, warnings = scorer.predict_rows([row])
print(predictions[0], warnings)
```
"""


async def offer(services: Services, grant: Grant, model: Model, bundle: Artifact, described: Mapping[str, Any]) -> StagedFile:
    """The model as a ZIP, called after it. Raises Damaged, QuotaExceeded, CallerLeft when the client hangs up meanwhile."""
    parts = _parts(model, bundle, described)

    async def make() -> Path:
        return await asyncio.to_thread(_write, services.staging.new_path(), await whole(services.storage, bundle), parts)

    written = await made_once(services, grant, b"".join(parts.values()), make)
    return await asyncio.to_thread(
        services.staging.offer_copy,
        written,
        owner_id=grant.user_id,
        filename=f"{label(model.name, 'model')}.zip",
        content_type="application/zip",
        sha256=written.name,
    )


def _parts(model: Model, bundle: Artifact, described: Mapping[str, Any]) -> dict[str, bytes]:
    """The parts beside the bundle, in their order."""
    parts = {SCHEMA: orjson.dumps(as_document(described), option=_INDENTED), README: _read_me(model, bundle, described)}
    files = {BUNDLE: {"sha256": bundle.sha256, "size_bytes": bundle.size_bytes}}
    files |= {name: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)} for name, data in parts.items()}
    manifest = {"model": _named(model), "versions": described["versions"], "files": files}
    parts[MANIFEST] = orjson.dumps(manifest, option=_INDENTED)
    hashes = {name: one["sha256"] for name, one in files.items()} | {MANIFEST: hashlib.sha256(parts[MANIFEST]).hexdigest()}
    return {SUMS: "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode(), **parts}


def _named(model: Model) -> dict[str, Any]:
    """Which model it is."""
    return {
        "id": str(model.id),
        "name": model.name,
        "algorithm": model.algo,
        "engine": model.engine,
        "target_column": model.target_column,
        "problem_type": model.problem_type,
        "metrics": model.metrics,
        "created_at": model.created_at,
    }


def _read_me(model: Model, bundle: Artifact, described: Mapping[str, Any]) -> bytes:
    row = {field["name"]: field["example"] for field in described["fields"]}
    said = {"name": model.name, "algorithm": model.algo, "target": model.target_column}
    return _READ_ME.format(**said, sha256=bundle.sha256, row=repr(row)).encode("utf-8", "replace")


def _write(path: Path, bundle: Path, parts: Mapping[str, bytes]) -> Path:
    """The ZIP, in a thread."""
    refuse_when_full(path.parent)
    with disk_errors(), gone_on_failure(path), zipfile.ZipFile(path, "w") as box:
        for name, data in parts.items():
            box.writestr(_entry(name, len(data)), data)
        with bundle.open("rb") as source, box.open(_entry(BUNDLE, bundle.stat().st_size), "w") as target:
            shutil.copyfileobj(source, target, PIECE_BYTES)
    return path


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.external_attr, info.file_size = 0o644 << 16, size
    return info
