"""The words people write in cells: for nothing, for yes and for no. Data, not behaviour."""

# Exact spellings, compared after trimming. "unknown", "missing" and "other" are categories, not absences.
MISSING = frozenset(
    [
        "NA",
        "N/A",
        "n/a",
        "na",
        "NaN",
        "nan",
        "NAN",
        "-nan",
        "-NaN",
        "NULL",
        "null",
        "Null",
        "None",
        "none",
        "NONE",
        "nil",
        "?",
        "-",
        "--",
        "---",
        ".",
        "..",
        "#N/A",
        "#NA",
        "#NULL!",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#NAME?",
        "#NUM!",
        "<NA>",
        "<na>",
        "(null)",
        "\\N",
        "NaT",
        "n.a.",
        "N.A.",
        "N.a.",
    ]
) | {"", "#N/A N/A"}

# (yes, no), lower case. 0 and 1 stay integers: nothing is lost by counting them.
BOOLEAN_PAIRS: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (frozenset(yes.split()), frozenset(no.split()))
    for yes, no in (
        ("true", "false"),
        ("yes", "no"),
        ("y", "n"),
        ("t", "f"),
        ("on", "off"),
        ("ja", "nein"),
        ("ja", "nee"),
        ("j", "n"),
        ("oui", "non"),
        ("vrai", "faux"),
        ("wahr", "falsch"),
        ("si sí", "no"),
        ("sì", "no"),
        ("sim", "não nao"),
        ("verdadero", "falso"),
        ("vero", "falso"),
        ("verdadeiro", "falso"),
        ("tak", "nie"),
        ("ano", "ne"),
        ("да", "нет"),
        ("evet", "hayır"),
        ("はい", "いいえ"),
        ("是", "否"),
    )
)
YES = frozenset().union(*(yes for yes, _ in BOOLEAN_PAIRS))
NO = frozenset().union(*(no for _, no in BOOLEAN_PAIRS))


def boolean_pair(values: set[str]) -> tuple[frozenset[str], frozenset[str]] | None:
    """The pair that explains all of these lower-case words. Both sides must occur, except for true and false."""
    for yes, no in BOOLEAN_PAIRS:
        if values <= yes | no and values and ("true" in yes or (values & yes and values & no)):
            return yes, no
    return None
