"""The preparation of a service's database: what it says when the database does not let it in."""

from typing import Any

import pytest
from django.db import OperationalError

from compose.local import prepare


def refuse(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the database answer `migrate` with this error."""

    def call(*args: Any, **options: Any) -> None:
        raise OperationalError(text)

    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "")
    monkeypatch.setattr("django.setup", lambda: None)
    monkeypatch.setattr(prepare, "call_command", call)


def test_a_role_that_cannot_log_in_gets_a_sentence_that_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, 'FATAL:  password authentication failed for user "order_owner"')
    assert prepare.main(["order"]) == 1
    told = capsys.readouterr().err
    assert "order_owner" in told
    assert "compose/postgres/services.sh" in told


def test_another_error_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "server closed the connection unexpectedly")
    with pytest.raises(OperationalError, match="closed the connection"):
        prepare.main(["order"])
