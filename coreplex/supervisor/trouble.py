"""The error that a person who starts the server is shown: one sentence what is wrong, one what to do."""


class Trouble(Exception):
    """Shown without a traceback; `exit_code` is the command's."""

    def __init__(self, what: str, remedy: str = "", *, exit_code: int = 1) -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy
        self.exit_code = exit_code
