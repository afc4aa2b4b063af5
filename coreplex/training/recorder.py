"""Stores what an engine reports while it trains, as rows, files and events, each at once."""

import asyncio
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import orjson

from coreplex.artifact.table import STORAGE, Artifact, ArtifactKind
from coreplex.deployment.production import serving_model
from coreplex.engines.messages import ModelReport, received
from coreplex.errors.tree import Message
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.context import JobContext
from coreplex.membership import quota
from coreplex.model import registry
from coreplex.model import service as model_service
from coreplex.model.table import Model
from coreplex.monitoring import baseline
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import new_id
from coreplex.training.plan import TrainingPlan

Part = Literal["bundle", "curves", "explanation"]
FILES: tuple[tuple[Part, ArtifactKind, str, str], ...] = (
    ("bundle", ArtifactKind.model, "model.zip", "application/zip"),
    ("curves", ArtifactKind.curves, "curves.json", "application/json"),
    ("explanation", ArtifactKind.explanation, "explanation.json", "application/json"),
)


class Recorder:
    """Turns what an engine reports into rows, files and events."""

    def __init__(self, context: JobContext, plan: TrainingPlan, run: EngineRun) -> None:
        self.context, self.plan, self.run = context, plan, run
        self.count = 0
        self._inputs_kept = False

    async def on_event(self, event: dict[str, Any]) -> None:
        message = received(event)
        if message["event"] == "log":
            self.context.log(message["message"], message["level"])
        elif message["event"] == "warning":
            warning = Message.from_json(message)
            await self.context.save(lambda session: remember(session, self.plan.experiment.id, warning))
        elif message["event"] == "progress":
            self._progress(message["fraction"], message["message"])
        elif message["event"] == "model":
            await self._model(message)

    def _progress(self, fraction: float, message: str) -> None:
        """Progress of the experiment is the mean over its engines."""
        self.plan.fractions[self.run.id] = fraction
        mean = sum(self.plan.fractions.values()) / len(self.plan.runs)
        self.context.report(mean, f"{self.run.engine}: {message}" if len(self.plan.runs) > 1 else message)

    async def _model(self, report: ModelReport) -> None:
        """Files first, then the row that names them: a row without its file never exists."""
        experiment, model_id = self.plan.experiment, new_id()
        prefix = f"projects/{experiment.project_id}/experiments/{experiment.id}/models/{model_id}"
        try:
            for part, _, filename, _ in FILES:
                await self.context.storage.put(f"{prefix}/{filename}", Path(report[part]["path"]))
            await self._keep_inputs(report)
            archive = await asyncio.to_thread(Path(report["estimation"]["path"]).read_bytes)
            await self.context.save(lambda session: self._store(session, report, model_id, prefix, archive))
        except BaseException:
            await self.context.storage.delete_all(prefix)
            raise
        self.count += 1

    async def _keep_inputs(self, report: ModelReport) -> None:
        """What the columns held, once for all models."""
        if not self._inputs_kept:
            features = orjson.loads(await asyncio.to_thread(Path(report["inputs"]["path"]).read_bytes))
            await self.context.save(lambda session: baseline.keep_features(session, self.plan.experiment.id, features))
            self._inputs_kept = True

    def _artifacts(self, report: ModelReport, prefix: str) -> dict[str, Artifact]:
        return {
            part: Artifact(
                project_id=self.plan.experiment.project_id,
                kind=kind,
                storage_key=f"{prefix}/{filename}",
                filename=f"{report['name']}.zip" if part == "bundle" else filename,
                content_type=content_type,
                sha256=report[part]["sha256"],
                size_bytes=report[part]["size"],
            )
            for part, kind, filename, content_type in FILES
        }

    async def _store(self, session: WriteSession, report: ModelReport, model_id: UUID, prefix: str, estimation: bytes) -> None:
        if await session.get(Model, model_id) is not None:
            return  # stored already: the database went away after the commit and before it could say so
        rows = self._artifacts(report, prefix)
        size = sum(row.size_bytes for row in rows.values())
        await quota.take_room(session, self.context.settings, self.plan.experiment.project_id, {STORAGE: size})
        experiment = await session.get_one(Experiment, self.plan.experiment.id, with_for_update=True)
        session.add_all(rows.values())
        await session.flush()
        experiment.sort_metric = report["sort_metric"]
        if experiment.validation is not None:
            experiment.validation = {**experiment.validation, "folds": report["folds"]}
        model = self._row(report, model_id, rows)
        model.parent_id = await serving_model(session, model)
        await registry.number(session, model)
        session.add(model)
        await session.flush()
        await baseline.keep_answers(session, model.id, report["answers"])
        await baseline.keep_estimation(session, model.id, estimation)
        (await session.get_one(EngineRun, self.run.id)).models_trained += 1
        best = await model_service.rank(session, experiment)
        await event.append(
            session,
            entity_type="experiment",
            entity_id=experiment.id,
            project_id=experiment.project_id,
            kind=EventKind.state,
            type="model.trained",
            message=f"{model.name} is finished.",
            data={
                "model_id": str(model.id),
                "name": model.name,
                "algo": model.algo,
                "metrics": model.metrics,
                "rank": model.rank,
                "best_model_id": str(best.id) if best else None,
            },
        )

    def _row(self, report: ModelReport, model_id: UUID, artifacts: dict[str, Artifact]) -> Model:
        experiment, version = self.plan.experiment, self.plan.version
        types = {column["name"]: column["type"] for column in version.table_schema["columns"]}
        metric = report["sort_metric"]
        return Model(
            id=model_id,
            project_id=experiment.project_id,
            experiment_id=experiment.id,
            engine_run_id=self.run.id,
            dataset_version_id=version.id,
            artifact_id=artifacts["bundle"].id,
            curves_artifact_id=artifacts["curves"].id,
            explanation_artifact_id=artifacts["explanation"].id,
            name=report["name"],
            algo=report["algo"],
            engine=self.run.engine,
            problem_type=experiment.problem_type,
            target_column=experiment.target_column,
            classes=report["classes"],
            features=[{"name": name, "type": types.get(name, "")} for name in report["features"]],
            metrics=report["metrics"],
            cv_metrics=report["cv_metrics"],
            metric_intervals=[{**interval} for interval in report["metric_intervals"]],
            threshold=report["threshold"],
            parameters=report["parameters"],
            score=model_service.merit(metric, report["score"]),
            training_time_secs=report["training_time_secs"],
            latency_ms=report["latency_ms"],
            size_bytes=report["size_bytes"],
        )


async def remember(session: WriteSession, experiment_id: UUID, message: Message) -> bool:
    """Keep a warning with the experiment; once, though its creation, each engine and each attempt may say it."""
    experiment = await session.get_one(Experiment, experiment_id, with_for_update=True)
    if any(one.same(message) for one in experiment.warnings):
        return False
    experiment.warnings = [*experiment.warnings, message]
    return True


async def forget(session: WriteSession, experiment_id: UUID, message: Message) -> None:
    """Take back a warning that is true no longer."""
    experiment = await session.get_one(Experiment, experiment_id, with_for_update=True)
    experiment.warnings = [one for one in experiment.warnings if not one.same(message)]
