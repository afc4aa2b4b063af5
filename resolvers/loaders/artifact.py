"""What is loaded of stored files."""

from coreplex.artifact.table import Artifact
from resolvers.loading import rows

artifacts = rows(Artifact)
