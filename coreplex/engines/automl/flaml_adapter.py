"""FLAML's place: until its adapter is in, asking for it is refused in words."""

from coreplex.engines.automl.run import Run
from coreplex.errors import Unavailable


def search(run: Run) -> None:
    """Refuses."""
    raise Unavailable("The FLAML engine is not part of this build yet. Choose engine 'native'.")
