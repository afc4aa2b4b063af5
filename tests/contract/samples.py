"""A good call of every root field of the schema, and what both doors make of it.

`<kind>` stands for the identifier of a thing of the world (tests/factories/world.py). A field without a sample, a row without a
field: KeyError, on purpose.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)
from httpx import AsyncClient, Response

from coreplex.platform.permissions import WRITE, Permission
from rest_compat.endpoint import Endpoint, Kind
from rest_compat.endpoints import dataset
from rest_compat.stored import operations
from rest_compat.table import TABLE, rows_of
from rest_compat.variables import binder_of
from schema.execution import ROOTS, permission_of
from tests.factories.account import PASSWORD
from tests.factories.world import ROW, TARGET, content

OWNER = {"email": "owner@example.com", "password": PASSWORD}
FILTERED = {"filter": {"projectId": "<project>"}}

SAMPLES: Mapping[str, dict[str, Any]] = {
    "session": {},
    "me": {},
    "apiKeys": {},
    "sessions": {},
    "project": {"id": "<project>"},
    "projects": {},
    "dataset": {"id": "<dataset>"},
    "datasets": FILTERED,
    "datasetVersion": {"id": "<version>"},
    "uploadTarget": {"projectId": "<project>"},
    "artifact": {"id": "<artifact>"},
    "file": {"id": "<upload>"},
    "experiment": {"id": "<experiment>"},
    "experiments": FILTERED,
    "experimentCapabilities": {},
    "model": {"id": "<model>"},
    "models": {"filter": {"projectId": "<project>", "experimentId": "<experiment>"}},
    "deployment": {"id": "<deployment>"},
    "deployments": FILTERED,
    "rollout": {"id": "<rollout>"},
    "rollouts": FILTERED,
    "abTest": {"id": "<ab_test>"},
    "abTests": FILTERED,
    "replay": {"id": "<replay>"},
    "replays": FILTERED,
    "metricChange": {"id": "<metric_change>"},
    "metricChanges": FILTERED,
    "servedModel": {"deploymentId": "<deployment>"},
    "job": {"id": "<job>"},
    "jobs": FILTERED,
    "search": {"text": "a"},
    "node": {"id": "<model>"},
    "nodes": {"ids": ["<project>", "<model>"]},
    "register": {"input": {"email": "new@example.com", "name": "New", "password": PASSWORD}},
    "verifyEmail": {"input": {"token": "x"}},
    "resendVerification": {"input": {"email": "owner@example.com"}},
    "login": {"input": OWNER},
    "logout": {},
    "forgotPassword": {"input": {"email": "owner@example.com"}},
    "resetPassword": {"input": {"token": "x", "password": PASSWORD}},
    "changeEmail": {"input": {"email": "another@example.com", "password": PASSWORD}},
    "changePassword": {"input": {"currentPassword": PASSWORD, "newPassword": "another-long-secret"}},
    "updateMe": {"input": {"name": "Grace"}},
    "endSession": {"input": {"sessionId": "<elsewhere>"}},
    "endOtherSessions": {},
    "createApiKey": {"input": {"name": "k", "scopes": ["read"], "projectId": "<project>"}},
    "revokeApiKey": {"input": {"apiKeyId": "<api_key>"}},
    "createProject": {"input": {"name": "Fresh"}},
    "updateProject": {"input": {"projectId": "<project>", "name": "Renamed"}},
    "deleteProject": {"input": {"projectId": "<project>", "force": True}},
    "addMember": {"input": {"projectId": "<project>", "email": "newcomer@example.com", "role": "viewer"}},
    "removeMember": {"input": {"projectId": "<project>", "memberId": "<member>"}},
    "changeMemberRole": {"input": {"projectId": "<project>", "memberId": "<member>", "role": "editor"}},
    "transferProject": {"input": {"projectId": "<project>", "memberId": "<member>"}},
    "archiveProject": {"input": {"projectId": "<project>"}},
    "unarchiveProject": {"input": {"projectId": "<project>"}},
    "invitation": {"token": "x"},
    "inviteMember": {"input": {"projectId": "<project>", "email": "guest@example.com", "role": "viewer"}},
    "resendInvitation": {"input": {"invitationId": "<invitation>"}},
    "revokeInvitation": {"input": {"invitationId": "<invitation>"}},
    "acceptInvitation": {"input": {"token": "x"}},
    "uploadDataset": {"input": {"projectId": "<project>", "name": "More", "uploadId": "<upload>"}},
    "overrideColumnTypes": {
        "input": {"versionId": "<version>", "datasetId": "<dataset>", "columns": [{"name": "age", "type": "float"}]}
    },
    "markMissing": {
        "input": {"versionId": "<version>", "datasetId": "<dataset>", "columns": [{"name": "plan", "values": ["pro"]}]}
    },
    "updateDataset": {"input": {"datasetId": "<dataset>", "name": "Renamed"}},
    "deleteDataset": {"input": {"datasetId": "<spare_dataset>"}},
    "checkExperiment": {
        "input": {
            "projectId": "<project>",
            "datasetVersionId": "<version>",
            "name": "Try",
            "targetColumn": TARGET,
            "problemType": "classification",
        }
    },
    "createExperiment": {
        "input": {
            "projectId": "<project>",
            "datasetVersionId": "<version>",
            "name": "Try",
            "targetColumn": TARGET,
            "problemType": "classification",
        }
    },
    "cancelExperiment": {"input": {"experimentId": "<waiting_experiment>"}},
    "stopExperiment": {"input": {"experimentId": "<waiting_experiment>"}},
    "deleteExperiment": {"input": {"experimentId": "<waiting_experiment>", "force": True}},
    "deleteModel": {"input": {"modelId": "<spare_model>"}},
    "evaluateModel": {"input": {"modelId": "<model>", "datasetVersionId": "<version>"}},
    "createDeployment": {"input": {"projectId": "<project>", "modelId": "<model>", "name": "d", "stage": "production"}},
    "updateDeployment": {"input": {"deploymentId": "<deployment>", "name": "Renamed"}},
    "promoteDeployment": {"input": {"deploymentId": "<deployment>", "toStage": "production"}},
    "rollbackDeployment": {"input": {"deploymentId": "<production>", "toDeploymentId": "<archived>"}},
    "deactivateDeployment": {"input": {"deploymentId": "<deployment>"}},
    "deleteDeployment": {"input": {"deploymentId": "<idle>"}},
    "updateModel": {"input": {"modelId": "<model>", "notes": "Tried on the tables of May."}},
    "setPromotionGate": {"input": {"projectId": "<project>", "metric": "auc"}},
    "recordOutcomes": {
        "input": {
            "deploymentId": "<production>",
            "items": [{"requestId": "none", "outcome": "yes"}],
        }
    },
    "startCanary": {"input": {"deploymentId": "<production>", "candidateDeploymentId": "<deployment>"}},
    "advanceCanary": {"input": {"deploymentId": "<production>"}},
    "abortCanary": {"input": {"deploymentId": "<production>"}},
    "startShadow": {"input": {"deploymentId": "<production>", "candidateDeploymentId": "<deployment>"}},
    "stopShadow": {"input": {"deploymentId": "<production>"}},
    "createAbTest": {
        "input": {
            "projectId": "<project>",
            "name": "Old against new",
            "deploymentAId": "<production>",
            "deploymentBId": "<deployment>",
        }
    },
    "startAbTest": {"input": {"abTestId": "<ab_test>"}},
    "stopAbTest": {"input": {"abTestId": "<ab_test>"}},
    "deleteAbTest": {"input": {"abTestId": "<ab_test>"}},
    "predictAbTest": {"input": {"abTestId": "<ab_test>", "inputs": [ROW]}},
    "recordAbTestOutcomes": {
        "input": {"abTestId": "<ab_test>", "items": [{"requestId": "00000000-0000-7000-8000-000000000000", "outcome": "yes"}]}
    },
    "createReplay": {"input": {"deploymentId": "<production>", "modelId": "<model>"}},
    "deleteReplay": {"input": {"replayId": "<replay>"}},
    "createMetricChange": {"input": {"deploymentId": "<production>"}},
    "deleteMetricChange": {"input": {"metricChangeId": "<metric_change>"}},
    "predict": {"input": {"deploymentId": "<deployment>", "inputs": [ROW]}},
    "predictModel": {"input": {"modelId": "<model>", "inputs": [ROW]}},
    "predictionTarget": {"modelId": "<model>"},
    "predictionBatch": {"id": "<batch>"},
    "predictionBatches": FILTERED,
    "createPredictionBatch": {"input": {"modelId": "<model>", "datasetVersionId": "<version>"}},
    "savePredictionBatch": {"input": {"batchId": "<batch>", "name": "Scored"}},
    "deletePredictionBatch": {"input": {"batchId": "<waiting_batch>"}},
    "alert": {"id": "<alert>"},
    "createAlert": {
        "input": {
            "projectId": "<project>",
            "deploymentId": "<deployment>",
            "name": "Errors",
            "kind": "error_rate",
            "threshold": 0.1,
        }
    },
    "updateAlert": {"input": {"alertId": "<alert>", "name": "Many errors"}},
    "deleteAlert": {"input": {"alertId": "<alert>"}},
    "acknowledgeAlert": {"input": {"alertId": "<alert>"}},
    "muteAlert": {"input": {"alertId": "<alert>"}},
    "retrainRun": {"id": "<retrain_run>"},
    "setRetrainPolicy": {"input": {"deploymentId": "<deployment>", "schedule": "0 3 * * mon", "timeZone": "Europe/Zurich"}},
    "deleteRetrainPolicy": {"input": {"deploymentId": "<deployment>"}},
    "retrainDeployment": {"input": {"deploymentId": "<deployment>"}},
    "webhook": {"id": "<webhook>"},
    "webhookDelivery": {"id": "<delivery>"},
    "webhookEventTypes": {},
    "createWebhook": {"input": {"projectId": "<project>", "url": "https://receiver.invalid/in"}},
    "updateWebhook": {"input": {"webhookId": "<webhook>", "isEnabled": False}},
    "rotateWebhookSecret": {"input": {"webhookId": "<webhook>"}},
    "deleteWebhook": {"input": {"webhookId": "<webhook>"}},
    "testWebhook": {"input": {"webhookId": "<webhook>"}},
    "replayWebhookDelivery": {"input": {"deliveryId": "<delivery>"}},
    "cancelJob": {"input": {"jobId": "<job>"}},
    "jobEvents": {"jobId": "<job>"},
    "experimentEvents": {"experimentId": "<experiment>"},
    "projectEvents": {"projectId": "<project>", "after": 0},
    "accountEvents": {"after": 0},
}


PUBLIC = {"session", "invitation", "register", "verifyEmail", "resendVerification", "login", "forgotPassword", "resetPassword"}
"""Frozen: what needs no credential. A new name here is a decision about security."""


@dataclass(frozen=True)
class Call:
    """One way to one field. `send(client, ids, headers)` asks; `kinds` are the things it names."""

    name: str
    field: str
    permission: Permission
    kinds: tuple[str, ...]
    writes: bool
    send: Callable[[AsyncClient, Mapping[str, str], Mapping[str, str]], Any]

    async def ask(self, client: AsyncClient, ids: Mapping[str, str], headers: Mapping[str, str]) -> Response:
        found: Response = await self.send(client, ids, headers)
        return found


def kinds_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from kinds_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from kinds_in(item)
    elif isinstance(value, str) and value.startswith("<"):
        yield value[1:-1]


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: filled(item, ids) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, ids) for item in value]
    if not isinstance(value, str) or not value.startswith("<"):
        return value
    assert value[1:-1] in ids, f"{value} of a sample is no row of `furnish()` in tests/factories/world.py: make one there"
    return ids[value[1:-1]]


def root_fields() -> dict[str, tuple[Any, str]]:
    """Every root field with its definition and the word its operation begins with."""
    return {name: (field, kind.value) for kind, root in ROOTS.items() if root is not None for name, field in root.fields.items()}


def concept_of(name: str) -> str:
    """The concept whose file declares a root field."""
    declared: str = root_fields()[name][0].extensions["strawberry-definition"].origin.__module__
    return declared.removeprefix("schema.")


def is_list(name: str) -> bool:
    """Whether a root field lists everything the caller sees, filtered if they want."""
    field, _ = root_fields()[name]
    return get_named_type(field.type).name.endswith("Connection") and not any(map(is_required_argument, field.args.values()))


def upper(value: Any, kind: Any) -> Any:
    """A value of the samples, which have the domain's words, as the public contract spells it."""
    kind = get_nullable_type(kind)
    if isinstance(kind, GraphQLList):
        return [upper(one, kind.of_type) for one in value]
    if isinstance(kind, GraphQLInputObjectType):
        return {key: upper(one, kind.fields[key].type) for key, one in value.items()}
    return value.upper() if isinstance(kind, GraphQLEnumType) else value


