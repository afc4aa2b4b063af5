"""Lists the words people write in cells for missing, for yes and for no."""

from functools import lru_cache

# Exact spellings, compared after trimming; only `UNKNOWN` is given in lower case and met in any.
ALWAYS = frozenset(
    [
        "",
        "NaN",
        "nan",
        "NAN",
        "-nan",
        "-NaN",
        "NULL",
        "null",
        "Null",
        "(null)",
        "\\N",
        "NaT",
        "<NA>",
        "<na>",
        "#N/A",
        "#NA",
        "#N/A N/A",
        "#NULL!",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#NAME?",
        "#NUM!",
    ]
)
"""What programs write where nothing is: missing in every column, whatever a person says."""
SIGNS = frozenset(["?", "-", "--", "---", ".", ".."])
"""Nobody's category, unless the whole column is signs."""
ABSENT = frozenset(["NA", "N/A", "n/a", "na", "n.a.", "N.A.", "N.a.", "None", "none", "NONE", "nil"])
"""No garage, or not known? Beside words they are a category, everywhere else missing."""
_UNKNOWN = ("unknown", "missing", "not available", "not applicable", "not known", "no data")
UNKNOWN = frozenset(form(word) for word in _UNKNOWN for form in (str.lower, str.upper, str.capitalize, str.title))
"""Missing among numbers and dates; beside words, and beside yes and no, a category of its own."""
MISSING = ALWAYS | SIGNS | ABSENT | UNKNOWN
"""Every word that can mean nothing."""
AMBIGUOUS_WORDS = ABSENT | UNKNOWN | {word for word in ALWAYS if word[:1].isalpha()}
"""A category, or nothing, in a column of text: signs such as `?`, `--` or `#N/A` are nobody's category."""
MISSING_WORDS = tuple(sorted(MISSING - ALWAYS))
"""What is missing in a column of text where every such word is."""


@lru_cache(maxsize=4096)
def missing_texts(kind: str, said: tuple[str, ...] | None = None) -> frozenset[str]:
    """The texts that mean missing in a column of that kind of `ParseRule` (`string`, `boolean`, `undecided`, else
    values).

    `said`: what the column itself says. Beside other texts it stands in for the signs, so () leaves `ALWAYS` alone; to
    numbers, dates and booleans, where a word can mean nothing else, it adds.
    """
    if kind == "string":
        return ALWAYS | (SIGNS if said is None else frozenset(said))
    return (MISSING - UNKNOWN if kind in ("boolean", "undecided") else MISSING).union(said or ())


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
    """The code of the pair that explains all of these lower-case words. Both sides must occur, except for true and
    false.
    """
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
