"""Cells that a spreadsheet would run as formulas, made harmless.

Excel, LibreOffice and Google Sheets run text that begins with = + - @ (also the full-width forms, also after spaces, tabs or
line ends). An apostrophe in front makes it text. Numbers are no text and stay as they are.
"""

import re

import polars as pl

# Anything that trims away, then a sign; or a tab or line end in front.
_DANGEROUS = "^[\\s\u00a0\u200b\ufeff]*[=+\\-@＝＋－＠]|^[\t\r\n]"
_PATTERN = re.compile(_DANGEROUS)


def escaped(text: str) -> str:
    """One cell."""
    return f"'{text}" if _PATTERN.search(text) else text


def escaped_column(name: str) -> pl.Expr:
    """A column of text."""
    column = pl.col(name)
    return pl.when(column.str.contains(_DANGEROUS)).then(pl.lit("'") + column).otherwise(column).alias(name)
