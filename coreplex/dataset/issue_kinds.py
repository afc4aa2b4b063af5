"""Every kind of issue that reading a table, judging it or diagnosing a target can find: what it is, what it harms, what mends it.

The message of an issue says this of the case at hand; here it is said of the kind, for lists, filters and help texts.
"""

from collections.abc import Mapping
from typing import NamedTuple


class IssueKind(NamedTuple):
    what: str
    harm: str
    fix: str


LOST = "Cells that could not be read are missing."
TYPE = "It is kept as text, whose numbers or order no model sees."
ROWS = "Rows may be wrong or gone."
GUESS = "If the guess is wrong, so is all that follows from it."
LIKE = "Send the file as you want it read, or set the column's type."
NOTHING = "None, if it was meant so."

KINDS: Mapping[str, IssueKind] = {
    # The file
    "archive_member": IssueKind("Of several files in an archive one was read.", "The others are not in the table.", "Send them."),
    "bad_lines": IssueKind("Lines have more cells than there are columns.", ROWS, "Quote cells that hold the separator."),
    "blank_lines": IssueKind("There are blank lines.", "None: they are left out.", "Nothing."),
    "damaged_sheet": IssueKind("A sheet of the workbook cannot be read.", "It is not in the table.", "Save the workbook again."),
    "encoding_errors": IssueKind("Bytes are no characters.", "Texts are wrong at those places.", "Save the file as UTF-8."),
    "encoding_guessed": IssueKind("The encoding was guessed.", "Letters beyond ASCII may be wrong.", "Save the file as UTF-8."),
    "error_cells": IssueKind("Cells of the workbook hold errors.", LOST, "Mend the formulas."),
    "footer_lines": IssueKind("Lines at the end are no rows.", "None: they are left out.", "Remove them from the file."),
    "formulas_without_result": IssueKind("Formulas were saved without their results.", LOST, "Save the workbook in Excel."),
    "header_missing": IssueKind("The first line is no header.", "Columns have made-up names.", "Put names in the first line."),
    "json_text": IssueKind("Cells hold lists or objects.", "They are kept as JSON text.", "Spread them over columns."),
    "misplaced_quotes": IssueKind("Quotes stand where none may.", ROWS, "Double quotes within quoted cells."),
    "nameless_columns": IssueKind("Columns have no name.", "Empty ones are left out, others have made-up names.", "Name them."),
    "not_a_number": IssueKind("Values are NaN.", "They count as missing.", "Leave the cells empty."),
    "parted_by_blanks": IssueKind("Columns are parted by blanks.", GUESS, "Use commas, or tabs."),
    "preamble_skipped": IssueKind("Lines before the header were skipped.", NOTHING, "Remove them from the file."),
    "read_by_content": IssueKind("The file is of another format than its name says.", NOTHING, "Give it the right ending."),
    "renamed_columns": IssueKind(
        "Columns were renamed, as names must be unique and short.",
        "Rows to predict need the new names.",
        "Rename them in the file.",
    ),
    "repeated_keys": IssueKind("Keys stand twice in their object.", "Only the last value counts.", "Write each key once."),
    "repeated_names": IssueKind("The header stands again among the rows.", "None: such lines are left out.", "Remove them."),
    "ruler_lines": IssueKind("Lines hold dashes only.", "None: they are left out.", "Nothing."),
    "second_header": IssueKind("The second line is a header too.", "None: it is left out.", "Remove it."),
    "separator_unclear": IssueKind("It is unclear what parts the columns.", GUESS, "Use commas, or tabs, everywhere."),
    "sheet_chosen": IssueKind("One of several sheets was read.", "The others are not in the table.", "Name the sheet."),
    "short_lines": IssueKind("Lines have fewer cells than there are columns.", LOST, "Complete them."),
    "total_row": IssueKind("The last line sums the others up.", "It would be learned as a row: it is left out.", "Remove it."),
    "trimmed_blanks": IssueKind("Blanks at the ends of texts were cut.", NOTHING, "Nothing."),
    "units_line": IssueKind("A line under the header holds units.", "None: it is left out.", "Nothing."),
    # Types
    "ambiguous_dates": IssueKind("Dates can be read day first or month first.", GUESS, "Write dates as YYYY-MM-DD."),
    "ambiguous_numbers": IssueKind("Numbers can be read in two ways.", GUESS, "Write numbers with a decimal point."),
    "converted_type": IssueKind("The file's own type was converted.", "Some precision may be lost.", "Nothing, usually."),
    "invalid_dates": IssueKind("Nearly all cells are dates.", TYPE, "Correct the others, or set the type to datetime."),
    "missing_words": IssueKind(
        "Words may stand for missing values.",
        "A missing value may be learned as a class of its own, or the other way round.",
        "Say which words are missing values.",
    ),
    "mixed_dates": IssueKind("Dates are written in several ways.", TYPE, "Write them all alike."),
    "mixed_types": IssueKind("Values of several types stand in a column.", TYPE, LIKE),
    "mixed_units": IssueKind("Numbers have several units, or some have none.", "They are not comparable.", "Use one unit."),
    # Columns and rows
    "constant_column": IssueKind("A column holds one value only.", "It tells nothing.", "Leave it out."),
    "duplicate_rows": IssueKind(
        "Rows repeat earlier ones exactly.",
        "They count twice, and flatter a random split.",
        "Remove them if they are no separate events.",
    ),
    "empty_column": IssueKind("A column holds nothing.", "It tells nothing.", "Leave it out."),
    "high_cardinality": IssueKind("A column has very many categories.", "Rare ones cannot be learned.", "Group the rare ones."),
    "high_correlation": IssueKind("Two columns say nearly the same.", "Explanations share their effect.", "Leave one out."),
    "id_like_column": IssueKind("A column names the rows.", "None: it is not used for training.", "Set its type if it does not."),
    "missing_values": IssueKind("Values are missing.", "What is not known cannot be learned.", "Find out why they are."),
    "outliers": IssueKind("Values lie far outside the usual range.", "They pull means and linear models.", "Check them."),
    "sentinel_values": IssueKind(
        "A value such as -999 seems to stand for missing ones.", "It is learned as a number.", "Mark it as missing."
    ),
    "skewed_distribution": IssueKind("A few values are much larger, or smaller.", "Linear models suffer.", "Take logarithms."),
    "whitespace_or_case_variants": IssueKind(
        "The same is written in several ways.", "It counts as several categories.", "Write it alike."
    ),
    # The target
    "class_imbalance": IssueKind(
        "Classes are uneven.", "Accuracy praises a model that never says the rare one.", "Judge by AUC or log loss."
    ),
    "target_is_identifier": IssueKind("The target names the rows.", "There is nothing to learn.", "Choose another target."),
    "target_is_order": IssueKind("The target counts the rows.", "There is nothing to learn.", "Choose another target."),
    "target_leak": IssueKind(
        "Columns give the target away.", "The model is worthless where they are not known yet.", "Leave them out."
    ),
    "unusable_target": IssueKind("The target cannot be learned.", "An experiment on it is refused.", "Choose another target."),
}
OF_TARGET = frozenset({"class_imbalance", "target_is_identifier", "target_is_order", "target_leak", "unusable_target"})
"""What is found only for the target that is asked for."""

LEAKS: Mapping[str, str] = {
    "copy": "It is the target under other names.",
    "cut": "The classes of the target are ranges of it.",
    "binned": "Its values are ranges of the target.",
    "transform": "It rises or falls with the target without exception.",
    "indicator": "One of its values says the target.",
    "lookup": "Its values repeat, each always with one class: a key of what the class belongs to.",
    "row_counter": "It counts rows that are sorted by the target.",
    "absence": "That it is missing says the target.",
    "group_mean": "It is a mean of the target over groups of rows.",
    "text": "Words in it say the target.",
    "sum": "The target is a sum of these columns.",
    "product": "The target is a product of these columns.",
    "formula": "The target nearly follows from these columns by a formula.",
    "pair": "Two columns say it together: by their difference, their ratio or both at once.",
    "near_copy": "It is the target with noise.",
    "suspicious": "It tells so much more than any other column that it may be known only afterwards.",
}
"""How columns give the target away."""
