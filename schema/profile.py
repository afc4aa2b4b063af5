"""What is known about a table, in the public contract: its columns, its quality, its profile."""

from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeVar

import strawberry

from coreplex.dataset.diagnosis import Judged
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.versions import Documents
from coreplex.engines.tabular.schema import ColumnType
from schema.enums import enum
from schema.scalars import JSON, Long

enum(
    ColumnType,
    "What a column is, as a person would say it.",
    {
        "integer": "Whole numbers.",
        "float": "Numbers.",
        "boolean": "True or false.",
        "categorical": "One of a limited number of words.",
        "datetime": "A date, or a moment.",
        "text": "Free text.",
        "id": "Names each row; tells nothing else.",
    },
)


class Typed(Protocol):
    """A type of the contract, which is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Kind = TypeVar("Kind", bound=Typed)


def _from(kind: type[Kind], facts: dict[str, Any]) -> Kind:
    """The type's own fields of a stored document; the profile may know more than the contract shows."""
    return kind(**{field.name: facts[field.name] for field in fields(kind)})


def _real(number: float | None) -> float | None:
    """A statistic that may be of any size: the database writes 1.7e18 as a whole number, which no Float may be beyond 53 bits."""
    return None if number is None else float(number)


@strawberry.type(description="A frequent value of a column.")
class TopValue:
    value: JSON | None = strawberry.field(description="The value, spelled as in the file.")
    count: Long = strawberry.field(description="Rows that have it.")
    pct: float = strawberry.field(description="Share of the present values, in percent.")


@strawberry.type(description="A column of a version.")
class Column:
    name: str = strawberry.field(description="Name.")
    original_name: str | None = strawberry.field(description="Name in the file, where it had to be changed.")
    type: ColumnType = strawberry.field(description="What it is.")
    dtype: str = strawberry.field(description="How it is stored; times with a zone are kept in UTC.")
    reason: str | None = strawberry.field(description="Why it has its type, where that was a judgement.")
    unit: str | None = strawberry.field(
        description="The unit of its numbers as written: kg, km/h, %, $. Inputs may leave it out."
    )
    form: str | None = strawberry.field(
        description="What its texts are, if of one form: url, email, wkt, point, uuid, iban or hash."
    )
    nullable: bool = strawberry.field(description="Whether values are missing.")
    missing_values: list[str] | None = strawberry.field(
        description="Words and values read as missing, in the file and in rows to predict; none: the usual ones of its type."
    )
    missing_count: Long = strawberry.field(description="Rows without a value.")
    missing_pct: float = strawberry.field(description="Share of rows without a value, in percent.")
    unique_count: Long = strawberry.field(description="Different values.")
    sample_values: JSON = strawberry.field(description="A few values.")
    min: JSON | None = strawberry.field(description="Smallest number, or earliest time.")
    max: JSON | None = strawberry.field(description="Largest number, or latest time.")
    mean: float | None = strawberry.field(description="Mean of a number.")
    std: float | None = strawberry.field(description="Standard deviation of a number.")
    median: JSON | None = strawberry.field(description="Median of a number or a time.")
    top_values: list[TopValue] | None = strawberry.field(description="The most frequent values.")
    statistics: JSON = strawberry.field(description="Everything the profile knows: quantiles, histogram, lengths, …")

    @classmethod
    def of(cls, documents: Documents) -> list["Column"]:
        """The columns of a version, in file order."""
        facts = {entry["name"]: entry for entry in documents.profile["columns"]}
        return [cls._of(column, facts.get(column["name"], {})) for column in documents.table_schema["columns"]]

    @classmethod
    def _of(cls, column: dict[str, Any], facts: dict[str, Any]) -> "Column":
        top = facts.get("top_values")
        return cls(
            name=column["name"],
            original_name=column.get("original_name"),
            type=ColumnType(column["type"]),
            dtype=column["dtype"],
            reason=column.get("reason"),
            unit=facts.get("unit"),
            form=facts.get("form"),
            nullable=column["nullable"],
            missing_values=column.get("missing"),
            missing_count=Long(facts.get("missing_count", 0)),
            missing_pct=facts.get("missing_pct", 0.0),
            unique_count=Long(facts.get("unique_count", 0)),
            sample_values=JSON(facts.get("sample_values", [])),
            min=facts.get("min"),
            max=facts.get("max"),
            mean=_real(facts.get("mean")),
            std=_real(facts.get("std")),
            median=facts.get("median"),
            top_values=[_from(TopValue, value) for value in top] if top is not None else None,
            statistics=JSON(facts),
        )