def graphql_call(name: str) -> Call:
    field, word = root_fields()[name]
    assert name in SAMPLES, f"the field {name} has no sample: add one to SAMPLES"
    arguments = {key: upper(value, field.args[key].type) for key, value in SAMPLES[name].items()}
    declared = ", ".join(f"${argument}: {field.args[argument].type}" for argument in arguments)
    given = ", ".join(f"{argument}: ${argument}" for argument in arguments)
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    selection = "" if is_leaf_type(get_named_type(kind)) else " { __typename }"
    text = f"{word}{f'({declared})' if declared else ''} {{ {name}{f'({given})' if given else ''}{selection} }}"

    async def send(client: AsyncClient, ids: Mapping[str, str], headers: Mapping[str, str]) -> Response:
        accept = {"Accept": "text/event-stream"} if word == "subscription" else {}
        body = {"query": text, "variables": filled(arguments, ids)}
        return await client.post("/graphql", json=body, headers={**headers, **accept})

    permission = permission_of(ROOTS_BY_WORD[word], name)
    assert permission is not None, f"{name} says not who may use it"
    return Call(f"graphql {name}", name, permission, tuple(kinds_in(arguments)), word == "mutation", send)


ROOTS_BY_WORD = {kind.value: root for kind, root in ROOTS.items()}


