"""Recognises texts of one format: addresses of pages and mail, points on a map, keys that programs and banks make.

The form of a column is its `format`. It says how models read it: the host of an URL, the domain of an e-mail
address, the coordinates of a geometry; keys (`uuid`, `iban`, `hash`) are ids where they are all different, and
categories where they repeat.
"""

import re

import polars as pl

_REAL = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_DEGREES = r"[+-]?(?:1[0-7]\d|\d{1,2})\.\d+"
_WKT = r"(?i:SRID=\d+;)?\s*(?i:POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION)"
PATTERNS = {
    "url": r"^(?:(?i:https?|ftp)://[^\s/?#]+|(?i:www)\.[^\s/?#]+\.[A-Za-z]{2,})(?:[/?#]\S*)?$",
    "email": r"^[^@\s,;<>]+@[^@\s,;<>]+\.[A-Za-z]{2,}$",
    "wkt": rf"^{_WKT}\s*(?:[ZMzm]{{1,2}}\s*)?(?:\(|(?i:EMPTY$))",
    "point": rf"^(?:\(\s*{_REAL}\s*[,; ]\s*{_REAL}\s*\)|{_DEGREES}\s*[,; ]\s*{_DEGREES})$",
    "uuid": r"^\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}?$",
    "iban": r"^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?$",
    "hash": r"^(?:0x)?(?:[0-9a-f]{16,}|[0-9A-F]{16,})$",
}
KEY_FORMATS = frozenset(["uuid", "iban", "hash"])
GEOMETRIES = frozenset(["wkt", "point"])


def text_format_of(texts: pl.Series) -> str | None:
    """The format (key of `PATTERNS`) that all of these texts have (no nulls), or None."""
    if texts.is_empty():
        return None
    first = str(texts[0])
    for form, pattern in PATTERNS.items():
        if re.match(pattern, first) and texts.str.contains(pattern).all() and _CHECKS.get(form, _unchecked)(texts):
            return form
    return None


def _unchecked(texts: pl.Series) -> bool:
    return True


def _of_one_length(texts: pl.Series) -> bool:
    return texts.str.len_bytes().n_unique() == 1


def _with_check_digits(texts: pl.Series) -> bool:
    """The check of ISO 13616 on the first account numbers: letters as two digits, the first four characters last, 1
    modulo 97.
    """
    codes = [code.replace(" ", "") for code in texts.head(_CHECKED)]
    return all(int("".join(str(int(letter, 36)) for letter in code[4:] + code[:4])) % 97 == 1 for code in codes)


_CHECKED = 20
_CHECKS = {"hash": _of_one_length, "iban": _with_check_digits}


_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?([^/?#:]*)(?::\d*)?(.*)", re.IGNORECASE | re.DOTALL)


def host(url: str | None) -> str | None:
    """The host of an address: `example.org` of `https://www.example.org:443/a?b`; None without one."""
    found = _URL.match(url or "")
    return found.group(1).lower().removeprefix("www.") or None if found else None


def rest(url: str | None) -> str | None:
    """What follows the host: `/a?b` of `https://www.example.org:443/a?b`; None without."""
    found = _URL.match(url or "")
    return found.group(2) or None if found else None


def mail_domain(address: str | None) -> str | None:
    """The domain of an e-mail address: `example.org` of `Ann@Example.org`; None without an address."""
    return address.rpartition("@")[2].lower() or None if address else None
