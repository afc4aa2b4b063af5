"""What bounds each table and each folder of the data: the one list, which housekeeping carries out and docs/growth.md prints.

A table that is not named here fails a test. Rows without a rule go with what they belong to, and a quota bounds that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coreplex.platform.clock import now
from coreplex.platform.settings import Settings

EXPERIMENT_IS_THERE = "EXISTS (SELECT 1 FROM experiments x WHERE x.id = t.entity_id)"
LATER_PROGRESS = (
    "EXISTS (SELECT 1 FROM events l WHERE l.entity_type = t.entity_type AND l.entity_id = t.entity_id "
    "AND l.seq > t.seq AND l.kind = 'progress')"
)
OWNS_NOTHING = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} o WHERE o.{column} = t.id)"  # noqa: S608 our own names
    for table, column in (("projects", "owner_id"), ("memberships", "user_id"), ("sessions", "user_id"), ("api_keys", "user_id"))
)


@dataclass(frozen=True)
class Rule:
    """Rows `t` that go by themselves: `ended` is their condition in SQL, in which `:horizon` is as long ago as `after` says.

    `after` is a period, or the name of a setting in days or hours, whose 0 keeps the rows for ever. `only_if` names a setting
    that must be on. `batch` rows go in one statement: few where each has many others that refer to it.
    """

    ended: str
    after: timedelta | str = timedelta(0)
    only_if: str | None = None
    batch: int = 1000

    def horizon(self, settings: Settings) -> datetime | None:
        """None: nothing is to go."""
        if self.only_if is not None and not getattr(settings, self.only_if):
            return None
        if isinstance(self.after, timedelta):
            return now() - self.after
        amount = getattr(settings, self.after)
        return now() - amount * timedelta(hours=1 if self.after.endswith("_hours") else 24) if amount else None


@dataclass(frozen=True)
class Bound:
    """What keeps a table from growing for ever, in words and in rules."""

    words: str
    rules: tuple[Rule, ...] = ()


OF_ACCOUNT = "Quota of the project's owner: "
OF_PROJECT = "Quota of the project: `MAX_ITEMS_PER_PROJECT`. Goes with it."

TABLES: Mapping[str, Bound] = {
    "users": Bound(
        "`MAX_ACCOUNTS`. While `REQUIRE_EMAIL_VERIFICATION` is on, one that never confirmed its e-mail goes after "
        "`UNCONFIRMED_ACCOUNT_DAYS`.",
        (
            Rule(
                f"email_verified_at IS NULL AND role = 'user' AND created_at < :horizon AND {OWNS_NOTHING}",
                "unconfirmed_account_days",
                only_if="require_email_verification",
                batch=20,
            ),
        ),
    ),
    "sessions": Bound(
        "100 of an account: the next one ends the oldest. Ends after 30 days at most.", (Rule("expires_at < :horizon"),)
    ),
    "api_keys": Bound(
        "Quota of the account: `MAX_API_KEYS` that can be used. One that was revoked or has expired is listed for 90 days more.",
        (Rule("least(revoked_at, expires_at) < :horizon", timedelta(days=90)),),
    ),
    "one_time_tokens": Bound(
        "5 an hour of each kind for an account; a day after it has ended.", (Rule("expires_at < :horizon", timedelta(days=1)),)
    ),
    "failed_logins": Bound("Forgotten 15 minutes after the wait is over.", (Rule("forget_at < :horizon"),)),
    "mails": Bound("`MAIL_DAYS`, sent or not.", (Rule("created_at < :horizon", "mail_days"),)),
    "projects": Bound("Quota of the account: `MAX_PROJECTS`."),
    "memberships": Bound(OF_PROJECT),
    "datasets": Bound(f"{OF_ACCOUNT}`MAX_DATASET_VERSIONS`; a dataset has a version at least."),
    "dataset_versions": Bound(f"{OF_ACCOUNT}`MAX_DATASET_VERSIONS`."),
    "diagnoses": Bound(
        "Go with the version, and after 30 days; asked for again, they are made again.",
        (Rule("created_at < :horizon", timedelta(days=30)),),
    ),
    "artifacts": Bound(f"{OF_ACCOUNT}`MAX_STORED_BYTES`. Go with the version or the model."),
    "experiments": Bound(OF_PROJECT),
    "engine_runs": Bound("As many as an experiment has engines. Go with it."),
    "models": Bound("`max_models` of an experiment's engine. Go with the experiment."),
    "evaluations": Bound(OF_PROJECT),
    "deployments": Bound(OF_PROJECT),
    "inference_logs": Bound(
        "`INFERENCE_LOG_DAYS`: weekly partitions, dropped when all of their rows are older. Those of a deleted deployment go "
        "within minutes."
    ),
    "events": Bound(
        "`EVENT_DAYS`; those of an experiment stay as long as it does, save figures of progress that later ones have replaced, "
        "which go after an hour.",
        (
            Rule("kind = 'progress' AND created_at < :horizon AND " + LATER_PROGRESS, timedelta(hours=1)),
            Rule(
                "(entity_type <> 'experiment' OR kind IN ('audit', 'progress')) AND created_at < :horizon "
                f"AND NOT (entity_type = 'experiment' AND {EXPERIMENT_IS_THERE})",
                "event_days",
            ),
        ),
    ),
    "jobs": Bound(
        "`JOB_DAYS` after their end; 7 days those of the server itself (mails, cleaning).",
        (
            Rule("project_id IS NOT NULL AND finished_at < :horizon", "job_days"),
            Rule("project_id IS NULL AND finished_at < :horizon", timedelta(days=7)),
        ),
    ),
    "workers": Bound("A day after they were last seen.", (Rule("seen_at < :horizon", timedelta(days=1)),)),
    "idempotency_keys": Bound(
        "`IDEMPOTENCY_HOURS`, at the rate of the caller's requests; an answer of more than 16 KB is not kept but built anew.",
        (Rule("created_at < :horizon", "idempotency_hours"),),
    ),
}

FOLDERS: Mapping[str, str] = {
    "storage": "Files of datasets and models: `MAX_STORED_BYTES` of an account. Go with their rows.",
    "staging": "Files on their way in or out: `STAGED_FILE_HOURS`, and `MAX_STAGED_BYTES` of an account.",
    "uploads": "Resumable uploads: `UNFINISHED_UPLOAD_HOURS` after their last byte, 20 of an account, and "
    "`MAX_STAGED_BYTES` with what is in `staging`.",
    "work": "A folder for each training that runs; one whose training has died goes within minutes.",
    "spool": "Predictions on their way to `inference_logs`: emptied within a second while the database is there; "
    "while it is not, they grow until little of the disk is left. `set-aside/`: what it refused, for `INFERENCE_LOG_DAYS` and up "
    "to 1 GB, of which the oldest goes first.",
    "places": "An empty file for each child process that may run beside others.",
    "logs": "Each program's log: 10 MB and three older ones.",
    "postgres": "The embedded database: the tables above.",
    "valkey": "The embedded Redis: counters that expire, and a message for each waiting job.",
    "run": "Sockets of the embedded servers, while they run.",
    "runtime": "Copies of the embedded servers' programs, where their account cannot reach the installed ones.",
}


def table() -> str:
    """Both lists as Markdown, for docs/growth.md."""
    tables = [f"| `{name}` | {bound.words} |" for name, bound in TABLES.items()]
    folders = [f"| `{name}/` | {words} |" for name, words in FOLDERS.items()]
    head = "| {} | Bounded by |\n|---|---|"
    return "\n".join([head.format("Table"), *tables, "", head.format("Folder below `DATA_DIR`"), *folders])
