"""More than one of everything that is listed, so that searching, sorting and paging have something to do."""

from datetime import timedelta
from uuid import UUID

from coreplex.ab_test.table import AbTest
from coreplex.account.table import Session
from coreplex.alert.table import Alert
from coreplex.batch.table import PredictionBatch
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment, Loss, Rollout, RolloutKind, RolloutStatus
from coreplex.errors.tree import Message
from coreplex.event.table import Event, EventKind
from coreplex.experiment.table import EngineRun
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership.table import Invitation, MemberRole, Project
from coreplex.model.table import Evaluation
from coreplex.platform.clock import now
from coreplex.platform.identifier import new_id
from coreplex.serving.table import InferenceLog
from coreplex.webhook.table import Webhook
from tests.factories.outside import alert_of, delivery_of, event_of
from tests.factories.standing_on_models import AB_TEST, metric_change_of, replay_of, retraining_of
from tests.factories.world import World

ROWS = 5
ROLES = ({"role": MemberRole.viewer}, {"role": MemberRole.editor})


async def fill_lists(made: World) -> None:
    """Rows for the lists of which the world has none or one, some of them with nothing in a column that can be sorted by."""
    ids = {name: UUID(value) for name, value in made.ids.items()}
    async with made.database.transaction() as session:
        (await session.get_one(Project, ids["project"])).name = "Listed"
        version = await session.get_one(DatasetVersion, ids["version"])
        webhook = await session.get_one(Webhook, ids["webhook"])
        alert = await session.get_one(Alert, ids["alert"])
        deployment = await session.get_one(Deployment, ids["deployment"])
        copied = version.model_dump(exclude={"id", "version", "upload_artifact_id", "file_format", "row_count"})
        for number in range(2, ROWS):
            session.add(DatasetVersion(**copied, version=number, file_format=f"kind{number}", row_count=100 - number))
        for number in range(ROWS):
            moment = now() - timedelta(hours=number // 2)
            of_project = {"project_id": ids["project"], "created_at": moment}
            filename = f"holdout-{number}.csv"
            session.add(Evaluation(**of_project, model_id=ids["model"], filename=filename, rows=number, rows_used=number))
            for experiment in ("experiment", "waiting_experiment"):
                line = {"kind": EventKind.log, "type": "experiment.log", "level": ("info", "warning")[number % 2]}
                said = {"entity_type": "experiment", "entity_id": ids[experiment], "message": f"Line {number}"}
                session.add(Event(**of_project, **line, **said))
            deed = {"kind": EventKind.audit, "type": f"model.deed{number}", "message": f"Deed {number}"}
            session.add(Event(**of_project, **deed, entity_type="model", entity_id=ids["model"]))
            entry = {"deployment_id": ids["deployment"], "model_id": ids["model"], "request_id": f"request-{number}"}
            inputs = {"inputs": {"town": f"Zürich {number}"}, "output": {"prediction": number} if number else None}
            session.add(InferenceLog(**of_project, **entry, **inputs, error=None if number else Message("broke", "It broke")))
            state, finished = (JobStatus.succeeded, moment) if number else (JobStatus.failed, None)
            asked = {"model_id": ids["model"], "deployment_id": ids["deployment"], "model_name": f"Model {number}"}
            hashes = {"model_sha256": "0" * 64, "input_sha256": "1" * 64, "row_count": 90 + number if number else None}
            session.add(PredictionBatch(**of_project, **asked, **hashes, filename=f"sheet-{number}.csv", status=JobStatus.failed))
            beside = {"baseline_id": ids["production"], "candidate_id": ids["deployment" if number else "idle"]}
            ended = {"kind": RolloutKind.shadow, "status": RolloutStatus.aborted}
            session.add(Rollout(**of_project, **beside, **ended, percent=number + 1, loss=Loss.misclassification))
            sides = {"deployment_a_id": ids["production"], "deployment_b_id": ids["deployment" if number else "idle"]}
            session.add(AbTest(**of_project, **sides, **AB_TEST, name=f"Test {number}"))
            session.add(replay_of(ids["project"], ids["deployment"], ids["model"], number))
            session.add(metric_change_of(ids["project"], ids["deployment"], number))
            session.add(Job(**of_project, type="probe", status=state, finished_at=finished, message=f"Probe {number}"))
            about = {"description": f"Tells team {number}", "url": f"https://receiver{number}.invalid/"}
            session.add(Webhook(**of_project, **about, updated_at=moment))
            if number:
                session.add(delivery_of(webhook, number))
                session.add(alert_of(ids["project"], ids["deployment"], number))
                session.add(event_of(alert, number))
                session.add(retraining_of(deployment, number))
        for number in range(2):
            ends, digest = {"expires_at": now() + timedelta(days=1 + number)}, f"{number}".encode() * 32
            guest = {"project_id": ids["project"], "email": f"guest{number}@example.com", **ROLES[number]}
            session.add(Invitation(**guest, token_hash=digest, **ends))
            session.add(Session(user_id=made.people["owner"].id, user_agent=f"Browser {number}", token_hash=digest, **ends))
        for number in range(1, 3):
            engine = {
                "engine": "flaml",
                "requested_engine": "h2o",
                "error": Message("trouble", "Trouble {number}", number=number),
            }
            run = {"status": JobStatus.failed, "best_metric": 0.5 if number == 1 else None, "position": number}
            session.add(EngineRun(id=new_id(), experiment_id=ids["experiment"], **engine, **run))
