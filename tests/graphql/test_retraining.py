"""Retraining in GraphQL: what begins one and what does not, never two at once, what comes of it, and who is told."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.errors.tree import Message
from coreplex.experiment.table import Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.retraining import begin, tending
from coreplex.retraining.queries import DRIFTING
from coreplex.retraining.table import RetrainPolicy, RetrainRun
from coreplex.runtime import monitor
from tests.factories.retrained import RETRAIN, Retrained, retrained

__all__ = ["retrained"]

PROJECT = "Project of owner@example.com"


async def test_nothing_new_is_skipped_and_what_was_missed_is_looked_at_once(retrained: Retrained) -> None:
    (run,) = await retrained.due()
    assert (run["trigger"], run["status"], run["reason"]["reason"]) == ("SCHEDULE", "SKIPPED", "nothing_new")
    await retrained.tick()
    assert len(await retrained.runs()) == 1
    policy = (await retrained.shown())["retrainPolicy"]
    assert policy["nextRunAt"] > now().isoformat()
    assert policy["quietUntil"] is None
    assert await retrained.told() == []


async def test_a_new_version_is_learned_from_as_before_and_gives_a_challenger(retrained: Retrained) -> None:
    await retrained.policy("editor", schedule="0 3 * * *", isMailed=True, maxModels=3, maxRuntimeSecs=40)
    version = await retrained.version()
    (run,) = await retrained.due()
    assert (run["status"], run["newRowCount"], run["createdBy"]) == ("RUNNING", 5, {"email": "editor@example.com"})
    async with retrained.database.read() as session:
        made = await session.get_one(Experiment, UUID(run["experimentId"]))
        before = await session.get_one(Experiment, UUID(retrained.world.ids["experiment"]))
    assert (str(made.dataset_version_id), made.target_column, made.problem_type, made.status) == (
        version,
        before.target_column,
        before.problem_type,
        JobStatus.queued,
    )
    assert (made.config["max_models"], made.config["max_runtime_secs"]) == (3, 40)
    assert {**made.config, **before.config, "max_models": 3, "max_runtime_secs": 40} == made.config

    (still,) = (one for one in await retrained.due() if one["id"] != run["id"])
    assert (still["status"], still["reason"]["reason"]) == ("SKIPPED", "retraining_still_runs")
    await retrained.trained(run)
    (_, ended) = await retrained.runs()
    assert (ended["status"], ended["metric"], ended["previousValue"], ended["value"]) == ("SUCCEEDED", "AUC", 0.9, 0.95)
    assert ended["previousModel"]["id"] == ended["model"]["parentId"] == retrained.world.ids["model"]
    assert (await retrained.shown())["challenger"] == {"id": ended["model"]["id"]}
    assert ended["model"]["challengerOf"] == {"id": retrained.id}
    assert await retrained.told() == ["retraining.finished"]
    await retrained.work()
    people = {f"{name}@example.com" for name in ("owner", "admin", "editor")}
    assert {(who, f"Retraining of staging: succeeded ({PROJECT})") for who in people} <= await retrained.mails()

    (newest, *_) = await retrained.due()
    assert newest["reason"]["reason"] == "nothing_new", "the challenger has learned from it"
    await retrained.do("UPDATE deployments SET model_id = :model WHERE id = :id", model=ended["model"]["id"], id=retrained.id)
    assert (await retrained.shown())["challenger"] is None


async def test_how_many_rows_must_be_new_and_that_somebody_may_insist(retrained: Retrained) -> None:
    await retrained.policy(schedule="0 3 * * *", minNewRowCount=8)
    await retrained.version()
    (run,) = await retrained.due()
    assert (run["status"], run["reason"]["reason"]) == ("SKIPPED", "too_little_new")
    await retrained.version()
    (run, _) = await retrained.due()
    assert (run["status"], run["newRowCount"]) == ("RUNNING", 10)
    await retrained.trained(run)
    forced = {"deploymentId": retrained.id, "force": True}
    made = (await retrained.asker.data(RETRAIN, "editor", input=forced))["retrainDeployment"]["retrainRun"]
    assert (made["status"], made["createdBy"]["email"]) == ("PENDING", "editor@example.com")
    await retrained.work()
    assert next((one["trigger"], one["status"]) for one in await retrained.runs()) == ("MANUAL", "RUNNING")


@pytest.mark.parametrize("seed", range(4))
async def test_there_are_never_two_whoever_begins_them(retrained: Retrained, seed: int) -> None:
    """Two monitors and two people at once."""
    await retrained.version()
    await retrained.do("UPDATE retrain_policies SET next_run_at = now() - interval '1 day'")
    asked = [retrained.asker.ask(RETRAIN, input={"deploymentId": retrained.id}) for _ in range(2)]
    looks = [tending.tend(retrained.database) for _ in range(2)]
    tasks = [*asked, *looks] if seed % 2 else [*looks, *asked]
    answers = [answer for answer in await asyncio.gather(*tasks[seed // 2 :], *tasks[: seed // 2]) if answer is not None]
    made = [answer["data"]["retrainDeployment"] for answer in answers]
    active = [run for run in await retrained.runs() if run["status"] in ("PENDING", "RUNNING")]
    assert len(active) == 1
    begun = [one["retrainRun"]["id"] for one in made if one["retrainRun"]]
    assert begun in ([], [active[0]["id"]])
    assert all(one["userErrors"][0]["code"] == "CONFLICT" for one in made if not one["retrainRun"])
    scheduled = [run for run in await retrained.runs() if run["trigger"] == "SCHEDULE"]
    assert len(scheduled) == 1, "what is due once is looked at once"
    async with retrained.database.read() as session:
        jobs = select(Job).where(col(Job.type) == "model_retrain", col(Job.project_id) == UUID(retrained.world.ids["project"]))
        assert len((await session.scalars(jobs)).all()) == 1


async def test_who_lost_access_trains_no_more_and_is_told(retrained: Retrained) -> None:
    await retrained.policy("editor", schedule="0 3 * * *")
    await retrained.version()
    editor = retrained.world.people["editor"]
    await retrained.do("UPDATE memberships SET role = 'viewer' WHERE user_id = :who", who=editor.id)
    (run,) = await retrained.due()
    assert (run["status"], run["reason"]["reason"]) == ("FAILED", "retrain_owner_lost_access")
    policy = (await retrained.shown())["retrainPolicy"]
    assert (policy["isEnabled"], policy["disabledReason"]["reason"]) == (False, "retrain_owner_lost_access")
    assert policy["nextRunAt"] is None
    await retrained.work()
    subject = f"Retraining of staging: disabled ({PROJECT})"
    assert {who for who, about in await retrained.mails() if about == subject} == {
        f"{name}@example.com" for name in ("owner", "admin", "editor")
    }
    assert sorted(await retrained.told()) == ["retraining.disabled", "retraining.finished"]
    assert len(await retrained.due()) == 1, "nothing is due any more"
    made = (await retrained.policy("admin", schedule="0 3 * * *"))["retrainPolicy"]
    assert (made["isEnabled"], made["owner"]["email"]) == (True, "admin@example.com")
    assert (await retrained.due())[0]["status"] == "RUNNING"


async def test_who_is_gone_and_who_was_shut_off(retrained: Retrained) -> None:
    await retrained.policy("editor", schedule="0 3 * * *")
    await retrained.version()
    await retrained.do("UPDATE users SET is_active = false WHERE id = :who", who=retrained.world.people["editor"].id)
    assert (await retrained.due())[0]["reason"]["reason"] == "retrain_owner_lost_access"
    await retrained.policy("owner", schedule="0 3 * * *")
    await retrained.do("UPDATE retrain_policies SET owner_id = NULL")
    assert (await retrained.due())[0]["reason"]["reason"] == "retrain_owner_lost_access"
    assert (await retrained.shown())["retrainPolicy"]["isEnabled"] is False


async def test_what_does_not_serve_is_not_trained(retrained: Retrained) -> None:
    await retrained.version()
    await retrained.do("UPDATE deployments SET status = 'inactive' WHERE id = :id", id=retrained.id)
    (run,) = await retrained.due()
    assert (run["status"], run["reason"]["reason"]) == ("SKIPPED", "retrain_not_serving")
    refused = await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id})
    assert refused["retrainDeployment"]["userErrors"][0]["code"] == "CONFLICT"
    await retrained.do("UPDATE deployments SET status = 'active' WHERE id = :id", id=retrained.id)
    await retrained.do("UPDATE projects SET status = 'archived'")
    (run, _) = await retrained.due()
    assert (run["status"], run["reason"]["reason"]) == ("SKIPPED", "project_archived")
    assert (await retrained.shown())["retrainPolicy"]["isEnabled"] is True


async def test_a_target_that_is_gone_fails_by_its_name(retrained: Retrained) -> None:
    async with retrained.database.read() as session:
        version = await session.get_one(DatasetVersion, UUID(retrained.world.ids["version"]))
        columns = [one for one in version.table_schema["columns"] if one["name"] != "left"]
        profiled = [one for one in version.profile["columns"] if one["name"] != "left"]
    schema, profile = {**version.table_schema, "columns": columns}, {**version.profile, "columns": profiled}
    await retrained.version(table_schema=schema, profile=profile)
    (run,) = await retrained.due()
    assert run["status"] == "FAILED"
    assert "left" in run["reason"]["message"]
    async with retrained.database.read() as session:
        assert len((await session.scalars(select(Experiment))).all()) == 4, "two of each project"


@pytest.mark.parametrize(
    ("status", "wanted"), [(JobStatus.failed, ("FAILED", "no_model")), (JobStatus.cancelled, ("CANCELLED", "job_cancelled"))]
)
async def test_a_training_that_came_to_nothing(retrained: Retrained, status: JobStatus, wanted: tuple[str, str]) -> None:
    await retrained.version()
    (run,) = await retrained.due()
    await retrained.trained(run, status, error=Message(wanted[1], "It did not end well."))
    (ended,) = await retrained.runs()
    assert (ended["status"], ended["reason"]["reason"]) == wanted
    assert ("policy sets max_runtime_secs" in ended["reason"]["message"]) == (wanted[1] == "no_model")
    (again, _) = await retrained.due()
    assert again["status"] == "RUNNING", "that version was not learned from"


async def test_an_experiment_that_is_deleted_ends_it(retrained: Retrained) -> None:
    await retrained.version()
    (run,) = await retrained.due()
    delete = "mutation($input: DeleteExperimentInput!) { deleteExperiment(input: $input) { deletedId } }"
    await retrained.asker.data(delete, input={"experimentId": run["experimentId"], "force": True})
    await retrained.tick()
    (ended,) = await retrained.runs()
    assert (ended["status"], ended["reason"]["reason"]) == ("FAILED", "retrain_experiment_gone")


async def test_a_job_that_is_cancelled_ends_it(retrained: Retrained) -> None:
    await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id})
    cancel = "mutation($input: CancelJobInput!) { cancelJob(input: $input) { job { status } } }"
    async with retrained.database.read() as session:
        run = (await session.scalars(select(RetrainRun).where(col(RetrainRun.job_id).is_not(None)))).one()
    await retrained.asker.data(cancel, input={"jobId": str(run.job_id)})
    assert (await retrained.runs())[0]["status"] == "CANCELLED"
    assert (await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id}))["retrainDeployment"]["retrainRun"]


async def test_drift_begins_one_each_time_it_begins_and_not_too_soon(retrained: Retrained) -> None:
    await retrained.policy(onDrift=True, cooldownHours=12)
    await retrained.version()

    async def drift(since: str | None) -> list[tuple[str, str]]:
        moment = "NULL" if since is None else f"now() - interval '{since}'"
        await retrained.do("DELETE FROM drift_watches")
        await retrained.do(
            "INSERT INTO drift_watches (deployment_id, model_id, capital, rows, features, began_at, looked_at, drifting_since) "
            f"VALUES (:id, :model, '', 0, '[]', now(), now(), {moment})",
            id=retrained.id,
            model=retrained.world.ids["model"],
        )
        await retrained.tick()
        return [(one["trigger"], one["status"]) for one in await retrained.runs()]

    assert await drift(None) == []
    assert await drift("2 hours") == [("DRIFT", "RUNNING")]
    await retrained.tick()
    (run,) = await retrained.runs()
    await retrained.trained(run)
    await retrained.version()
    assert len(await drift("2 hours 1 second")) == 1, "the same episode, as it was handled"
    assert len(await drift("1 second")) == 1, "too soon after the last one"
    await retrained.do("UPDATE retrain_policies SET quiet_until = now()")
    await retrained.tick()
    assert [(one["trigger"], one["status"]) for one in await retrained.runs()] == [("DRIFT", "RUNNING"), ("DRIFT", "SUCCEEDED")]


async def test_what_is_being_retrained_keeps_no_other_that_drifts_waiting(retrained: Retrained) -> None:
    await retrained.policy(onDrift=True)
    await retrained.do(
        "INSERT INTO drift_watches (deployment_id, model_id, capital, rows, features, began_at, looked_at, drifting_since) "
        "VALUES (:id, :model, '', 0, '[]', now(), now(), now()) ON CONFLICT (deployment_id) DO UPDATE SET drifting_since = now()",
        id=retrained.id,
        model=retrained.world.ids["model"],
    )
    assert await tending._some(retrained.database, DRIFTING) == [UUID(retrained.id)]
    await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id})
    assert await tending._some(retrained.database, DRIFTING) == []


async def test_a_due_time_is_due_once_though_this_clock_is_behind(retrained: Retrained, monkeypatch: pytest.MonkeyPatch) -> None:
    due = now().replace(second=0, microsecond=0)
    await retrained.policy(schedule=f"{due.minute} {due.hour} * * *")
    await retrained.do("UPDATE retrain_policies SET next_run_at = :due WHERE next_run_at IS NOT NULL", due=due)
    monkeypatch.setattr(tending, "now", lambda: due - timedelta(seconds=90))
    for _ in range(3):
        await tending.tend(retrained.database)
    assert len(await retrained.runs()) == 1


async def test_a_policy_that_is_deleted_meanwhile_stops_no_retraining(
    retrained: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    await retrained.version()
    as_before = begin._as_before

    async def deleted(*asked: Any) -> Any:
        await retrained.do("DELETE FROM retrain_policies")
        return await as_before(*asked)

    monkeypatch.setattr(begin, "_as_before", deleted)
    await retrained.asker.data(RETRAIN, input={"deploymentId": retrained.id})
    await retrained.work()
    assert [one["status"] for one in await retrained.runs()] == ["RUNNING"]


async def test_a_dataset_that_is_deleted_takes_all_of_it_along(retrained: Retrained) -> None:
    delete = "mutation($input: DeleteDatasetInput!) { deleteDataset(input: $input) { deletedId userErrors { message } } }"
    await retrained.do("UPDATE deployments SET status = 'inactive'")
    await retrained.do("UPDATE jobs SET status = 'cancelled'")
    await retrained.do("UPDATE experiments SET status = 'cancelled' WHERE status = 'queued'")
    await retrained.do("UPDATE prediction_batches SET status = 'cancelled' WHERE status = 'queued'")
    gone = await retrained.asker.data(delete, input={"datasetId": retrained.world.ids["dataset"]})
    assert gone["deleteDataset"]["deletedId"] is not None, gone
    await retrained.tick()
    async with retrained.database.read() as session:
        for table in (RetrainPolicy, RetrainRun):
            here = select(table).where(col(table.project_id) == UUID(retrained.world.ids["project"]))
            assert (await session.scalars(here)).all() == []


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "schedule"),
        ({"schedule": "soon"}, "schedule"),
        ({"schedule": "* * * * *"}, "schedule"),
        ({"schedule": "0 3 * * *", "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"onDrift": True, "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"schedule": "0 3 * * *", "maxModels": 0}, "maxModels"),
        ({"onDrift": True, "cooldownHours": -1}, "cooldownHours"),
        ({"onDrift": True, "minNewRowCount": -1}, "minNewRowCount"),
        ({"metric": "auc"}, "metricThreshold"),
        ({"onDrift": True, "replayWindow": "7d", "includeOutcomes": True}, "replayWindow"),
        ({"onDrift": True, "replayWindow": "5w"}, "replayWindow"),
        ({"metricThreshold": 0.5, "onDrift": True}, "metric"),
        ({"metric": "rmse", "metricThreshold": 0.5}, "metric"),
        ({"metric": "auc", "metricThreshold": 1.5}, "metricThreshold"),
        ({"metric": "auc", "metricThreshold": 0.5, "metricWindow": "31d"}, "metricWindow"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused_by_its_field(retrained: Retrained, said: dict[str, Any], field: str) -> None:
    before = (await retrained.shown())["retrainPolicy"]
    refused = await retrained.policy(**said)
    assert refused["retrainPolicy"] is None
    assert refused["userErrors"][0]["field"][-1] == field
    assert (await retrained.shown())["retrainPolicy"] == before


async def test_two_who_set_the_first_policy_at_once_set_one(retrained: Retrained) -> None:
    await retrained.do("DELETE FROM retrain_policies")
    hours = await asyncio.gather(*(retrained.policy(schedule=f"0 {hour} * * *") for hour in range(4)))
    assert [one["userErrors"] for one in hours] == [[]] * 4
    async with retrained.database.read() as session:
        (policy,) = (await session.scalars(select(RetrainPolicy))).all()
    assert policy.schedule in {f"0 {hour} * * *" for hour in range(4)}


async def test_a_policy_may_rest_and_the_monitor_looks_at_it(retrained: Retrained) -> None:
    rests = (await retrained.policy(isEnabled=False, schedule="0 3 * * *"))["retrainPolicy"]
    assert (rests["nextRunAt"], rests["nextRuns"]) == (None, [])
    assert (await retrained.policy(isEnabled=False))["retrainPolicy"]["isEnabled"] is False
    made = (await retrained.policy(schedule="30 2 * * mon", timeZone="Europe/Zurich"))["retrainPolicy"]
    assert len(made["nextRuns"]) == 5
    await retrained.do("UPDATE retrain_policies SET next_run_at = now() WHERE deployment_id = :id", id=retrained.id)
    assert await monitor.look(retrained.database)
    assert [run["status"] for run in await retrained.runs()] == ["PENDING"]
