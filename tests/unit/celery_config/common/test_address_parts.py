"""Which parts of an address each country requires."""

from __future__ import annotations

import json
from pathlib import Path

import pycountry
import pytest

from celery_config.common.address_parts import (
    COUNTRIES,
    REQUIRED,
    find_missing_parts,
    find_unprintable,
    group_countries,
    main,
)

STREET = {"name": "Ada", "line1": "1 High St"}


@pytest.mark.parametrize(
    ("address", "missing"),
    [
        ({"country": "GB"}, ["city", "postal_code"]),
        ({"country": "GB", "city": "London", "postal_code": "SW1"}, []),
        ({"country": "IE", "city": "Dublin"}, []),
        ({"country": "US", "city": "Denver", "postal_code": "80202"}, ["region"]),
        ({"country": "US", "city": "Denver", "postal_code": "80202", "region": "CO"}, []),
        ({"country": "HK"}, ["region"]),
        ({"country": "HK", "city": "Hong Kong"}, []),
        ({"country": "HK", "region": "Kowloon"}, []),
        ({"country": "JP", "city": "Tokyo"}, ["postal_code"]),
        ({"country": "SG", "postal_code": "238801"}, []),
        ({"country": "MO"}, []),
        ({}, ["city"]),
    ],
)
def test_what_an_address_lacks(address: dict[str, str], missing: list[str]) -> None:
    assert find_missing_parts({**STREET, **address}) == missing
    assert find_missing_parts(address) == ["name", "line1", *missing]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Ada Lovelace", ""),
        ("東京都\u3000千代田区", ""),
        ("\u0645\u06cc\u200c\u062e", ""),
        ("12", ""),
        ("Ada\nX\a\n", "U+000A, U+0007"),
        ("\u202eadA", "U+202E"),
        ("\u200b", "U+200B"),
        ("a\0", "U+0000"),
        ("a\ud83d", "U+D83D"),
        ("a\ufffd", "U+FFFD"),
    ],
)
def test_what_no_label_can_show(text: str, wrong: str) -> None:
    assert find_unprintable(text) == wrong


def test_the_table_has_each_country_once_and_none_that_iso_does_not_know() -> None:
    assert len(REQUIRED) == sum(len(some.split()) for some in COUNTRIES.values())
    assert {country.alpha_2 for country in pycountry.countries} > REQUIRED.keys()


def test_the_table_is_made_from_the_sources_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = {
        "US": {"require": "ACSZ"}, "HK": {"require": "AS"}, "GB": {"require": "ACZ"}, "AE": {"require": "AS"},
        "MO": {"require": "A"}, "ZZ": {"require": "AC"}, "IE": {"fmt": "%N"},
    }  # fmt: skip
    expected = {
        "": "MO", "city postal_code": "GB", "city region postal_code": "US", "region": "AE HK",
    }  # fmt: skip
    assert group_countries(metadata) == expected
    for country, content in metadata.items():
        (tmp_path / f"{country}.json").write_text(json.dumps(content))
    main(tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == '    "region": "AE HK",'
