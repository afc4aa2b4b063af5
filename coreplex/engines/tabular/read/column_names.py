"""Makes column names unique, printable and short, and reports each one that was changed."""

import re
from collections.abc import Sequence

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.limits import Limits

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ufeff]+")


def unique_names(written: Sequence[str] | None, width: int, limits: Limits) -> tuple[list[str], list[Finding]]:
    """(`width` names, a finding where some were changed): trimmed, at most `limits.name_length` characters; blanks
    filled, repetitions numbered. `written`: the names of the file, None where it has none.
    """
    if written is None:
        return [f"column_{index}" for index in range(1, width + 1)], []
    cleaned = [_UNPRINTABLE.sub(" ", name).strip()[: limits.name_length] for name in written]
    taken = {name for name in cleaned if name}
    names: list[str] = []
    renamed: dict[str, str] = {}
    seen: set[str] = set()
    for index, name in enumerate(cleaned, start=1):
        final = name if name and name not in seen else _free(name or f"column_{index}", taken | seen, bool(name))
        seen.add(final)
        names.append(final)
        if final != written[index - 1].strip():
            renamed[final] = written[index - 1]
    return names, renamed_finding(renamed)


def _free(base: str, taken: set[str], repeated: bool) -> str:
    if not repeated and base not in taken:
        return base
    return next(name for number in range(2, 1_000_000) if (name := f"{base}_{number}") not in taken)


def renamed_finding(renamed: dict[str, str]) -> list[Finding]:
    """The finding about changed names (new → written); none where nothing changed."""
    if not renamed:
        return []
    shown = ", ".join(f"{old[:80] or '(blank)'!r} → {new[:80]!r}" for new, old in list(renamed.items())[:5])
    message = f"{len(renamed)} column names were blank, repeated or not printable and were changed: {shown}."
    return [Finding("renamed_columns", "low", message, evidence={"renamed": {k: renamed[k][:80] for k in list(renamed)[:100]}})]