def _by_name(columns: list[dict[str, Any]]) -> dict[str, Any]:
    """What the operation takes as columns, as REST says it."""
    said = {
        "column_types": {column["name"]: column["type"] for column in columns if "type" in column},
        "missing_values": {column["name"]: column["values"] for column in columns if "values" in column},
    }
    return {key: value for key, value in said.items() if value}


class RestSample:
    """A row of the table with the sample of the field it leads to."""

    def __init__(self, row: Endpoint, *, upload: bool = False) -> None:
        self.row, self.upload = row, upload
        self.operation = operations()[row.operation]
        (self.field, permission), *_ = self.operation.root_fields
        assert permission is not None
        self.permission = permission
        binder = binder_of(row)
        variables = self._variables()
        self.values = {
            name: value
            for name in (*binder.path_names, *binder.params, *row.body)
            if (value := _at(variables, binder.target(name))) is not None and not (upload and name == "upload_id")
        }

        if row.columns and "columns" in self.values:
            self.values |= _by_name(self.values.pop("columns"))

    def _variables(self) -> dict[str, Any]:
        """The operation's variables, from the arguments of its root field."""
        node = next(n for n in self.operation.definition.selection_set.selections if isinstance(n, FieldNode))
        return {
            argument.value.name.value: SAMPLES[self.field][argument.name.value]  # type: ignore[attr-defined]
            for argument in node.arguments or ()
            if argument.value.kind == "variable" and argument.name.value in SAMPLES[self.field]
        } | OTHERWISE.get(self.row.path, {})

    def call(self) -> Call:
        path_names = binder_of(self.row).path_names
        kinds = tuple(kinds_in(self.values))

        async def send(client: AsyncClient, ids: Mapping[str, str], headers: Mapping[str, str]) -> Response:
            values = filled(self.values, ids)
            path = self.row.path.format(**{name: values[name] for name in path_names})
            rest = {name: value for name, value in values.items() if name not in path_names}
            if self.upload:
                files = {"file": ("t.csv", content())}
                return await client.post(path, data=rest, files=files, headers=dict(headers))
            if self.row.method == "GET":
                return await client.get(path, params=rest, headers=dict(headers))
            body = rest if self.row.body else None
            params = None if self.row.body else rest
            return await client.request(self.row.method, path, params=params, json=body, headers=dict(headers))

        writes = self.row.method != "GET"
        return Call(f"{self.row.method} {self.row.path}", self.field, self.permission, kinds, writes, send)


