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
_PAIRS = {f"{min(yes)}/{min(no)}": (yes, no) for yes, no in BOOLEAN_PAIRS}
YES = frozenset().union(*(yes for yes, _ in BOOLEAN_PAIRS))
NO = frozenset().union(*(no for _, no in BOOLEAN_PAIRS))


def boolean_pair(values: set[str]) -> str | None:
    """The code of the pair that explains all of these lower-case words. Both sides must occur, except for true and false."""
    for code, (yes, no) in _PAIRS.items():
        if values <= yes | no and values and ("true" in yes or (values & yes and values & no)):
            return code
    return None


def boolean_words(code: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """(yes, no) in lower case for a code: `yes/no` of one pair, `01` for all of them and 1 and 0, None for all of them."""
    if code == "01":
        return YES | {"1", "1.0"}, NO | {"0", "0.0"}
    return _PAIRS[code] if code else (YES, NO)


def one_side(values: set[str]) -> bool:
    """True if these lower-case words are all a yes, or all a no, of one pair: the other side may stand further down."""
    return bool(values) and any(values <= yes or values <= no for yes, no in BOOLEAN_PAIRS)
