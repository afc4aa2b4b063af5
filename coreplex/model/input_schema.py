"""What a model wants to be given, read from its files: the bundle, and for the importance of columns its explanation."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Any

import orjson

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.engines.scoring.bundle import read_inputs
from coreplex.engines.scoring.input_schema import described
from coreplex.platform.services import Part, Services

MOST_KEPT = 64


class InputSchemas(Part):
    """Descriptions by the hashes of the files they were read from: files of models never change."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._kept: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    async def described(self, bundle: Artifact, explanation: Artifact | None) -> dict[str, Any]:
        """What the engine describes of a model. Raises Damaged for a file that is gone or has changed."""
        key = (bundle.sha256, explanation.sha256 if explanation else "")
        found = self._find(key)
        if found is not None:
            return found
        model = await whole(self._storage, bundle)
        reasons = await whole(self._storage, explanation) if explanation else None
        return self._keep(key, await asyncio.to_thread(_read, model, bundle.sha256, reasons))

    async def of_bundle(self, storage_key: str, sha256: str) -> dict[str, Any]:
        """The same of a bundle alone: nothing is said of how important columns are."""
        key = (sha256, "")
        found = self._find(key)
        if found is not None:
            return found
        model = await self._storage.path(storage_key)
        return self._keep(key, await asyncio.to_thread(_read, model, sha256, None))

    def _find(self, key: tuple[str, str]) -> dict[str, Any] | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: tuple[str, str], found: dict[str, Any]) -> dict[str, Any]:
        self._kept[key] = found
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found


def _read(model: Path, sha256: str, reasons: Path | None) -> dict[str, Any]:
    importance = orjson.loads(reasons.read_bytes())["feature_importance"] if reasons else []
    return described(*read_inputs(model, sha256), {one["feature"]: one["percentage"] for one in importance})