OTHERWISE = {
    f"{dataset.ONE}/versions": {"input": {"datasetId": "<dataset>"}},
    "/api/mlops/deployments/{deployment_id}/batch-predict": {
        "input": {"deploymentId": "<deployment>", "datasetVersionId": "<version>"}
    },
}
"""A version goes to a dataset, where the sample of the field makes a new one; and a deployment predicts in place of a model."""


def _at(value: Any, target: list[str]) -> Any:
    for part in target:
        value = value.get(part) if isinstance(value, dict) else None
    return value


async def _inbox(client: AsyncClient, _ids: Mapping[str, str], headers: Mapping[str, str]) -> Response:
    return await client.post("/api/uploads", params={"filename": "t.csv"}, content=content(), headers=dict(headers))


def rest_calls() -> list[Call]:
    """Every row of the table, uploads and downloads."""
    rows = [RestSample(row).call() for row in (*TABLE, *rows_of(Kind.download))]
    uploads = [RestSample(row, upload=not row.file.or_else).call() for row in rows_of(Kind.upload) if row.file]
    return [*rows, *uploads, Call("POST /api/uploads", "uploadTarget", WRITE, (), True, _inbox)]


def graphql_calls() -> list[Call]:
    """Every root field."""
    return [graphql_call(name) for name in root_fields()]
