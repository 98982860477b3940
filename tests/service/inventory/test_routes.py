"""Every address of the API, in both spellings."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.service.declared_answers import read_documented_codes
from tests.service.routes import (
    api_routes,
    assert_no_parameter_is_empty,
    assert_parameters_are_given_once,
    assert_reached_without_slash,
    declared_keys,
    documented_keys,
    find_undocumented_routes,
)
from tests.service.texts import find_codes, find_taken_texts, find_texts

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("route", [*api_routes()])
def test_the_last_slash_may_be_left_out(stranger: Any, route: str) -> None:
    assert_reached_without_slash(stranger, route)


def test_each_address_is_documented() -> None:
    assert find_undocumented_routes() == []


def test_what_each_post_does_with_an_idempotency_key_is_documented() -> None:
    assert declared_keys() == documented_keys()


def test_a_text_that_nobody_can_see_is_refused_wherever_people_write_one() -> None:
    assert find_texts().keys() >= {
        "TokenInput.name",
        "InputSerializer.products[].name",
        "InputSerializer.reason",
    }
    assert find_taken_texts() == []


def test_a_parameter_of_a_list_that_is_given_twice_is_refused(admin_client: Client) -> None:
    assert_parameters_are_given_once(admin_client)


def test_a_parameter_of_a_type_is_not_empty(admin_client: Client) -> None:
    assert_no_parameter_is_empty(admin_client)


def test_each_code_of_a_field_is_documented() -> None:
    assert find_codes() - read_documented_codes() == set()
