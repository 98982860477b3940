"""Countries are known by the names that people write."""

from __future__ import annotations

import pytest

from order_project.importing.countries import find_country_code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Turkey", "TR"), ("Türkiye", "TR"), ("Russia", "RU"), ("Korea", "KR"), ("South Korea", "KR"),
        ("North Korea", "KP"), ("The Netherlands", "NL"), ("Holland", "NL"),
        ("UAE", "AE"), ("U.A.E.", "AE"), ("The Czech Republic", "CZ"),
        ("Great Britain", "GB"), ("Northern Ireland", "GB"), ("U.K.", "GB"), ("GBR", "GB"), ("united kingdom", "GB"),
        ("EIRE", "IE"), ("Éire", "IE"), ("Ivory Coast", "CI"), ("Cote d'Ivoire", "CI"), ("Côte d’Ivoire", "CI"),
        ("Czech Republic", "CZ"), ("Czechia", "CZ"), ("Cape Verde", "CV"), ("Swaziland", "SZ"), ("Burma", "MM"),
        ("RSA", "ZA"), ("USA", "US"), ("United States", "US"), ("Channel Islands", "JE"), ("Hong Kong", "HK"),
        ("Vietnam", "VN"), ("Iran", "IR"), ("Bolivia", "BO"), ("Taiwan", "TW"), ("Congo", "CG"), ("Niger", "NE"),
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
