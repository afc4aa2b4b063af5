"""The concepts of this server. Each says about itself, when it is imported, what the others need to know (`dependents`)."""

import coreplex.account.service
import coreplex.artifact.service
import coreplex.dataset.service
import coreplex.deployment.service
import coreplex.experiment.service
import coreplex.job.service
import coreplex.model.service
import coreplex.project.service  # noqa: F401
