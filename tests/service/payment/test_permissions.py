"""Every address and page, tried by everybody, against the table in docs/reference/permissions.yaml."""

from __future__ import annotations

import pytest

from tests.attempts import Recorder
from tests.service.permissions import find_faults_of_admin, find_faults_of_api, find_faults_of_site

pytestmark = pytest.mark.django_db


def test_who_may_make_each_call(record_property: Recorder) -> None:
    assert "\n".join(find_faults_of_api(record_property)) == ""


def test_who_may_open_each_page_and_take_each_action(record_property: Recorder) -> None:
    assert "\n".join(find_faults_of_admin(record_property)) == ""


def test_who_may_open_the_board_and_what_each_part_shows_them(record_property: Recorder) -> None:
    assert "\n".join(find_faults_of_site(record_property)) == ""