@strawberry.type(description="Something a person should know about the data, and can do something about.")
class QualityIssue:
    kind: str = strawberry.field(description="Machine word: missing_values, duplicate_rows, target_leak, …")
    severity: str = strawberry.field(description="low, medium or high.")
    column: str | None = strawberry.field(description="The column it is about; none for the whole table.")
    message: str = strawberry.field(description="What is wrong and what to do.")
    evidence: JSON = strawberry.field(description="The facts behind it.")
    affected_rows: Long = strawberry.field(description="Rows it touches.")
    affected_pct: float = strawberry.field(description="Share of rows it touches, in percent.")


@strawberry.type(description="Columns that give the target away: copies of it, or what is known only afterwards.")
class Leak:
    kind: str = strawberry.field(description="Machine word for how they do it.")
    columns: list[str] = strawberry.field(description="The columns, which do it together.")
    leave_out: list[str] = strawberry.field(description="Those of them that the option `drop_leaks` leaves out.")
    severity: str = strawberry.field(description="high: an experiment is warned of it; medium: make sure of it.")
    message: str = strawberry.field(description="What was seen and what to do.")
    alone: float = strawberry.field(description="Their score without any other column, in the diagnosis' metric.")
    next_best: float = strawberry.field(description="The score of the best other column alone.")
    evidence: JSON = strawberry.field(description="The facts behind it.")


@strawberry.type(description="How much one column alone tells of the target.")
class Usefulness:
    column: str = strawberry.field(description="The column.")
    share: float = strawberry.field(description="Share of the target's spread it explains on rows it was not fitted to, 0 to 1.")
    score: float = strawberry.field(description="The same as a score in the diagnosis' metric.")
    useless: bool = strawberry.field(description="Whether it tells nothing alone.")


@strawberry.type(description="A class of the target.")
class TargetClass:
    value: JSON = strawberry.field(description="The class, spelled as in the file.")
    count: Long = strawberry.field(description="Rows of it.")
    pct: float = strawberry.field(description="Its share of the labelled rows, in percent.")


@strawberry.type(description="How evenly the classes are spread.")
class Imbalance:
    class_count: int = strawberry.field(description="How many classes there are.")
    rarest_pct: float = strawberry.field(description="Share of the rarest class, in percent.")
    ratio: float = strawberry.field(description="Rows of the commonest class to those of the rarest.")
    even: float = strawberry.field(description="Share of the rarest class compared with an even split: 1 is even.")
    classes: list[TargetClass] = strawberry.field(description="The commonest first; of many, the commonest and the rarest.")

    @classmethod
    def of(cls, counted: dict[str, Any]) -> "Imbalance":
        return cls(**{**counted, "classes": [_from(TargetClass, one) for one in counted["classes"]]})


