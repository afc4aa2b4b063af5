"""What a list can be filtered by: each condition declared once, beside the list, with what it means in SQL.

    FILTERS = {
        "project_id": reference(col(Dataset.project_id), "Project", "Only datasets of this project."),
        "name": text(col(Dataset.name), "By name."),
        "created_at": moments(col(Dataset.created_at), "By when they were created."),
    }

`filter_model` makes the input of the contract of it; `read` takes what was sent apart into a shape and values, and `where` is the
condition of a shape, so that filters of one shape are one statement. Conditions beside each other must all hold; `and`, `or` and
`not` combine whole filters. A condition on a value that is missing does not hold.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model
from sqlalchemy import ARRAY, ColumnElement, String, and_, any_, false, func, not_, or_, true

from coreplex.errors.tree import Invalid, Message, WrongValue
from coreplex.platform.identifier import parse_id
from coreplex.platform.inputs import Identifier, Long, storable
from coreplex.platform.prepared import parameter

MAX_LEVELS = 5
"""How deep filters may stand in filters."""
MAX_CONDITIONS = 100
MAX_VALUES = 100
MAX_TEXT = 500
COMBINED = ("and", "or", "not")


def _aware(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise WrongValue(Message("moment_out_of_range", "lies outside the years 1 to 9999")) from None


Moment = Annotated[datetime, AfterValidator(_aware)]
Word = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(storable)]
Several = Field(min_length=1, max_length=MAX_VALUES)


NUMBERS = {"gt": "Greater than this.", "gte": "This or greater.", "lt": "Less than this.", "lte": "This or less."}
TIMES = {
    "gt": "After this moment.",
    "gte": "From this moment on.",
    "lt": "Before this moment.",
    "lte": "Until this moment, which is included.",
}


def _range(name: str, kind: Any, ends: Mapping[str, str]) -> type[BaseModel]:
    fields: Any = {end: (kind | None, Field(None, description=about)) for end, about in ends.items()}
    return create_model(name, **fields)


DateTimeRange = _range("DateTimeRange", Moment, TIMES)
IntRange = _range("IntRange", int, NUMBERS)
LongRange = _range("LongRange", Long, NUMBERS)
FloatRange = _range("FloatRange", float, NUMBERS)
TextFilter = create_model(
    "TextFilter",
    **{
        "eq": (Word | None, Field(None, description="Exactly this text.")),
        "in": (Annotated[list[Word], Several] | None, Field(None, description="One of these texts.")),
        "contains": (Word | None, Field(None, description="This text somewhere in it, whatever its case.")),
    },  # type: ignore[call-overload]
)
SHARED: Mapping[str, tuple[type[BaseModel], str]] = {
    "DateTimeRange": (DateTimeRange, "A span of time; the ends that are given must all hold."),
    "IntRange": (IntRange, "A span of whole numbers; the ends that are given must all hold."),
    "LongRange": (LongRange, "A span of large whole numbers; the ends that are given must all hold."),
    "FloatRange": (FloatRange, "A span of numbers; the ends that are given must all hold."),
    "TextFilter": (TextFilter, "What a text must be; the conditions that are given must all hold."),
}
"""Inputs that filters of many lists take, by their names in the contract, and what they are."""


Operands = Sequence[tuple[str, Any]]
"""What a condition compares with: an operation's word and the value."""


@dataclass(frozen=True)
class Condition:
    """One field of a filter."""

    kind: Any
    """The annotation of its value."""
    about: str
    taken: Callable[[Any], Operands]
    """What stands in its value."""
    means: Callable[[str, str], ColumnElement[bool]]
    """An operation in SQL, by its word and the name of the parameter that is its value."""
    many: bool = False
    """Takes a list of values of which one must be met."""
    quick: bool = False
    """Met by an index: asked of a list however long it is."""

    def field(self, kind: Any = None) -> tuple[Any, Any]:
        """Its annotation and default in the input model. `kind`: an enumeration of the contract in place of its own."""
        one = kind or self.kind
        value = Annotated[list[one], Several] if self.many else one  # type: ignore[valid-type]
        return value | None, Field(None, description=self.about)


Filters = Mapping[str, Condition]


def reference(column: Any, noun: str, about: str) -> Condition:
    """The one thing that rows belong to, by its id; a malformed one is not found."""
    return Condition(Identifier, about, lambda wanted: [("eq", parse_id(wanted, noun))], _compared(column))


def identifiers(column: Any, about: str) -> Condition:
    """Rows by identifiers; a malformed one names nothing."""
    return Condition(
        Identifier, about, lambda wanted: [("in", [parse_id(one, "Item") for one in wanted])], _compared(column), True
    )


def one_of(column: Any, kind: type[Enum], about: str, *, quick: bool = False) -> Condition:
    return Condition(
        kind, about, lambda wanted: [("in", [kind(str(one.value)) for one in wanted])], _compared(column), many=True, quick=quick
    )


def words(column: Any, about: str, *, quick: bool = False) -> Condition:
    """One of several texts, whatever their case."""
    lower = _compared(func.lower(column, type_=String()))
    return Condition(Word, about, lambda wanted: [("in", [one.lower() for one in wanted])], lower, many=True, quick=quick)


def text(column: Any, about: str) -> Condition:
    return Condition(TextFilter, about, _given, _compared(column))


def numbers(column: Any, about: str, kind: type[BaseModel] = IntRange) -> Condition:
    return Condition(kind, about, _given, _compared(column))


def moments(column: Any, about: str, *, quick: bool = False) -> Condition:
    return Condition(DateTimeRange, about, _given, _compared(column), quick=quick)


