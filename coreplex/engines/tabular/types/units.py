"""Finds the unit that a column of numbers is written with: `0 kg`, `12 km/h`, `5%`, `$3.50`, `12 500 €`.

A column has one unit or none. Numbers of several units are never merged, because 5 g are not 5 kg.
"""

import re
from collections.abc import Mapping

import polars as pl

_CODES = "CHF|EUR|USD|GBP|JPY|CNY|SEK|NOK|DKK|PLN|CZK|INR|BRL|AUD|CAD|MXN|NZD|SGD|HKD|ZAR|TRY|HUF|ILS|KRW|THB|AED|SAR"
CURRENCY = rf"(?:(?:US|CA|AU|NZ|HK|MX|[ACRS])?\$|[$€£¥₹₽₩₺₫₴₪฿]|{_CODES}|Fr\.|kr\.?|zł|Kč|Rs\.?|Ft)"
SPACES = " \t\u00a0\u202f\u2009"
MINUS = "\u2212\u2013-"
"""Minus signs for a class of characters: that of typography, the dash that word processors make of it, and the usual
one."""
SCALES = {"K|k|Tsd\\.?": 3, "M|m|MM|mm|mn|Mn|mio|Mio\\.?": 6, "B|b|bn|Bn|Mrd\\.?|mrd": 9, "T|tn": 12}
"""Powers of ten by the letters that say them after a number."""

# Lower case, singular. Only these may follow a number without a space, and only these make a column of "mixed units".
_KNOWN_TEXT = """
    % ‰ pct percent bps k m mn bn b million billion thousand x px pt dpi mp fps pcs star
    kg g mg µg μg ug t lb oz ton tonne km cm mm µm μm um nm ft in inch mi mile yd
    m2 m² km2 km² cm2 cm² mm2 mm² ft2 ft² sqft sqm ha acre l ml cl dl m3 m³ cm3 cm³ cc gal gallon ft3 ft³
    s sec second ms µs us ns min minute h hr hour d day week wk month mo year yr y
    km/h kmh kph mph m/s kn knot °c °f ° c f deg rad w kw mw gw hp bhp ps wh kwh mwh j kj mj cal kcal
    v mv kv a ma mah ah ohm ω hz khz mhz ghz pa kpa mpa hpa bar mbar psi mmhg atm rpm n nm db
    volt watt amp ampere celsius fahrenheit kelvin pascal meter metre degc degf degree
    bit kb mb gb tb kib mib gib kbps mbps gbps mg/l mg/dl g/dl g/l mmol/l ppm ppb µg/m3 µg/m³ ug/m3 iu mol kg/m2 kg/m² kg/m3 kg/m³
    mpg l/100km kmpl km/l g/km usd/kwh
"""
_KNOWN = frozenset([*_KNOWN_TEXT.split(), "deg c", "deg f"])
_NEVER_TEXT = """
    st nd rd th am pm a.m. p.m. e bc ad
    street road rd. st. avenue ave ave. av. lane drive blvd boulevard broadway court plaza way rue straße strasse str. platz weg
    calle via
"""
_NEVER = frozenset(_NEVER_TEXT.split())
_SHAPE = (
    rf"^\(?[+{MINUS}]?[{SPACES}]*(?P<before>{CURRENCY})?[{SPACES}]*[+{MINUS}]?"
    rf"(?P<number>(?:[0-9](?:[0-9.,'{SPACES}]*[0-9])?\.?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"(?:\b[{MINUS}])?(?P<gap>[{SPACES}]*)(?P<after>{CURRENCY}|[\p{{L}}°%‰](?:[\p{{L}}0-9/·^²³%°.]| \p{{L}}){{0,14}})?\)?$"
)


_SCALED = (
    rf"^\(?[+{MINUS}]?[{SPACES}]*(?P<before>{CURRENCY})?[{SPACES}]*[+{MINUS}]?(?P<number>\d[\d.,' ]*)"
    rf"(?P<scale>{'|'.join(SCALES)})?[{SPACES}]*(?P<after>{CURRENCY})?\)?$"
)


