"""The quality of a version for a target: the issues found at the upload, and the diagnosis of the column to be predicted."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from coreplex.dataset.diagnosis import Diagnoses, Found
from coreplex.dataset.service import Documents
from coreplex.engines.automl import creation
from coreplex.engines.diagnosis.request import DiagnosisRequest
from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.profile import target_suggestion
from coreplex.engines.tabular.quality import assessment
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.nearest import nearest
from coreplex.errors.tree import Busy, DomainError, Invalid
from coreplex.platform.services import Services

log = structlog.get_logger()

WAIT_SECS = 25.0
"""Less than the published client waits."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A version's quality: `quality` as stored with it; `diagnosis` of the target, where one was named and can be learned."""

    quality: dict[str, Any]
    diagnosis: Found | None = None


async def of_target(services: Services, version_id: UUID, documents: Documents, target: str, problem_type: str | None) -> Judged:
    """The quality that speaks of one target. A target that cannot be learned is an issue that says why.

    Raises Invalid for an unknown column, Busy when the diagnosis cannot be made now.
    """
    schema = TableSchema.from_json(documents.table_schema)
    if schema.get(target) is None:
        raise _unknown(target, schema.names)
    profile = documents.profile
    facts = next(column for column in profile["columns"] if column["name"] == target)
    identifier = [
        Finding("target_is_identifier", "high", said, column=target) for said in creation.target_warnings(profile, schema, target)
    ]
    question = DiagnosisRequest(target, problem_type or target_suggestion.problem_type(facts, profile["row_count"]))
    try:
        creation.check_creation(profile, schema, target, question.problem_type)
    except Invalid as error:
        issue = Finding("unusable_target", "high", error.message, column=target)
        return Judged(assessment.for_target(documents.quality, profile, target, [*identifier, issue]))
    found = await _ask(services, version_id, question)
    issues = [*identifier, *(Finding(**issue) for issue in found["issues"])]
    return Judged(assessment.for_target(documents.quality, profile, target, issues), found)


async def _ask(services: Services, version_id: UUID, question: DiagnosisRequest) -> Found:
    try:
        return await Diagnoses.of(services).ask(version_id, question, WAIT_SECS)
    except (TimeoutError, DomainError) as error:
        log.warning("diagnosis_failed", version_id=str(version_id), error=repr(error), detail=getattr(error, "detail", ""))
        raise Busy("The target could not be looked at now: the server is busy. Try again shortly.", retry_after=5) from None


def _unknown(target: str, names: list[str]) -> Invalid:
    close = nearest(target, names)
    hint = f"did you mean {close!r}?" if close else f"it has {', '.join(names[:20])}{', …' * (len(names) > 20)}."
    return Invalid.field(f"There is no column {target!r} in this version; {hint}", "target")
