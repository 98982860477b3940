"""`./manage.py test` takes the names of groups, or none."""

from __future__ import annotations

import pytest

from tests.run import GROUPS, parse


def test_none_means_all() -> None:
    assert parse([]).only == []


@pytest.mark.parametrize("group", GROUPS)
def test_a_group(group: str) -> None:
    assert parse([group]).only == [group]


def test_an_unknown_group_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["everything"])
    assert "no such group: everything" in capsys.readouterr().err