def flag(condition: Any, about: str, *, quick: bool = False) -> Condition:
    return Condition(
        bool,
        about,
        lambda wanted: [("holds" if wanted else "fails", None)],
        lambda word, _name: condition if word == "holds" else not_(condition),
        quick=quick,
    )


def pattern(wanted: str) -> str:
    """What texts that hold another are like, for ILIKE."""
    escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")
    return f"%{escaped}%"


def containing(column: Any, wanted: str) -> ColumnElement[bool]:
    """Whether a text holds another, whatever the case of either."""
    found: ColumnElement[bool] = column.ilike(pattern(wanted))
    return found


def _given(wanted: BaseModel) -> Operands:
    """The parts of a value that were sent."""
    return [(word, pattern(value) if word == "contains" else value) for word, value in vars(wanted).items() if value is not None]


def _compared(column: Any) -> Callable[[str, str], ColumnElement[bool]]:
    operations: Mapping[str, Callable[[str], ColumnElement[bool]]] = {
        "eq": lambda name: column == parameter(name, column.type),
        "in": lambda name: column == any_(parameter(name, ARRAY(column.type))),
        "contains": lambda name: column.ilike(parameter(name, String())),
        "gt": lambda name: column > parameter(name, column.type),
        "gte": lambda name: column >= parameter(name, column.type),
        "lt": lambda name: column < parameter(name, column.type),
        "lte": lambda name: column <= parameter(name, column.type),
    }
    return lambda word, name: operations[word](name)


def filter_model(name: str, filters: Filters, kinds: Mapping[str, Any]) -> type[BaseModel]:
    """The input of a list's filter. `kinds`: enumerations of the contract for some of its conditions."""
    fields: Any = {field: condition.field(kinds.get(field)) for field, condition in filters.items()}
    several = Field(None, description="All of these filters must hold.", min_length=1, max_length=MAX_VALUES)
    either = Field(None, description="One of these filters must hold.", min_length=1, max_length=MAX_VALUES)
    combined: Any = {
        "and": (f"list[{name}] | None", several),
        "or": (f"list[{name}] | None", either),
        "not": (f"{name} | None", Field(None, description="This filter must not hold.")),
    }
    return create_model(name, **fields, **combined, __module__=__name__)


class Asked(NamedTuple):
    """A filter that was sent: which conditions, and the values they compare with by the names of their parameters."""

    shape: Hashable
    values: Mapping[str, Any]


def read(filters: Filters, wanted: BaseModel) -> Asked:
    """Raises Invalid for a filter that is too deep or too large, NotFound for a malformed id."""
    check(wanted)
    values: dict[str, Any] = {}
    return Asked(_shape(filters, wanted, values), values)


def _shape(filters: Filters, wanted: BaseModel, values: dict[str, Any]) -> Hashable:
    """Conditions as (name, word, parameter), and filters within by how they are combined."""
    parts: list[tuple[Any, ...]] = []
    for name, value in given(wanted):
        for word, operand in filters[name].taken(value):
            place = f"filter_{len(values)}"
            values[place] = operand
            parts.append((name, word, place))
    for combined in COMBINED:
        if (others := getattr(wanted, combined)) is not None:
            inner = others if isinstance(others, list) else [others]
            parts.append((combined, tuple(_shape(filters, other, values) for other in inner)))
    return tuple(parts)


def where(filters: Filters, shape: Any) -> ColumnElement[bool]:
    """The condition that filters of a shape stand for."""
    return and_(true(), *(_part(filters, *part) for part in shape))


def _part(filters: Filters, name: str, *more: Any) -> ColumnElement[bool]:
    if name not in COMBINED:
        word, place = more
        return filters[name].means(word, place)
    inner = [where(filters, shape) for shape in more[0]]
    match name:
        case "and":
            return and_(*inner)
        case "or":
            return or_(*inner)
        case _:
            # What is unknown does not hold, so its opposite does.
            return not_(func.coalesce(inner[0], false()))


def check(wanted: BaseModel) -> None:
    """Raises Invalid when filters stand too deep in each other, or hold too many conditions."""
    level, conditions = [wanted], 0
    for _ in range(MAX_LEVELS):
        conditions += sum(len(list(given(one))) for one in level)
        level = [inner for one in level for inner in inside(one)]
        if conditions + len(level) > MAX_CONDITIONS:
            raise Invalid.field(Message("too_many_conditions", "has more than {most} conditions", most=MAX_CONDITIONS), "filter")
        if not level:
            return
    raise Invalid.field(Message("filter_too_deep", "is nested deeper than {levels} levels", levels=MAX_LEVELS), "filter")


def given(wanted: BaseModel) -> Sequence[tuple[str, Any]]:
    """The conditions that were sent, those that combine others left out."""
    return [(name, value) for name, value in vars(wanted).items() if value is not None and name not in COMBINED]


def inside(wanted: BaseModel) -> Sequence[BaseModel]:
    """The filters a filter combines."""
    beneath = getattr(wanted, "not")
    return [*(getattr(wanted, "and") or ()), *(getattr(wanted, "or") or ()), *([beneath] if beneath is not None else ())]


def quick_part(filters: Filters, shape: Any) -> tuple[Any, ...]:
    """What indexes meet of a shape: of conditions that must all hold some, of filters that are combined otherwise nothing."""
    parts: list[Any] = []
    for part in shape:
        if part[0] == "and":
            parts += (one for inner in part[1] for one in quick_part(filters, inner))
        elif part[0] not in COMBINED and filters[part[0]].quick:
            parts.append(part)
    return tuple(parts)


def only_quick(filters: Filters, shape: Any) -> bool:
    """Whether indexes meet all of a shape."""
    return all(
        all(only_quick(filters, inner) for inner in part[1]) if part[0] == "and" else bool(quick_part(filters, (part,)))
        for part in shape
    )
