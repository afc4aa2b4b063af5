"""Rows of a sheet that are taken without a parser of XML: what they say does not depend on that."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.tabular.read import regex_rows, workbook
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.intermediate_csv import IntermediateCsv
from coreplex.engines.tabular.read.worksheet import Worksheet
from tests.engines.tabular.files import bare_book

CELLS = st.sampled_from(
    [
        '<c r="{}"><v>1.50</v></c>',
        '<c r="{}" s="1"><v>45000</v></c>',
        '<c r="{}" t="s" s="0"><v>1</v></c>',
        '<c r="{}" s="2"/>',
        '<c r="{}" t="b"><v>1</v></c>',
        '<c r="{}" t="e"><v>#N/A</v></c>',
        '<c r="{}" t="str"><f>A1&amp;"x"</f><v>y</v></c>',
        '<c r="{}"><f>A1</f><v></v></c>',
        '<c r="{}"><f t="shared" si="0"/><v>7</v></c>',
        '<c r="{}" t="inlineStr"><is><t>ü\n</t></is></c>',
        '<c r="{}" t="inlineStr"><is><r><t>a</t></r><r><t> b</t></r></is></c>',
        '<c r="{}" t="str"><v>x &lt; y</v></c>',
        '<c r="{}" t="str"><v><![CDATA[</row>]]></v></c>',
        '<c r="{}" t="str"><v>_x0041_</v></c>',
        "<c r='{}'><v>3</v></c>",
        '<!-- </row><row r="9"><c r="A9"><v>9</v></c></row> -->',
        '<c r="{}" cm="1"><v>8</v></c>',
        '<c r="{}"><v/></c>',
        "<c><v>4</v></c>",
    ]
)
ROWS_OF_CELLS = st.lists(st.lists(CELLS, max_size=5), min_size=2, max_size=12)


@settings(max_examples=40, deadline=None)
@given(ROWS_OF_CELLS, st.integers(1, 400), st.sampled_from(["", "<!-- <sheetData> -->"]), st.sampled_from(["", "\n "]))
def test_plain_rows_are_read_as_the_parser_reads_them(rows: list[list[str]], piece: int, head: str, gap: str) -> None:
    """The same sheet in pieces of any size, once with the plain rows cut out and once with the parser alone."""
    body = "".join(
        f'<row r="{at + 1}">{gap}'
        + gap.join(cell.format(f"{'ABCDE'[index]}{at + 1}") for index, cell in enumerate(cells))
        + f"{gap}</row>{gap}"
        for at, cells in enumerate([['<c r="{}" t="str"><v>n</v></c>'] * 5, *rows])
    )
    data = bare_book(f"{head}<sheetData>{gap}{body}</sheetData>", texts="<sst><si><t>a</t></si><si><t>b,c</t></si></sst>")
    assert sheet_read(data, piece) == sheet_read(data, piece, plain=False)


def sheet_read(data: bytes, piece: int, *, plain: bool = True) -> tuple[bytes, int, int, list[int]]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        source = Path(folder) / "book.xlsx"
        source.write_bytes(data)
        patch.setattr(workbook, "_PIECE", piece)
        if not plain:
            patch.setattr(regex_rows, "_BEGINS", b"<never>")
        with workbook.opened(source, Limits()) as opened:
            sheet = Worksheet(opened, opened.sheets[0], IntermediateCsv(Path(folder) / "sheet.csv", Limits()))
            sheet.read()
            return sheet.table.path.read_bytes(), sheet.errors, sheet.uncomputed, list(sheet._numbers)
