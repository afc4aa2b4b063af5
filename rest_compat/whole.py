"""Lists that their operation gives whole, because they are short: the columns of a table, the engines of an experiment.

REST pages, searches and sorts them as every list (contract A.4). Without `limit` all of it comes, as the client expects.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from coreplex.errors.tree import FieldError, Invalid, Message
from coreplex.platform.page import MAX_OFFSET, MAX_PAGE, MAX_SEARCH, SortDirection, between, too_long_search
from rest_compat.words import one_of


class Cut(NamedTuple):
    """What part of a list is wanted."""

    limit: int | None = None
    offset: int = 0
    search: str = ""
    sort_field: str | None = None
    sort_direction: str = SortDirection.desc


@dataclass(frozen=True)
class Whole:
    """How a list that comes whole is searched and sorted: by the names of its items' keys."""

    words: str
    """What `search` looks into."""
    searched: tuple[str, ...]
    sorted: tuple[str, ...]

    def asked(self, query: Mapping[str, str]) -> Cut:
        """What the query string says. Raises Invalid naming every wrong value."""
        found = {name: value for name in Cut._fields if (value := query.get(name, "")) != ""}
        if "sort_direction" not in found and query.get("sort_dir"):
            found["sort_direction"] = query["sort_dir"]
        errors = [FieldError(("query", name), said, "type_error") for name, said in self._wrong(found)]
        if errors:
            raise Invalid.fields(errors, skip=1)
        whole: dict[str, Any] = {name: int(value) if name in {"limit", "offset"} else value for name, value in found.items()}
        return Cut(**whole)

    def _wrong(self, found: Mapping[str, str]) -> list[tuple[str, Message]]:
        errors = []
        for name, least, most in (("limit", 1, MAX_PAGE), ("offset", 0, MAX_OFFSET)):
            if name in found and not re.fullmatch(r"[+-]?\d{1,300}", found[name]):
                errors.append((name, Message("no_whole_number", "must be a whole number")))
            elif name in found and not least <= int(found[name]) <= most:
                errors.append((name, between(least, most)))
        if len(found.get("search", "")) > MAX_SEARCH:
            errors.append(("search", too_long_search()))
        for name, known in (("sort_field", self.sorted), ("sort_direction", tuple(SortDirection))):
            if name in found and found[name] not in known:
                errors.append((name, one_of(known, found[name])))
        return errors

    def page(self, body: dict[str, Any], cut: Cut) -> dict[str, Any]:
        """The body with that part of its list, under each of the list's names."""
        whole = body["items"]
        found = [item for item in whole if self._found(item, cut.search.lower())]
        if cut.sort_field is not None:
            found = _sorted(found, cut.sort_field, down=cut.sort_direction == SortDirection.desc)
        part = found[cut.offset :][: cut.limit]
        limit = len(found) if cut.limit is None else cut.limit
        named = {name: part for name, value in body.items() if value is whole}
        return {**body, **named, "total": len(found), "limit": limit, "offset": cut.offset}

    def _found(self, item: Mapping[str, Any], text: str) -> bool:
        return any(text in str(item[name] if item[name] is not None else "").lower() for name in self.searched)

    def parameters(self) -> list[dict[str, Any]]:
        """The same in OpenAPI's words."""
        said = {
            "limit": (f"Items wanted, 1 to {MAX_PAGE}; all unless said.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}),
            "offset": ("Items to skip.", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}),
            "search": (f"Case-insensitive text to find in {self.words}.", {"type": "string", "maxLength": MAX_SEARCH}),
            "sort_field": ("What to sort by; left out, the list keeps its order.", {"type": "string", "enum": [*self.sorted]}),
            "sort_direction": ("Which way.", {"type": "string", "enum": [*SortDirection], "default": SortDirection.desc}),
        }
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
            for name, (text, schema) in said.items()
        ]


def _sorted(items: list[Any], name: str, *, down: bool) -> list[Any]:
    """Items by one of their keys; those without a value are the last either way."""
    known = [item for item in items if item[name] is not None]
    known.sort(key=lambda item: item[name].lower() if isinstance(item[name], str) else item[name], reverse=down)
    return [*known, *(item for item in items if item[name] is None)]
