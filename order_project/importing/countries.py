"""Countries by the names that people write: those of ISO 3166, of CLDR, and the everyday ones. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

import pycountry
from babel import Locale
from countryinfo import all_countries

# Names that no list has, or has for two countries.
EVERYDAY = {
    "England": "GB", "Scotland": "GB", "Wales": "GB", "Northern Ireland": "GB",
    "Korea": "KR", "Burma": "MM", "Macedonia": "MK", "Micronesia": "FM", "Macau": "MO",
}  # fmt: skip
# Names of several countries, and what to write instead of them.
SEVERAL = {
    "congo": ("Congo-Brazzaville (CG)", "Congo-Kinshasa (CD)"),
    "channel islands": ("Jersey (JE)", "Guernsey (GG)"),
    "virgin islands": ("British Virgin Islands (VG)", "US Virgin Islands (VI)"),
}
# What tables write for a missing value; NA among them, which is Namibia's code as well.
NO_NAMES = {"na", "nan", "null", "none", "nil"}


@functools.lru_cache(maxsize=1000)
def find_country_code(name: str) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of a country's name, alpha-2 or alpha-3 code.

    None: it is none of these, the name of several countries, or a word for a missing value.
    """
    folded = fold(name)
    if not name.isprintable() or folded in SEVERAL or folded in NO_NAMES:
        return None
    return codes_by_name().get(folded)


def explain_no_country(name: str) -> str:
    """Say why a text for which there is no code is no country."""
    folded = fold(name)
    if several := SEVERAL.get(folded):
        return f"may be {' or '.join(several)}: write which"
    if folded in NO_NAMES:
        return "is what tables write for a missing value (Namibia is Namibia or NAM)"
    return "is no country"


@functools.cache
def codes_by_name() -> dict[str, str]:
    """Return the codes by folded name. The first list that has a name decides what it means."""
    codes: dict[str, str] = {}
    for name, code in list_names():
        if pycountry.countries.get(alpha_2=code) and fold(name):
            codes.setdefault(fold(name), code)
    return codes


def list_names() -> Iterator[tuple[str, str]]:
    yield from EVERYDAY.items()
    for country in pycountry.countries:
        for kind in ("alpha_2", "alpha_3", "name", "common_name", "official_name"):
            yield getattr(country, kind, ""), country.alpha_2
    for code, name in Locale("en").territories.items():
        yield name, code
    for country in all_countries():
        for name in (country.name(), *country.alt_spellings()):
            yield name, str(country.iso(2))


def fold(name: str) -> str:
    """Leave out what people write or not: capitals, accents, dots, an article."""
    text = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    words = re.sub(r"[^\w\s]", "", text.replace("&", " and ").replace("-", " ")).split()
    return " ".join(words[1:] if words[:1] == ["the"] else words)
