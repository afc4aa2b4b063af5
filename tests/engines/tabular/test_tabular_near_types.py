"""Columns that are nearly of a type, and words that were taken for nothing: the user is told why a column is what it is."""

from pathlib import Path

import pytest

from coreplex.engines.tabular.schema import ColumnType
from tests.engines.tabular.judged import judge


def cells(*values: str, rows: int = 200) -> str:
    return "n,value\n" + "".join(f"{i % 9},{values[i % len(values)]}\n" for i in range(rows))


def test_one_odd_cell_among_very_many_numbers_is_found(tmp_path: Path) -> None:
    data = "value,n\n" + "".join(f"{3 * i + 7},{i % 3}\n" * 2 for i in range(15_000)) + "oops,1\n"
    issue = judge(tmp_path, data)[1]["mixed_types", "value"]
    assert issue["evidence"]["examples"] == ["oops"]
    assert issue["affected_rows"] == 1


@pytest.mark.parametrize("odd", ["<0,5", "30*", "nicht gemessen 1"])
def test_numbers_with_a_decimal_comma_and_something_else_are_named(tmp_path: Path, odd: str) -> None:
    data = "n;value\n" + "".join(f"{i % 9};{odd if i % 4 == 1 else f'{i % 50},{i % 7 + 1}'}\n" for i in range(200))
    issue = judge(tmp_path, data)[1]["mixed_types", "value"]
    assert (issue["affected_rows"], issue["evidence"]["examples"]) == (50, [odd])


def test_dates_in_several_formats_are_named(tmp_path: Path) -> None:
    issue = judge(tmp_path, cells("2024-01-15", "16.02.2024", "2024-03-02", "17/05/2024"))[1]["mixed_dates", "value"]
    assert issue["evidence"]["format"] == ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"]
    assert issue["affected_rows"] == 100
    assert "in 3 ways, such as '2024-" in issue["message"]


def test_a_third_word_beside_yes_and_no_is_named_where_it_is_rare(tmp_path: Path) -> None:
    issue = judge(tmp_path, cells("yes", "no") + "1,maybe\n")[1]["mixed_types", "value"]
    assert (issue["severity"], issue["evidence"]["examples"]) == ("low", ["maybe"])
    third_category = cells(*["yes", "no"] * 6, "no service")
    assert ("mixed_types", "value") not in judge(tmp_path, third_category)[1]


def test_a_chosen_text_is_not_called_into_question(tmp_path: Path) -> None:
    data = cells("yes", "no") + "1,maybe\n"
    assert ("mixed_types", "value") not in judge(tmp_path, data, overrides={"value": ColumnType.categorical})[1]


def test_words_beside_words_are_categories_and_named(tmp_path: Path) -> None:
    facts, issues = judge(tmp_path, cells("NA", "EU", "unknown", "None", "?"))
    assert facts["value"]["missing_count"] == 40, "a sign is nobody's category"
    issue = issues["missing_words", "value"]
    assert issue["evidence"] == {
        "words": {"NA": 40, "None": 40, "unknown": 40},
        "values": ["NA", "None", "unknown"],
        "read_as": "category",
    }
    assert (issue["severity"], issue["affected_rows"], issue["affected_pct"]) == ("low", 120, 60.0)


def test_words_taken_for_missing_among_codes_and_yes_and_no_are_named(tmp_path: Path) -> None:
    for read_as, values in (("missing", ["007", "012", "NA", "031"]), ("boolean", ["yes", "NA", "no", "yes"])):
        issue = judge(tmp_path, cells(*values))[1]["missing_words", "value"]
        assert issue["evidence"] == {"words": {"NA": 50}, "read_as": read_as}
        assert (issue["severity"], issue["affected_rows"]) == ("medium", 50)


@pytest.mark.parametrize(
    "values", [["NA", "1.5"], ["?", "", "EU", "AS"], ["NA", *["007", "012"] * 15]], ids=["number", "sign", "few"]
)
def test_what_can_only_be_missing_is_not_named(tmp_path: Path, values: list[str]) -> None:
    assert ("missing_words", "value") not in judge(tmp_path, cells(*values))[1]