def normalized_unit(unit: str) -> str:
    """What two spellings of one unit share: `Years` and `year`. Milli and mega differ in nothing but their case."""
    single = unit[:-1] if len(unit) >= 3 and unit.endswith("s") and unit.isalpha() else unit
    return single if _case_tells(single) else single.lower()


def _case_tells(single: str) -> bool:
    return single[:1] in ("m", "M") and len(single) <= 3


def pattern(unit: str) -> str:
    """A regular expression for all spellings of this unit, for Python and for Polars."""
    folded = normalized_unit(unit)
    if not any(map(str.isalpha, folded)):
        return f"(?:{re.escape(folded)})"
    many = "s?" if len(folded) >= 2 and folded.isalpha() else ""
    return f"(?{'' if _case_tells(folded) else 'i'}:{re.escape(folded)}{many})"


def common_unit(texts: pl.Series) -> str | None:
    """The one unit of these distinct texts, as most of them spell it; empty if none has one, None if there are several."""
    found = _parts(texts.head(16)) and _parts(texts)
    if not found:
        return None
    if not found.units:
        return ""
    if len({normalized_unit(unit) for unit in found.units}) > 1:
        return None
    unit = min(found.units, key=lambda unit: (-found.units[unit], unit.swapcase()))
    return unit if _is_unit(unit, found.attached, texts.len()) else None


def scaled_currency(texts: pl.Series) -> str | None:
    """The currency, or nothing, of numbers that `K` and `M` multiply (`$345K`, or `1.2M` beside `300K`); None where
    they do not.

    A letter alone is a unit like any other: nobody knows whether 5 m are millions.
    """
    parts = texts.str.extract_groups(_SCALED).struct.unnest()
    if parts["number"].null_count():
        return None
    currencies = parts.select(pl.coalesce("before", "after")).to_series().drop_nulls().unique().to_list()
    letters = set(parts["scale"].drop_nulls())
    powers = {power for scale, power in SCALES.items() for letter in letters if re.fullmatch(scale, letter)}
    said = len(powers) > 1 and not letters & {"m", "b", "mm"}
    return "".join(currencies) if letters and len(currencies) <= 1 and (currencies or said) else None


def is_known(text: str) -> bool:
    """True for a unit that a number beside the others may lack. `or more` is none: 3 is not `3 or more`."""
    return bool(re.fullmatch(CURRENCY, text)) or normalized_unit(text).lower() in _KNOWN


def looks_like_number(texts: pl.Series) -> pl.Series:
    """True where a text is a number with at most a unit before or after it."""
    return texts.str.contains(_SHAPE)


def mixed_units(texts: pl.Series) -> list[str]:
    """The units of a column that is numbers of two to six known units; else none. Commonest first."""
    found = _parts(texts.head(16)) and _parts(texts)
    units = found.units if found else {}
    if not found or not 2 <= len({normalized_unit(unit) for unit in units}) <= 6:
        return []
    known = all(_is_unit(unit, attached=True, numbers=2) for unit in units)
    # House numbers and classes at school: 12a, 12b.
    letters = all(len(unit) == 1 and unit.isalpha() for unit in units) and not all(unit in "kKmMbB" for unit in units)
    return sorted(units, key=lambda unit: (-units[unit], unit.swapcase())) if known and not letters else []


class _Parts:
    def __init__(self, units: Mapping[str, int], attached: bool) -> None:
        self.units = units
        """How many distinct texts have each."""
        self.attached = attached
        """True if a unit follows its number without a space."""


def _parts(texts: pl.Series) -> _Parts | None:
    """What stands around the numbers; None if a text is no number with at most one unit."""
    parts = texts.str.extract_groups(_SHAPE).struct.unnest()
    before, after = parts["before"], parts["after"]
    if parts["number"].null_count() or (before.is_not_null() & after.is_not_null()).any():
        return None
    unit = before.fill_null(after)
    attached = bool(((parts["gap"] == "") & after.is_not_null()).any())
    return _Parts(dict(unit.drop_nulls().value_counts().iter_rows()), attached)


def _is_unit(unit: str, attached: bool, numbers: int) -> bool:
    """True for a known unit, and for one word after blanks that stands beside several numbers; `12 Main St` has none."""
    return is_known(unit) or (not attached and numbers > 1 and " " not in unit and unit.lower() not in _NEVER)
