"""Countries are known by the names that people write."""

from __future__ import annotations

import pytest

from order_project.importing.countries import explain_no_country, find_country_code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Turkey", "TR"), ("Türkiye", "TR"), ("Russia", "RU"), ("Korea", "KR"), ("South Korea", "KR"),
        ("North Korea", "KP"), ("The Netherlands", "NL"), ("Holland", "NL"),
        ("UAE", "AE"), ("U.A.E.", "AE"), ("The Czech Republic", "CZ"),
        ("Great Britain", "GB"), ("Northern Ireland", "GB"), ("U.K.", "GB"), ("GBR", "GB"), ("united kingdom", "GB"),
        ("EIRE", "IE"), ("Éire", "IE"), ("Ivory Coast", "CI"), ("Cote d'Ivoire", "CI"), ("Côte d’Ivoire", "CI"),
        ("Czech Republic", "CZ"), ("Czechia", "CZ"), ("Cape Verde", "CV"), ("Swaziland", "SZ"), ("Burma", "MM"),
        ("RSA", "ZA"), ("USA", "US"), ("United States", "US"), ("Hong Kong", "HK"),
        ("Vietnam", "VN"), ("Iran", "IR"), ("Bolivia", "BO"), ("Taiwan", "TW"), ("Niger", "NE"),
        ("Guinea", "GN"), ("Dominica", "DM"), ("Saudi Arabia", "SA"), ("Lebanon", "LB"), ("Malta", "MT"),
    ],
)  # fmt: skip
def test_an_everyday_name(name: str, code: str) -> None:
    assert find_country_code(name) == code


@pytest.mark.parametrize(
    "name",
    [
        "European Community",
        "Unspecified",
        "Atlantis",
        "Francee",
        "Indiana",
        "826",
        "+44",
        "",
        " ",
        "the",
        "Islands",
        "EU",
    ],
)
def test_what_is_no_country(name: str) -> None:
    assert find_country_code(name) is None


@pytest.mark.parametrize("name", ["NA", "N/A", "n.a.", "#N/A", "NaN", "null", "None", "nil"])
def test_a_word_for_a_missing_value_is_no_country(name: str) -> None:
    assert find_country_code(name) is None
    assert "missing value" in explain_no_country(name)


@pytest.mark.parametrize("name", ["Namibia", "NAM"])
def test_namibia_has_other_names(name: str) -> None:
    assert find_country_code(name) == "NA"


@pytest.mark.parametrize(
    ("name", "both"),
    [
        ("Congo", ("CG", "CD")),
        ("The Congo", ("CG", "CD")),
        ("channel islands", ("JE", "GG")),
        ("Virgin Islands", ("VG", "VI")),
    ],
)
def test_a_name_of_several_countries_is_refused_with_each(name: str, both: tuple[str, str]) -> None:
    assert find_country_code(name) is None
    assert all(f"({code})" in explain_no_country(name) for code in both)
    words = explain_no_country(name).removeprefix("may be ").partition(":")[0].split(" or ")
    assert tuple(find_country_code(each.partition(" (")[0]) for each in words) == both
