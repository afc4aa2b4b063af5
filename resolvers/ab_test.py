"""What is loaded of A/B tests."""

from coreplex.deployment.table import Rollout
from resolvers.loading import Rows

rollouts = Rows(Rollout)
"""How a test's rows are split and counted, by the id of its rollout: for whoever sees the test."""
