"""`./manage.py ops` against the HTTP API of a server that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django.live_server_helper import LiveServer

from celery_config.common.roles import Role
from celery_config.saga.models import DeadLetter, OperatorAction, SagaPause
from celery_config.saga.operations import barrier_client
from celery_config.web.tokens import issue_token
from compose.local import ops, ports
from tests.service.order.conftest import Placed, Shop
from tests.service.order.saga.operations.test_operators import park
from tests.service.shipped import ship

pytestmark = pytest.mark.django_db(transaction=True)


class Terminal:
    """Runs the command as an operator does, and reads what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        try:
            code = ops.main([*words])
        except SystemExit as left:  # argparse
            code = int(left.code or 0)
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def read(self, *words: str) -> Any:
        code, out, errors = self.run(*words)
        assert (code, errors) == (0, ""), errors
        return json.loads(out)

    def refuse(self, *words: str) -> Any:
        """Return the problem of a call that is refused."""
        code, out, errors = self.run(*words)
        assert (code, out) == (1, "")
        return json.loads(errors)


@pytest.fixture
def operator(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> User:
    ship()
    user = User.objects.create_user("ada", is_staff=True)
    user.groups.add(Group.objects.get(name=Role.OPERATOR))
    monkeypatch.setenv("OPS_URL", live_server.url)
    monkeypatch.setenv("OPS_TOKEN", issue_token(user)[1])
    return user


@pytest.fixture
def terminal(operator: User, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(barrier_client, "read_barrier", lambda service, saga: {})
    return Terminal(capsys)


@pytest.fixture
def parked(shop: Shop) -> Placed:
    placed = shop.order()
    park(placed)
    return placed


def test_a_verb_is_shown_first_and_done_with_yes(terminal: Terminal, parked: Placed) -> None:
    saga = str(parked.saga_id)
    (listed,) = terminal.read("sagas", "list", "--status", "parked")["results"]
    assert listed == terminal.read("sagas", "show", saga)
    assert "Waits for a decision" in terminal.read("sagas", "history", saga)["sentence"]
    shown = terminal.read("sagas", "retry", saga, "--why", "the bank is back")
    assert (shown["preview"]["before"], shown["preview"]["after"]) == ("parked", "stopping")
    assert shown["request"] == {
        "method": "POST", "path": f"/api/sagas/{saga}/retry/", "body": {"why": "the bank is back"},
    }  # fmt: skip
    assert not OperatorAction.objects.exists()
    done = terminal.read("sagas", "retry", saga, "--why", "the bank is back", "--yes")
    assert (done["verb"], done["by"]) == ("retry", "ada")
    assert parked.saga.status == "stopping"


def test_a_repeat_with_one_key_does_it_once(terminal: Terminal) -> None:
    act = ("sagas", "pauses", "new", "--saga", "place-order", "--why", "x", "--yes", "--key", "one")
    assert terminal.read(*act) == terminal.read(*act)
    assert SagaPause.objects.count() == 1
    terminal.read("sagas", "pauses", "end", "--saga", "place-order", "--why", "x", "--yes")
    assert terminal.read("sagas", "pauses") == []


def test_a_batch_is_made_looked_at_and_stopped(terminal: Terminal, parked: Placed) -> None:
    new = ("batches", "new", "--verb", "retry", "--ids", str(parked.saga_id), "--why", "x")
    assert terminal.read(*new)["request"]["body"]["ids"] == [str(parked.saga_id)]
    batch = terminal.read(*new, "--per-minute", "5", "--one-first", "true", "--yes")
    assert (batch["per_minute"], batch["one_first"]) == (5, True)
    stop = ("batches", "stop", batch["id"], "--why", "x")
    assert terminal.read(*stop)["preview"]["state"] == "checking"
    assert terminal.read(*stop, "--yes")["verb"] == "stop a batch"
    code, out, _ = terminal.run("batches", "items", batch["id"], "--all", "--limit", "1")
    assert (code, [json.loads(line)["flow"] for line in out.splitlines()]) == (0, [str(parked.saga_id)])


def test_all_pages_are_read(terminal: Terminal, shop: Shop) -> None:
    orders = [shop.order() for _ in range(3)]
    _, out, _ = terminal.run("sagas", "list", "--all", "--limit", "1")
    found = [json.loads(line)["id"] for line in out.splitlines()]
    assert sorted(found) == sorted(str(order.saga_id) for order in orders)


def test_a_dead_letter_is_dealt_with_once(terminal: Terminal) -> None:
    letter = DeadLetter.objects.create(reason="rejected", queue="order", consequence="none")
    (listed,) = terminal.read("dead-letters", "list", "--state", "open")["results"]
    assert listed["id"] == letter.pk
    deal = ("dead-letters", "dismiss", str(letter.pk), "--why", "it was a test", "--yes")
    assert terminal.read(*deal)["verb"] == "dismiss"
    assert terminal.read("dead-letters", "list", "--state", "open")["results"] == []
    problem = terminal.refuse(*deal)
    assert (problem["status"], problem["code"]) == (409, "operator_refused")


def test_a_note_is_added_and_the_list_of_a_row_is_read_by_its_own_words(
    terminal: Terminal, parked: Placed
) -> None:
    note = ("orders", "notes", "new", str(parked.id), "--text", "She moves on Friday")
    assert terminal.read(*note)["preview"]["results"] == []
    assert terminal.read(*note, "--yes")["by"] == "ada"
    (row,) = terminal.read("orders", "notes", str(parked.id))["results"]
    assert row["text"] == "She moves on Friday"


@pytest.mark.parametrize(
    "words",
    [
        ["incidents"],
        ["notification-rules"],
        ["deliveries"],
        ["broken-promises"],
        ["daily-statements"],
        ["approvals"],
    ],
)
def test_every_list_is_there(terminal: Terminal, words: list[str]) -> None:
    assert terminal.read(*words, "list")["results"] == []


def test_a_permission_that_is_lacking_is_a_problem(
    terminal: Terminal, operator: User, parked: Placed
) -> None:
    operator.groups.set([Group.objects.get(name=Role.READER)])
    problem = terminal.refuse("sagas", "retry", str(parked.saga_id), "--why", "x", "--yes")
    assert problem["status"] == 403
    assert "saga.retry_sagainstance" in problem["detail"]


def test_without_a_token_it_is_refused(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_TOKEN")
    assert terminal.refuse("sagas", "list")["status"] == 401


def test_a_service_that_does_not_answer_is_a_problem(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_URL", f"http://127.0.0.1:{ports.free_port()}")
    assert terminal.refuse("sagas", "list")["title"] == "No answer"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sagas", "retri"], "Did you mean `sagas retry`?"),
        (["sagas", "show"], "the following arguments are required: id"),
        (["sagas", "list", "--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_a_wrong_word_is_told(terminal: Terminal, words: list[str], told: str) -> None:
    code, out, errors = terminal.run(*words)
    assert (code, out) == (2, "")
    assert told in errors


def test_a_value_of_another_kind_is_not_sent(terminal: Terminal) -> None:
    problem = terminal.refuse("batches", "new", "--verb", "retry", "--why", "x", "--one-first", "perhaps")
    assert "--one-first is no boolean" in problem["detail"]


def test_without_words_it_lists_what_there_is(terminal: Terminal) -> None:
    code, out, _ = terminal.run()
    assert code == 0
    lines = out.splitlines()
    assert any(line.startswith("sagas retry ID") for line in lines)
    assert len(lines) == len({*lines})
    code, out, _ = terminal.run("batches")
    assert {line.split()[0] for line in out.splitlines()} == {"batches"}
