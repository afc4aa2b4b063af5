"""Where a record begins and ends: very long cells, blank lines, quotes at the edges of what is read at once."""

from pathlib import Path

import pytest

from coreplex.engines.tabular.read.interface import Limits
from coreplex.errors.tree import BadInput
from tests.engines.tabular.judged import take

LONG = "x" * 200_000
ROWS = "".join(f"{i},a{i % 3}\n" for i in range(50))


@pytest.mark.parametrize("lines_before", [0, 2])
@pytest.mark.parametrize("cell", [LONG, f'5" {LONG}', f'"{LONG}, and more"'], ids=["plain", "misplaced quote", "quoted"])
def test_a_cell_is_as_long_as_it_likes(tmp_path: Path, cell: str, lines_before: int) -> None:
    _, table = take(tmp_path, "n,t\n" + "1,a\n" * lines_before + f"3,{cell}\n" + ROWS)
    assert table.shape == (51 + lines_before, 2)
    assert table["t"][lines_before] == cell.strip('"')


def test_a_very_long_name_is_cut_and_told_in_short(tmp_path: Path) -> None:
    reading, table = take(tmp_path, f"n,{LONG}\n{ROWS}")
    assert table.columns == ["n", "x" * 256]
    (finding,) = reading.findings
    assert len(finding.message) < 500


def test_a_long_first_cell_does_not_decide_the_separator(tmp_path: Path) -> None:
    _, table = take(tmp_path, "a comma, " * 22_000 + ";1;2\n" + "".join(f"hi, you;{i};{i % 3}\n" for i in range(50)))
    assert table.shape == (51, 3)
    assert table["column_2"][0] == 1


def test_a_cell_beyond_the_limit_is_refused_with_its_line(tmp_path: Path) -> None:
    data = ROWS + f'8,5" {"x" * 3_000_000}\n' + ROWS
    with pytest.raises(BadInput, match="starts on line 51"):
        take(tmp_path, data, limits=Limits(line_bytes=2 << 20))


def test_a_row_at_the_edge_of_a_piece_stays_whole(tmp_path: Path) -> None:
    """Misplaced quotes are read line by line; a file is read 4 MB at a time, which ends within a line and within a letter."""
    count = 110_000
    _, table = take(tmp_path, "n,t,u\n" + "".join(f'{i},w"x,{"ü" * 25}\n' for i in range(count)))
    assert table.height == count
    assert table["u"].unique().to_list() == ["ü" * 25]


@pytest.mark.parametrize("blank", [300, 300_000])
def test_blank_lines_below_the_names_are_no_end(tmp_path: Path, blank: int) -> None:
    _, table = take(tmp_path, "n,t\n" + "\n" * blank + ROWS)
    assert table.shape == (50, 2)


def test_a_first_record_of_several_lines_is_kept_whole(tmp_path: Path) -> None:
    _, table = take(tmp_path, '"a\nb",1\n"c\nd",2\n' * 20)
    assert table["column_1"].to_list() == ["a\nb", "c\nd"] * 20


def test_a_line_separator_within_a_name_ends_no_line(tmp_path: Path) -> None:
    _, table = take(tmp_path, f"n,t\u2028u\n{ROWS}")
    assert table.columns == ["n", "t u"]
    assert table.height == 50
