"""What is known about a table, in the public contract: its quality, the diagnosis of a target, its profile."""

from typing import Any

import strawberry

from coreplex.dataset.diagnosis import Judged
from coreplex.dataset.version_issues import Judging, issues
from coreplex.dataset.versions import Documents
from coreplex.errors.tree import Message
from coreplex.experiment.table import ProblemType
from schema.column import Column, columns
from schema.common import key, named_enum
from schema.cost import INSIDE
from schema.document_fields import real
from schema.enums import enum
from schema.issue import DatasetIssue, IssueFact, LeakKind, Severity, facts
from schema.metric import MetricName
from schema.notice import Notice
from schema.scalars import Long, Value
from schema.validation import ValidationStrategy

CorrelationMethod: Any = named_enum("CorrelationMethod", ("pearson", "spearman", "cramers_v", "correlation_ratio"))
enum(
    CorrelationMethod,
    "How it was measured how strongly two columns go together.",
    {
        "pearson": "Two numbers, along a line: -1 to 1.",
        "spearman": "Two numbers, by their ranks: -1 to 1.",
        "cramers_v": "Two categories: Cramér's V, corrected for chance, 0 to 1.",
        "correlation_ratio": "A category and a number: the share of spread that the groups explain, as a root, 0 to 1.",
    },
)


def _facts(root: strawberry.Parent[Any]) -> Any:
    return facts(root["evidence"])


@strawberry.type(description="Columns that give the target away: copies of it, or what is known only afterwards.")
class Leak:
    kind: str = key("kind", "How they do it.", LeakKind)
    columns: list[str] = key("columns", "The columns, which do it together.", list[str])
    leave_out: list[str] = key("leave_out", "Those of them that the option `drop_leaks` leaves out.", list[str])
    severity: str = key("severity", "High: an experiment is warned of it. Medium: make sure of it.", Severity)
    message: str = key("message", "What was seen and what to do.", str)
    alone: float = real("alone", "Their score without any other column, in the diagnosis' metric.")
    next_best: float = real("next_best", "The score of the best other column alone.")
    evidence: list[IssueFact] = strawberry.field(
        resolver=_facts, graphql_type=list[IssueFact], metadata=INSIDE, description="The facts behind it."
    )


@strawberry.type(description="How much one column alone tells of the target.")
class Usefulness:
    column: str = key("column", "The column.", str)
    share: float = real("share", "Share of the target's spread it explains on rows it was not fitted to, 0 to 1.")
    score: float = real("score", "The same as a score in the diagnosis' metric.")
    is_useless: bool = key("useless", "Whether it tells nothing alone.", bool)


@strawberry.type(description="A class of the target.")
class TargetClass:
    value: Value = key("value", "The class, spelled as in the file.", Value)
    count: Long = key("count", "Rows of it.", Long)
    percent: float = real("pct", "Its share of the labelled rows, in percent.")


@strawberry.type(description="How evenly the classes are spread.")
class Imbalance:
    class_count: int = key("class_count", "How many classes there are.", int)
    rarest_percent: float = real("rarest_pct", "Share of the rarest class, in percent.")
    ratio: float = real("ratio", "Rows of the commonest class to those of the rarest.")
    even: float = real("even", "Share of the rarest class compared with an even split: 1 is even.")
    classes: list[TargetClass] = strawberry.field(
        resolver=lambda root: root["classes"],
        graphql_type=list[TargetClass],
        metadata=INSIDE,
        description="The commonest first; of many, the commonest and the rarest.",
    )


@strawberry.type(description="Rows that are nearly copies of each other: what makes them so.")
class NearCopies:
    numbers: list[str] = key("numbers", "Columns of numbers that are nearly equal.", list[str])
    spreads: list[float] = key("spreads", "The spread of each, in which distances are measured.", list[float])
    words: list[str] = key("words", "Columns that are equal.", list[str])
    radius: float = real("radius", "The greatest distance of two copies.")


def _finding(root: strawberry.Parent[Any]) -> Any:
    return root["said"]["message"]


@strawberry.type(description="A way to split the rows that was tried, beside a random split.")
class SplitTrial:
    strategy: str = key("strategy", "How rows are dealt.", ValidationStrategy)
    group_column: str | None = key("group_column", "The column whose values are held back together.", str | None)
    time_column: str | None = key("time_column", "The column that says the time; null where the rows are in order.", str | None)
    near_copies: NearCopies | None = key("near", "What makes rows near copies, which are held back together.", NearCopies | None)
    metric: str = key("metric", "The metric of the scores.", MetricName)
    random_score: float = real("random_score", "What a random split promises, by one cheap model on a sample of the rows.")
    honest_score: float = real("honest_score", "What the same model gets on the same rows by this split.")
    excess: float = real("excess", "How much more a random split promises.")
    std_error: float = real("error", "The standard error of that.")
    is_certain: bool = key("certain", "Whether it is more than chance.", bool)
    reason: str = strawberry.field(resolver=_finding, graphql_type=str, description="The finding in a sentence.")