@strawberry.type(description="What is known of a target before anything is trained, from a sample of rows.")
class Diagnosis:
    target: str = strawberry.field(description="The column to be predicted.")
    problem_type: str = strawberry.field(description="classification or regression.")
    rows: Long = strawberry.field(description="Rows of the table.")
    sampled_rows: int = strawberry.field(description="Rows that were looked at.")
    metric: str = strawberry.field(description="What the scores are: auc, accuracy or r2.")
    leaks: list[Leak] = strawberry.field(description="What gives the target away, the gravest first.")
    imbalance: Imbalance | None = strawberry.field(description="How the classes are spread; none for a number.")
    usefulness: list[Usefulness] = strawberry.field(description="What each column alone tells, the most first.")
    dependence: JSON | None = strawberry.field(description="Whether rows are independent of each other.")
    unfinished: list[str] = strawberry.field(description="What there was no time for.")

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Diagnosis":
        lists = {"leaks": Leak, "usefulness": Usefulness}
        typed: dict[str, Any] = {name: [_from(kind, one) for one in found[name]] for name, kind in lists.items()}
        typed["imbalance"] = Imbalance.of(found["imbalance"]) if found["imbalance"] else None
        return _from(cls, {**found, **typed})


@strawberry.type(description="How good the data is.")
class Quality:
    overall_score: float = strawberry.field(description="0 to 100, from completeness, uniqueness, validity and consistency.")
    issues: list[QualityIssue] = strawberry.field(description="What is wrong, the gravest first.")
    diagnosis: Diagnosis | None = strawberry.field(
        description="What was found for the target; none where no target was named, or one that cannot be learned."
    )

    @classmethod
    def of(cls, judged: Judged) -> "Quality":
        quality, found = judged.quality, judged.diagnosis
        return cls(
            overall_score=quality["overall_score"],
            issues=[_from(QualityIssue, issue) for issue in quality["issues"]],
            diagnosis=None if found is None else Diagnosis.of(found),
        )


@strawberry.type(description="Two columns that go together.")
class Correlation:
    column_a: str = strawberry.field(description="One column.")
    column_b: str = strawberry.field(description="The other.")
    method: str = strawberry.field(description="How it was measured.")
    value: float = strawberry.field(description="How strong it is; the sign is the direction, where there is one.")
    statistics: JSON = strawberry.field(description="All that was measured.")


@strawberry.type(description="Missing values of a table.")
class Missing:
    cells: Long = strawberry.field(description="Cells without a value.")
    pct: float = strawberry.field(description="Share of all cells, in percent.")
    columns: int = strawberry.field(description="Columns with missing values.")
    complete_rows: Long = strawberry.field(description="Rows without a missing value.")


@strawberry.type(description="Rows that repeat an earlier one.")
class Duplicates:
    count: Long = strawberry.field(description="How many.")
    pct: float = strawberry.field(description="Share of rows, in percent.")


@strawberry.type(description="The profile of a version.")
class Analysis:
    dataset_id: strawberry.ID = strawberry.field(description="The dataset.")
    version_id: strawberry.ID = strawberry.field(description="The version.")
    row_count: Long = strawberry.field(description="Rows.")
    column_count: int = strawberry.field(description="Columns.")
    sampled_rows: Long = strawberry.field(description="Rows that quantiles and histograms come from.")
    columns: list[Column] = strawberry.field(description="Statistics per column.")
    correlations: list[Correlation] = strawberry.field(description="The strongest pairs.")
    missing: Missing = strawberry.field(description="Missing values.")
    duplicates: Duplicates = strawberry.field(description="Repeated rows.")
    suggested_target: str | None = strawberry.field(description="A column that looks like the one to predict.")
    suggested_problem_type: str | None = strawberry.field(description="classification or regression, for that column.")

    @classmethod
    def of(cls, version: DatasetVersion, documents: Documents) -> "Analysis":
        profile = documents.profile
        return cls(
            dataset_id=strawberry.ID(str(version.dataset_id)),
            version_id=strawberry.ID(str(version.id)),
            row_count=Long(profile["row_count"]),
            column_count=profile["column_count"],
            sampled_rows=Long(profile["sampled_rows"]),
            columns=Column.of(documents),
            correlations=[_from(Correlation, {**pair, "statistics": pair}) for pair in profile["correlations"]],
            missing=_from(Missing, profile["missing"]),
            duplicates=_from(Duplicates, profile["duplicates"]),
            suggested_target=profile["suggested_target"],
            suggested_problem_type=profile["suggested_problem_type"],
        )
