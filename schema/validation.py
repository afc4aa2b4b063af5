"""How rows are split into those that train a model and those that judge it, in the public contract."""

from typing import Any

from schema.common import named_enum
from schema.enums import enum

ValidationStrategy: Any = named_enum("ValidationStrategy", ("random", "stratified", "group", "time", "group_time", "column"))
enum(
    ValidationStrategy,
    "How rows are split into those that train a model and those that judge it.",
    {
        "random": "By chance.",
        "stratified": "By chance, the target dealt evenly.",
        "group": "Whole values of a column are held back together.",
        "time": "Trained on the past, judged on the future.",
        "group_time": "Trained on the past, judged on the future of values of a column that are new.",
        "column": "The folds that a column names.",
    },
)