def _recommended(root: strawberry.Parent[Any]) -> Any:
    return root if root["strategy"] is not None else None


@strawberry.type(description="Whether rows depend on each other, so that a random split would promise too much.")
class Dependence:
    row_count: Long = key("rows", "Rows that were looked at.", Long)
    recommended: SplitTrial | None = strawberry.field(
        resolver=_recommended,
        graphql_type=SplitTrial | None,
        description="The split to use; null where rows seem independent of each other.",
    )
    tried: list[SplitTrial] = strawberry.field(
        resolver=lambda root: root["tried"], graphql_type=list[SplitTrial], metadata=INSIDE, description="All that were tried."
    )
    is_unfinished: bool = key("unfinished", "Whether there was no time to try every one.", bool)


def _unfinished(root: strawberry.Parent[Any]) -> Any:
    return [Message.from_json(one) for one in root["unfinished"]]


@strawberry.type(description="What is known of a target before anything is trained, from a sample of rows.")
class Diagnosis:
    target: str = key("target", "The column to be predicted.", str)
    problem_type: ProblemType = key("problem_type", "How it is predicted.", ProblemType)
    row_count: Long = key("rows", "Rows of the table.", Long)
    sampled_row_count: Long = key("sampled_rows", "Rows that were looked at.", Long)
    metric: str = key("metric", "What the scores are.", MetricName)
    leaks: list[Leak] = strawberry.field(
        resolver=lambda root: root["leaks"],
        graphql_type=list[Leak],
        metadata=INSIDE,
        description="What gives the target away, the gravest first.",
    )
    imbalance: Imbalance | None = key("imbalance", "How the classes are spread; null for a number.", Imbalance | None)
    usefulness: list[Usefulness] = strawberry.field(
        resolver=lambda root: root["usefulness"],
        graphql_type=list[Usefulness],
        metadata=INSIDE,
        description="What each column alone tells, the most first.",
    )
    dependence: Dependence | None = key("dependence", "Whether rows depend on each other.", Dependence | None)
    unfinished: list[Notice] = strawberry.field(
        resolver=_unfinished, graphql_type=list[Notice], metadata=INSIDE, description="What there was no time for."
    )


@strawberry.type(description="How good the data is.")
class Quality:
    overall_score: float = strawberry.field(description="0 to 100, from completeness, uniqueness, validity and consistency.")
    issues: list[DatasetIssue] = strawberry.field(description="What is wrong, the gravest first.")
    diagnosis: Diagnosis | None = strawberry.field(
        description="What was found for the target; null where no target was named, or one that cannot be learned."
    )

    @classmethod
    def of(cls, judging: Judging, judged: Judged) -> "Quality":
        found: Any = issues(judging, judged.quality["issues"])
        diagnosis: Any = judged.diagnosis
        return cls(overall_score=judged.quality["overall_score"], issues=found, diagnosis=diagnosis)


@strawberry.type(description="Two columns that go together.")
class Correlation:
    column_a: str = key("column_a", "One column.", str)
    column_b: str = key("column_b", "The other.", str)
    method: str = key("method", "How it was measured.", CorrelationMethod)
    value: float = real("value", "How strong it is; the sign is the direction, where there is one.")
    pearson: float | None = real("pearson", "Of two numbers: along a line.", float | None)
    spearman: float | None = real("spearman", "Of two numbers: by their ranks.", float | None)


@strawberry.type(description="Missing values of a table.")
class Missing:
    cell_count: Long = key("cells", "Cells without a value.", Long)
    percent: float = real("pct", "Share of all cells, in percent.")
    column_count: int = key("columns", "Columns with missing values.", int)
    complete_row_count: Long = key("complete_rows", "Rows without a missing value.", Long)


@strawberry.type(description="Rows that repeat an earlier one.")
class Duplicates:
    count: Long = key("count", "How many.", Long)
    percent: float = real("pct", "Share of rows, in percent.")


@strawberry.type(description="The profile of a version.")
class Analysis:
    row_count: Long = strawberry.field(description="Rows.")
    column_count: int = strawberry.field(description="Columns.")
    sampled_row_count: Long = strawberry.field(description="Rows that quantiles and histograms come from.")
    columns: list[Column] = strawberry.field(description="Statistics per column.")
    correlations: list[Correlation] = strawberry.field(description="The strongest pairs, at most 100.")
    missing: Missing = strawberry.field(description="Missing values.")
    duplicates: Duplicates = strawberry.field(description="Repeated rows.")
    suggested_target: str | None = strawberry.field(description="A column that looks like the one to predict.")
    suggested_problem_type: ProblemType | None = strawberry.field(description="How that column would be predicted.")

    @classmethod
    def of(cls, documents: Documents) -> "Analysis":
        profile = documents.profile
        rows: Any = columns(documents)
        names = ("row_count", "column_count", "correlations", "missing", "duplicates")
        return cls(
            columns=rows,
            sampled_row_count=profile["sampled_rows"],
            suggested_target=profile["suggested_target"],
            suggested_problem_type=profile["suggested_problem_type"],
            **{name: profile[name] for name in names},
        )
