"""The journey of the README with a client that openapi-python-client made: run by its own interpreter, not by ours."""

import os
import sys
import time
from io import BytesIO
from pathlib import Path

from coreplexml_rest import AuthenticatedClient
from coreplexml_rest.api.dataset import upload_dataset
from coreplexml_rest.api.deployment import create_deployment, predict
from coreplexml_rest.api.experiment import create_experiment, experiment_leaderboard, experiment_status, get_experiment
from coreplexml_rest.api.model import list_models
from coreplexml_rest.api.project import create_project, get_project
from coreplexml_rest.models import (
    CreateDeploymentBody,
    CreateExperimentBody,
    CreateExperimentConfig,
    CreateExperimentConfigIncludeAlgo,
    CreateExperimentProblemType,
    CreateProjectBody,
    DeploymentStage,
    Error,
    ExperimentStatusAnswer,
    PredictBody,
    UploadDatasetForm,
)
from coreplexml_rest.types import File


def main(table: Path) -> None:
    client = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["KEY"], raise_on_unexpected_status=True)
    with client:
        project = create_project.sync(client=client, body=CreateProjectBody(name="Flowers")).project
        assert get_project.sync(project.id, client=client).project.name == "Flowers"
        file = File(payload=BytesIO(table.read_bytes()), file_name=table.name, mime_type="text/csv")
        dataset = upload_dataset.sync(client=client, body=UploadDatasetForm(project_id=project.id, name="Iris", file=file))
        assert not isinstance(dataset, Error), dataset
        assert dataset.dataset.row_count == 150
        wanted = CreateExperimentBody(
            project_id=project.id,
            dataset_version_id=dataset.dataset_version_id,
            name="First try",
            target_column="species",
            problem_type=CreateExperimentProblemType.CLASSIFICATION,
            config=CreateExperimentConfig(include_algos=[CreateExperimentConfigIncludeAlgo.GLM], max_models=1, nfolds=2),
        )
        made = create_experiment.sync(client=client, body=wanted)
        status = wait(client, made.experiment_id)
        assert status.status == "succeeded", status
        assert get_experiment.sync(made.experiment_id, client=client).model_count == status.models_trained
        board = experiment_leaderboard.sync(made.experiment_id, client=client)
        best = list_models.sync(client=client, experiment_id=made.experiment_id).items[0]
        assert board.items[0].id == best.id == status.best_model_id
        deployed = CreateDeploymentBody(model_id=best.id, name="flowers-v1", stage=DeploymentStage.PRODUCTION)
        deployment = create_deployment.sync(project.id, client=client, body=deployed)
        row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
        answer = predict.sync(deployment.deployment_id, client=client, body=PredictBody.from_dict({"inputs": row}))
        print(answer.predictions[0].prediction)
        refused = get_project.sync("nonsense", client=client)
        assert isinstance(refused, Error)
        print(refused.detail)


def wait(client: AuthenticatedClient, experiment: str) -> ExperimentStatusAnswer:
    while True:
        status = experiment_status.sync(experiment, client=client)
        if status.status in ("succeeded", "failed"):
            return status
        time.sleep(0.5)


main(Path(sys.argv[1]))
