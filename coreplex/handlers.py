"""Imports every module that registers a job handler, once per process."""

import coreplex.account.delivery
import coreplex.cleaning
import coreplex.experiment.training
import coreplex.job.probe  # noqa: F401
