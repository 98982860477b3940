"""What a waiting flow holds has one word on the board, in lists, in its strip, and in the dialog of a verb."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from celery_config.messaging.states import Action, Undo
from celery_config.saga.causes import TOO_LARGE, CauseKind
from celery_config.saga.course import Answer
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.operations import held_money, overview
from celery_config.saga.operations.advice import advise
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.strip import CellState, draw_strip
from tests.service.order.conftest import REPLIES, Placed
from tests.service.order.saga.operations.test_operators import AUTHORIZED, barrier, held  # noqa: F401

pytestmark = pytest.mark.django_db
MONEY = "authorize-payment"
WORDS = {CellState.HELD: "held", CellState.IN_DOUBT: "in doubt", CellState.DONE: "taken"}
BEFORE = ("", "done", "undone", "refused")
STOPPED = {"step": "", "code": "cancelled", "reason": "cancelled by us", "parked": ""}


def park(placed: Placed, cause: dict[str, Any], states: dict[str, str]) -> None:
    placed.set(status="parked", due_at=None, cause=cause)
    placed.saga.steps.update(logged="", reply=None, failure=None)
    for step, logged in states.items():
        # Money that was taken is never let go of: of the pivot “undone” says that it never ran.
        ran = logged == "done" or (logged == "undone" and step != "capture-payment")
        reply = REPLIES[step] if ran else None
        placed.saga.steps.filter(name=step).update(logged=logged, reply=reply)


def list_logs(version: int) -> Iterable[tuple[dict[str, Any], dict[str, str]]]:
    """Each log that a flow may leave: of one that goes on, a step is known only when the one before it is done."""
    first, second = (MONEY, "reserve-stock") if version == 1 else ("reserve-stock", MONEY)
    steps = (first, second, "book-shipment", "capture-payment")
    for cause in ({"parked": ""}, STOPPED):
        for states in product(BEFORE, BEFORE, BEFORE, ("", "done", "undone")):
            log = dict(zip(steps, states, strict=True))
            is_taken = log["capture-payment"] == "done"
            goes_on = is_taken or cause is not STOPPED
            begun = states.index("") if "" in states else len(states)
            known = {*states[:begun]} if goes_on else set()
            if known <= {"done"} and (not goes_on or not any(states[begun:])):
                yield cause, log


@pytest.mark.parametrize("version", [1, 2])
def test_the_board_has_the_word_of_the_strip(placed: Placed, version: int, settings: Any) -> None:
    placed.set(version=version)
    swapped = {MONEY: 1, "reserve-stock": 0} if version == 2 else {}
    for step, position in swapped.items():
        placed.saga.steps.filter(name=step).update(position=position)
    different = []
    for cause, log in list_logs(version):
        park(placed, cause, log)
        cells = {cell.name: cell.state for cell in draw_strip(read_flow(placed.saga))}
        found = held_money.read_money(SAGAS, [placed.saga_id])
        on_board = found[placed.saga_id].state if found else ""
        if on_board != WORDS.get(cells[MONEY], ""):
            different.append(f"{cause.get('code')} {log}: {on_board!r} on the board, {cells[MONEY]}")
    assert not different, f"{len(different)}: " + "\n".join(different[:20])


def read_table(client: Client, placed: Placed) -> dict[str, list[str]]:
    """The rows of what is not undone or in doubt, in the dialog of a verb, by step."""
    url = reverse("admin:saga_sagainstance_retry", args=[placed.saga_id])
    page = client.get(url).content.decode()
    table = page.partition("Not undone or in doubt</h2>")[2].partition("</section>")[0]
    rows = [
        [
            re.sub(r"<[^>]+>", " ", cell).strip()
            for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)
    ]
    return {" ".join(step.split()).removeprefix('scope="row"> '): cells for step, *cells in rows}


def test_what_its_service_knows_nothing_of_is_told_in_the_dialog(
    admin_client: Client,
    placed: Placed,
    barrier: dict[str, Answer],  # noqa: F811
) -> None:
    park(placed, {"parked": "it cannot be driven"}, {})
    placed.set(fingerprint=f"{CauseKind.UNDRIVABLE}: {TOO_LARGE}")
    (waiting,) = overview.read_waiting()
    assert [each.state for each in waiting.money] == ["in doubt"]
    (row,) = read_table(admin_client, placed).values()
    assert "not yet" in row[1]
    assert row[-1] == "we had no word of it; its service says now: nothing of it came here"


def test_a_hold_whose_undo_fails_is_held_everywhere(
    admin_client: Client,
    placed: Placed,
    barrier: dict[str, Answer],  # noqa: F811
) -> None:
    park(
        placed,
        STOPPED,
        {MONEY: "done"} | dict.fromkeys(("reserve-stock", "book-shipment", "capture-payment"), "undone"),
    )
    barrier["payment"] = {MONEY: held(Action.DONE, Undo.INTENT, **AUTHORIZED)}
    (waiting,) = overview.read_waiting()
    assert [each.state for each in waiting.money] == ["held"]
    (row,) = read_table(admin_client, placed).values()
    assert "held" in row[1]
    assert row[-1] == "its undo was begun and its outcome is not known"


def test_of_paid_money_the_hold_is_no_effect_any_more(
    admin_client: Client,
    placed: Placed,
    barrier: dict[str, Answer],  # noqa: F811
) -> None:
    done = (MONEY, "reserve-stock", "book-shipment", "capture-payment")
    park(placed, {"parked": ""}, dict.fromkeys(done, "done"))
    for service, steps in {
        "payment": (done[0], done[3]),
        "inventory": done[1:2],
        "shipment": done[2:3],
    }.items():
        barrier[service] = {step: held(Action.DONE, **REPLIES[step]) for step in steps}
    table = read_table(admin_client, placed)
    # Nothing came to inventory of the step after them.
    assert "not yet" in table.pop("commit the stock")[1]
    assert [*table] == ["reserve the stock", "book the shipment", "capture the payment"]
    assert all("done" in row[1] for row in table.values())


def test_each_cause_says_what_to_mend_on_its_page_its_list_and_its_dialogs(
    admin_client: Client,
    placed: Placed,
    barrier: dict[str, Answer],  # noqa: F811
) -> None:
    line = f"{CauseKind.UNDRIVABLE}: {TOO_LARGE}"
    park(placed, {"parked": "it cannot be driven"}, {})
    placed.set(fingerprint=line)
    view = "admin:saga_sagainstance"
    for url in (
        reverse(f"{view}_change", args=[placed.saga_id]),
        reverse(f"{view}_retry", args=[placed.saga_id]),
        f"{reverse(f'{view}_changelist')}?status__exact=parked&fingerprint={line}",
        f"{reverse(f'{view}_each')}?verb=retry&fingerprint={line}",
    ):
        assert advise(line) in admin_client.get(url).content.decode(), url
