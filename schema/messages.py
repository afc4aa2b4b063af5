"""The catalogue of messages: every machine word with its English template, collected from the code that says it.

`schema.export` writes it to schema/messages.json, for front-ends that speak other languages.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic_core._pydantic_core import list_all_errors

ROOT = Path(__file__).parents[1]
PARTS = ("coreplex", "edge", "resolvers", "rest_compat", "schema", "workers", "asgi.py")
SAYING = ("Message", "PydanticCustomError")


@dataclass(frozen=True)
class Saying:
    """A place in the code where a message is made: the arguments of its word and its template, and the names it gives."""

    place: str
    reason: ast.expr
    template: ast.expr
    parameters: tuple[str | None, ...]


@lru_cache(maxsize=1)
def modules() -> Mapping[str, ast.Module]:
    """The code by its place in the repository."""
    files = [file for part in PARTS for file in ([ROOT / part] if part.endswith(".py") else sorted((ROOT / part).rglob("*.py")))]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def sayings() -> Iterator[Saying]:
    """Every place where a message is made."""
    for file, module in modules().items():
        for call in ast.walk(module):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in SAYING:
                reason, template, *context = call.args
                yield Saying(f"{file}:{call.lineno}", reason, template, (*_keys(context), *(one.arg for one in call.keywords)))


def _keys(context: list[ast.expr]) -> list[str | None]:
    """The names in the dictionary that Pydantic's own error takes."""
    names = [key for one in context if isinstance(one, ast.Dict) for key in one.keys]
    return [key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None for key in names]


def catalogue() -> dict[str, str]:
    """Templates by machine word, ours and those of Pydantic's rules; what stands in braces is replaced by that parameter."""
    ours = {ast.literal_eval(one.reason): plain(ast.literal_eval(one.template)) for one in sayings()}
    rules = {one["type"]: one["message_template_python"].replace("{expected_plural}", "s") for one in list_all_errors()}
    return dict(sorted({**rules, **ours}.items()))


def plain(template: str) -> str:
    """A template without Python's formats: `{rows:,}` is `{rows}`, `{name!r}` stands in quotation marks, and `{{` is a brace."""
    quoted = re.sub(r"\{(\w+)!r\}", r"'{\1}'", template)
    unformatted = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", quoted)
    return unformatted.replace("{{", "{").replace("}}", "}")
