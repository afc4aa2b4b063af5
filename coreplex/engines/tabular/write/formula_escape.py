"""Escapes cells that a spreadsheet would run as formulas.

Excel, LibreOffice and Google Sheets run text that begins with = + - @ (also the full-width forms, also after spaces,
tabs or line ends). An apostrophe in front makes it text. Numbers are no text and stay as they are.
"""

import re

import polars as pl

# Anything that trims away, then a sign; or a tab or line end in front.
_DANGEROUS = "^[\\s\u00a0\u200b\ufeff]*[=+\\-@＝＋－＠]|^[\t\r\n]"
_PATTERN = re.compile(_DANGEROUS)


def escaped(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would run it."""
    return f"'{text}" if _PATTERN.search(text) else text


def escaped_column(name: str) -> pl.Expr:
    """A column of text, each cell `escaped`."""
    column = pl.col(name)
    return pl.when(column.str.contains(_DANGEROUS)).then(pl.lit("'") + column).otherwise(column).alias(name)
