"""The life of a job and of what follows it is one set of columns and one enum."""

from sqlmodel.main import default_registry

from coreplex.batch.table import PredictionBatch
from coreplex.errors.tree import Message
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.lifecycle import FollowsJob, JobStatus, Lifecycle
from coreplex.job.table import Job
from coreplex.metric_change.table import MetricChange
from coreplex.replay.table import Replay
from coreplex.runtime import concepts


def test_every_row_with_the_state_of_a_job_has_the_one_set_of_columns() -> None:
    concepts.load("table")
    states = {status.value for status in JobStatus}
    tables = {mapper.class_: mapper.local_table.columns for mapper in default_registry.mappers}
    alike = {
        kind
        for kind, columns in tables.items()
        if "status" in columns and states <= set(getattr(columns["status"].type, "enums", ()))
    }
    assert (
        alike
        == {Job, Experiment, EngineRun, PredictionBatch, Replay, MetricChange}
        == {kind for kind in tables if issubclass(kind, Lifecycle)}
    )
    assert {kind for kind in tables if issubclass(kind, FollowsJob)} == {Experiment, PredictionBatch, Replay, MetricChange}
    for kind in alike:
        assert {"status", "error", "created_at", "started_at", "finished_at"} <= set(tables[kind].keys())


def test_a_row_enters_each_state() -> None:
    run = EngineRun(position=0, engine="native", requested_engine="native")
    assert (run.status, run.started_at, run.finished_at) == (JobStatus.queued, None, None)
    run.enter(JobStatus.running)
    began = run.started_at
    assert began is not None
    run.enter(JobStatus.queued, Message("died", "its worker died"))
    run.enter(JobStatus.running)
    assert (run.started_at, run.finished_at, run.error) == (began, None, None), "it began once, and has not failed yet"
    run.enter(JobStatus.failed, Message("no_model", "no model"))
    assert (run.status, run.error) == (JobStatus.failed, "no model")
    assert run.finished_at is not None
    assert run.finished_at >= began
